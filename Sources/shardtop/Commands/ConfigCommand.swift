import ArgumentParser
import CurlTransport
import Dashboard

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "The settings that hold, and where each comes from.",
        discussion: """
            A flag beats a variable (SHARDTOP_THEME=nord), a variable beats the file, the file the default. Only \
            read-only is stronger: who asks for it gets it. The file is never written by shardtop; start one with \
            `shardtop config --default`.
            """)

    @Flag(name: .customLong("default"), help: "Print a file with every setting, its default and what it means.")
    var isDefault = false

    @Flag(help: "Print where the file is, or would be.")
    var path = false

    func validate() throws {
        guard !(isDefault && path) else { throw ValidationError("give --default or --path, not both") }
    }

    func run() throws {
        let host = SystemHost()
        if path { return Output.print(Settings.path(host)) }
        if isDefault { return Output.printBlock(Settings.defaultText(path: Settings.path(host))) }
        Output.printBlock(try Settings(host).effectiveText)
    }
}
