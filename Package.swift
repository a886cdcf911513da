// swift-tools-version: 6.2
import PackageDescription

let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let themes = [
    "amber", "ayu-dark", "catppuccin-latte", "catppuccin-mocha", "cobalt", "colorblind", "colorblind-light",
    "colorblind-tritan", "dracula", "everforest-dark", "everforest-light", "github-dark", "github-light",
    "gruvbox-dark", "gruvbox-light", "high-contrast", "kanagawa", "monochrome", "monokai", "night-owl", "nord",
    "one-dark", "one-light", "phosphor", "rose-pine", "rose-pine-dawn", "shardtop", "solarized-dark",
    "solarized-light", "synthwave", "tokyo-day", "tokyo-night",
]

/// A room of the house: a target with the strict settings.
func room(_ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource] = []) -> Target {
    .target(name: name, dependencies: dependencies, resources: resources, swiftSettings: house)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: house)
}

let package = Package(
    name: "shardtop",
    products: [
        .executable(name: "shardtop", targets: ["shardtop"]),
        .library(name: "KinesisConsumer", targets: ["KinesisConsumer", "CurlTransport"]),
    ],
    dependencies: [
        // Subcommands, help and completion of the command line.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        // Deque for queues that are drained from the front, OrderedDictionary for wire maps.
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        // SHA-256 and HMAC for request signatures, MD5 for KPL aggregates and partition keys.
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        // The emulator's HTTP server; nothing on the client side uses it.
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        // The Java KCL speaks HTTP/2 to Kinesis, also without TLS.
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        // `emulate --tls`, with the certificate that it makes itself.
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    ],
    targets: [
        room("Machine"),
        .target(
            name: "CTerminal",
            cSettings: [.define("_GNU_SOURCE"), .define("NCURSES_WIDECHAR", to: "1")],
            linkerSettings: [.linkedLibrary("ncursesw"), .linkedLibrary("tinfo")]),
        .target(
            name: "CShardtopCurl", cSettings: [.define("_GNU_SOURCE")], linkerSettings: [.linkedLibrary("curl")]),
        .target(name: "CShardtopBytes"),
        room(
            "AWSWire",
            [
                "Machine", "CShardtopBytes", .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "OrderedCollections", package: "swift-collections"),
            ]),
        room("CurlTransport", ["Machine", "AWSWire", "CShardtopCurl"]),
        room("Leases", ["Machine", "AWSWire"]),
        room(
            "KinesisConsumer",
            [
                "Machine", "AWSWire", "Leases", .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
            ]),
        room("Metrics", ["Machine", "AWSWire", "Leases", "KinesisConsumer"]),
        room(
            "MultiLang",
            [
                "Machine", "AWSWire", "Leases", "KinesisConsumer",
                .product(name: "OrderedCollections", package: "swift-collections"),
            ]),
        .target(name: "CShardtopSpawn", cSettings: [.define("_GNU_SOURCE")]),
        room("ChildProcesses", ["Machine", "AWSWire", "MultiLang", "CShardtopSpawn"]),
        room("Fleet", ["Machine", "AWSWire", "Leases", .product(name: "DequeModule", package: "swift-collections")]),
        room(
            "Emulator",
            [
                "Machine", "AWSWire", .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "OrderedCollections", package: "swift-collections"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]),
        room(
            "Simulation",
            [
                "Machine", "AWSWire", "Leases", "KinesisConsumer", "Fleet", "Emulator",
                .product(name: "HeapModule", package: "swift-collections"),
            ]),
        room(
            "Dashboard", ["Machine", "Leases", "Fleet"],
            resources: themes.map { .embedInCode("../../themes/\($0).theme") }),
        .executableTarget(
            name: "shardtop",
            dependencies: [
                "Machine", "AWSWire", "CurlTransport", "Leases", "KinesisConsumer", "Fleet", "Emulator", "Simulation",
                "Dashboard", "MultiLang", "ChildProcesses", "Metrics", "CTerminal",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "DequeModule", package: "swift-collections"),
                // The server of `consume --listen`.
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: house),

        tests("AWSWireTests", ["AWSWire", "Machine", "CurlTransport"]),
        tests("LeasesTests", ["Leases", "AWSWire", "Machine"]),
        tests("KinesisConsumerTests", ["KinesisConsumer", "Leases", "AWSWire", "Machine"]),
        tests(
            "MultiLangTests",
            [
                "MultiLang", "KinesisConsumer", "Leases", "AWSWire", "Machine",
                .product(name: "OrderedCollections", package: "swift-collections"),
            ]),
        tests(
            "ChildProcessesTests",
            ["ChildProcesses", "MultiLang", "KinesisConsumer", "Leases", "AWSWire", "Machine"]),
        tests("MetricsTests", ["Metrics", "KinesisConsumer", "Leases", "AWSWire", "Machine"]),
        tests("FleetTests", ["Fleet", "Leases", "AWSWire", "Machine"]),
        tests("EmulatorTests", ["Emulator", "AWSWire", "CurlTransport", "Machine"]),
        tests("DashboardTests", ["Dashboard", "Fleet", "Leases", "Machine"], exclude: ["Golden"]),
        tests(
            "SimulationTests",
            ["Simulation", "KinesisConsumer", "Fleet", "Leases", "Emulator", "AWSWire", "Machine"]),
    ]
)
