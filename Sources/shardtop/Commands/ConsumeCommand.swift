import ArgumentParser
import CurlTransport
import MultiLang

struct ConsumeCommand: AsyncParsableCommand, HandlesSignals {
    static let configuration = CommandConfiguration(
        commandName: "consume",
        abstract: "Run a worker: a MultiLang child program for each shard, or a built-in processor.",
        discussion: """
            FILE is the .properties file of KCL's MultiLangDaemon, which this command replaces: `executableName` names \
            the child program (amazon_kclpy and the like), started once for each shard. In its place `processor = \
            count` or `processor = print` chooses a built-in processor; those run only under an applicationName that \
            starts with `shardtop-`, because under any other name they would take a fleet's leases and checkpoint \
            records that nobody processed.
            """)

    @Argument(help: "The .properties file.")
    var file: String

    @Flag(help: "Draw nothing.")
    var headless = false

    @Flag(help: "Validate the file, print the effective configuration and where each value comes from, and end.")
    var check = false

    @Option(help: "Write events as NDJSON; - is stdout.")
    var events: String?

    @Option(help: "Write the protocol with the children into a directory, a file for each shard, without record data.")
    var trace: String?

    @Flag(help: "With --trace: record data too.")
    var withData = false

    @Option(help: "Serve /healthz, /readyz and /metrics: a port of loopback, or HOST:PORT.")
    var listen: String?

    @OptionGroup var options: ConnectionOptions
    @OptionGroup var screen: ScreenOptions

    func validate() throws {
        guard !withData || trace != nil else { throw ValidationError("--with-data goes with --trace") }
        if let listen, ListenAddress(listen) == nil {
            throw ValidationError("--listen \(listen): write a port, HOST:PORT or [IPV6]:PORT")
        }
    }

    func run() async throws {
        let host = SystemHost()
        let settings = try DaemonSettings(file, options, host: host)
        settings.say(notes: check)
        if check { return settings.description.forEach(Output.print) }
        try settings.check(host)
        let connection = try await settings.connection(host: host)
        defer { connection.close() }
        // A person may be asked for a code here, before there is a screen.
        try await connection.authenticate()
        let keeper = Task { await connection.keepFresh() }
        defer { keeper.cancel() }
        let isPrinting = settings.daemon.builtIn == .print
        try await Consumer(
            settings, connection, host: host, events: events,
            trace: trace.map { Consumer.TraceOptions(directory: $0, hasData: withData) },
            listen: listen.flatMap { ListenAddress($0) },
            screen: !headless && !isPrinting && events != "-" && Output.isTerminal ? screen : nil,
            role: options.role
        ).run()
    }
}
