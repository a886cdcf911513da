// swift-tools-version: 6.2
import PackageDescription

// A package that nobody of this house wrote, as far as the compiler can tell: it sees the library product only.
let package = Package(
    name: "ForeignConsumer",
    dependencies: [.package(name: "shardtop", path: "../..")],
    targets: [
        .executableTarget(
            name: "ForeignConsumer", dependencies: [.product(name: "KinesisConsumer", package: "shardtop")],
            swiftSettings: [.treatAllWarnings(as: .error)])
    ])
