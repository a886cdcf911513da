import ArgumentParser
import Fleet

struct ShardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shard", abstract: "Split a shard or merge two.", subcommands: [Split.self, Merge.self])

    struct Split: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Split a shard in two, in the middle or at a hash key.")

        @OptionGroup var target: StreamTarget
        @Argument(help: "The shard.")
        var shard: String
        @Option(help: "`middle`, or the hash key that the second child begins with.")
        var at = "middle"

        func run() async throws {
            let point: Plan.SplitPoint
            if at == "middle" {
                point = .middle
            } else if let key = UInt128(at) {
                point = .key(key)
            } else {
                throw Failure("--at \(at): give `middle` or a hash key, a decimal number below 2^128", status: .usage)
            }
            try await target.perform("shard split") { try Plan.split(shard, at: point, in: $0) }
        }
    }

    struct Merge: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Merge two adjacent shards.")

        @OptionGroup var target: StreamTarget
        @Argument(help: "The shard.")
        var shard: String
        @Argument(help: "Its neighbour.")
        var adjacent: String

        func run() async throws {
            try await target.perform("shard merge") { try Plan.merge(shard, with: adjacent, in: $0) }
        }
    }
}
