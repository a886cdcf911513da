import KinesisConsumer
import Machine

extension DaemonConfiguration {
    /// Reads `file`, with `overrides` before it and the defaults behind it.
    ///
    /// - Parameter generator: makes the worker's id where none is given.
    /// - Throws: everything that is wrong, each with `FILE:LINE`, along with the warnings.
    package static func load(
        _ file: PropertiesFile, overrides: [Override] = [], generator: inout some RandomNumberGenerator
    ) throws(PropertiesError) -> DaemonConfiguration {
        if file.entries.isEmpty, overrides.isEmpty {
            throw PropertiesError(
                [
                    PropertiesMessage(
                        .error, file.path,
                        "there is no property in it; it needs applicationName, streamName (or streamArn) and "
                            + "executableName at least")
                ], warnings: file.warnings)
        }
        // The names are empty until the file gives them, and checked at the end.
        let worker = WorkerConfiguration(applicationName: "", streamName: "", generator: &generator)
        var loading = DaemonConfigurationLoading(file.path, DaemonConfiguration(worker: worker), file.warnings)
        for entry in file.entries {
            loading.read(entry.name, entry.value, .file(path: file.path, line: entry.line))
        }
        for override in overrides { loading.read(override.name, override.value, .given(override.source)) }
        loading.finish()
        guard loading.errors.isEmpty else { throw PropertiesError(loading.errors, warnings: loading.messages) }
        return loading.result
    }
}

/// A configuration in the making: what was given where, and what was wrong with it.
struct DaemonConfigurationLoading {
    private let path: String
    private var configuration: DaemonConfiguration
    private(set) var messages: [PropertiesMessage]
    private(set) var errors: [PropertiesMessage] = []
    /// By the table's name of the property.
    private var given: [String: (origin: DaemonConfiguration.Origin, name: String)] = [:]

    typealias Property = DaemonConfigurationProperty

    init(_ path: String, _ configuration: DaemonConfiguration, _ messages: [PropertiesMessage]) {
        self.path = path
        self.configuration = configuration
        self.messages = messages
    }

    var result: DaemonConfiguration {
        var result = configuration
        result.messages = messages
        result.settings = Property.used.map { property in
            DaemonConfiguration.Setting(
                name: property.name, value: property.show(configuration).flatMap { $0.isEmpty ? nil : $0 },
                origin: given[property.name]?.origin ?? .standard, meaning: property.meaning)
        }
        return result
    }

    mutating func read(_ spelling: String, _ text: String, _ origin: DaemonConfiguration.Origin) {
        let value = text.trimmed
        let name = Property.canonical(spelling)
        guard let row = Property.byName[name] else { return unknown(spelling, origin) }
        let property = Property.table[row]
        if value.isEmpty { return say(.warning, origin, "\(spelling) has no value and is taken as not given") }
        if value.unicodeScalars.contains(where: { $0 != "\t" && $0.properties.generalCategory == .control }) {
            return say(.error, origin, "\(spelling) must be without control characters")
        }
        if let before = given[property.name], case .file(_, let line) = before.origin, case .file = origin {
            say(
                .warning, origin,
                before.name == spelling
                    ? "\(spelling) is given twice; this counts, not line \(line)"
                    : "\(spelling) is the same as \(before.name) in line \(line); this counts")
        }
        given[property.name] = (origin, spelling)
        let reading = property.read(value, &configuration)
        let isZero = value == "0" || value.lowercased() == "false"
        let quirk = property.zeroIsUnsetInJava && isZero
        for error in reading.errors {
            let hint = quirk ? " (Java 2.x and 3.x take it as not given: leave the line out)" : ""
            say(.error, origin, sentence(spelling, error) + hint)
        }
        for warning in reading.warnings { say(.warning, origin, sentence(spelling, warning)) }
        for note in reading.notes { say(.note, origin, sentence(spelling, note)) }
        if quirk, reading.errors.isEmpty {
            say(
                .note, origin,
                "\(spelling) = \(value) is taken at its word; KCL 2.x and 3.x for Java ignore it and use their default")
        }
    }

    private func sentence(_ name: String, _ text: String) -> String {
        text.hasPrefix(":") ? name + text : "\(name) \(text)"
    }

    private mutating func unknown(_ name: String, _ origin: DaemonConfiguration.Origin) {
        if let foreign = Property.foreignPaths.first(where: { name.hasPrefix($0.prefix) }) {
            return say(.warning, origin, "\(name.quoted) has no effect here: \(foreign.why)")
        }
        guard let near = nearest(name, in: Property.names) else {
            return say(.warning, origin, "\(name.quoted) is no property of KCL or of this program, and has no effect")
        }
        let why = near.lowercased() == name.lowercased() ? "; upper and lower case count" : ""
        say(.warning, origin, "\(name.quoted) is unknown and has no effect; did you mean \(near)?\(why)")
    }

    private mutating func say(
        _ severity: PropertiesMessage.Severity, _ origin: DaemonConfiguration.Origin, _ text: String
    ) {
        let place = origin == .standard ? path : origin.description
        let message = PropertiesMessage(severity, place, text)
        if severity == .error { errors.append(message) } else { messages.append(message) }
    }
}

/// What several properties say together.
extension DaemonConfigurationLoading {
    mutating func finish() {
        nameTheApplication()
        nameTheStream()
        chooseThePosition()
        chooseTheProcessor()
        chooseTheRetrieval()
        slowDown()
        chooseTheBilling()
        let worker = configuration.worker
        configuration.worker.releaseLeasesOnShutdown =
            given["releaseLeasesOnShutdown"] == nil ? given["workerId"] == nil : worker.releaseLeasesOnShutdown
        if given["AwsCredentialsProvider"] == nil {
            say(
                .note, .standard,
                "there is no AwsCredentialsProvider, without which Java does not start; the AWS default chain is used")
        }
        if configuration.metrics.dimensions?.contains(where: { $0.uppercased() == "ALL" }) == true {
            configuration.metrics.dimensions = nil
        }
        if configuration.proxy.host == nil, let port = given["http.proxyPort"] {
            say(.warning, port.origin, "http.proxyPort has no effect without http.proxyHost")
        }
        if errors.isEmpty {
            for mistake in configuration.worker.mistakes { say(.error, .standard, mistake) }
        }
    }

    private mutating func nameTheApplication() {
        guard let application = given["applicationName"] else {
            say(.error, .standard, "applicationName is missing: it names the application and its lease table")
            return
        }
        guard given["tableName"] == nil else { return }
        configuration.worker.tableName = configuration.worker.applicationName
        let kind = PropertyKind<String>.tableName
        if kind.read(configuration.worker.tableName) == nil {
            say(
                .error, application.origin,
                "applicationName must be \(kind.wanted), as the name of the lease table, not "
                    + "\(configuration.worker.tableName.quoted); or give a tableName")
        }
    }

    private mutating func nameTheStream() {
        guard let origin = given["streamArn"]?.origin else {
            if given["streamName"] == nil {
                say(.error, .standard, "streamName is missing: it names the stream; streamArn does too")
            }
            return
        }
        guard let arn = configuration.streamARN else { return }
        let named = configuration.worker.streamName
        configuration.worker.streamName = arn.name
        if given["streamName"] != nil, !named.isEmpty, named != arn.name {
            say(.warning, origin, "streamArn names the stream \(arn.name), and goes before streamName = \(named)")
        }
        given["streamName"] = given["streamArn"]
        switch configuration.regions.kinesis {
        case nil:
            say(
                .note, origin,
                "the region of streamArn is not used, as in Java; set regionName = \(arn.region) unless the "
                    + "environment says the same")
        case let region? where region != arn.region:
            say(
                .warning, origin,
                "streamArn is of \(arn.region), but regionName is \(region): the stream is looked for in \(region)")
        default: break
        }
    }

    private mutating func chooseThePosition() {
        guard let time = configuration.startTime, let chosen = given["initialPositionInStreamExtended"] else { return }
        if let other = given["initialPositionInStream"] {
            say(
                .warning, other.origin,
                "\(other.name) gives way to \(chosen.name), which is given too; in Java chance decides")
        }
        configuration.worker.initialPosition = .atTimestamp(time)
        given["initialPositionInStream"] = chosen
    }

    private mutating func chooseTheProcessor() {
        switch (given["executableName"], given["processor"]) {
        case (nil, nil):
            say(
                .error, .standard,
                "executableName is missing: it is the program that processes the records (or set processor = count)")
        case (let executable?, _?) where configuration.builtIn != nil:
            say(.warning, executable.origin, "executableName is not run, because processor is given")
            configuration.child.arguments = []
            given["executableName"] = nil
        default: break
        }
    }

    /// Java takes fan-out unless a property of polling is given. Here that holds where the file says DEFAULT or speaks
    /// of fan-out; a file that says nothing means polling, which costs nothing and needs no consumer.
    private mutating func chooseTheRetrieval() {
        let mode = given["retrievalMode"]
        let polling = [
            "maxRecords", "idleTimeBetweenReadsInMillis", "retryGetRecordsInSeconds", "maxGetRecordsThreadPool",
            "millisBehindLatestThresholdForReducedTps",
        ].compactMap { given[$0] }.first
        let fanOut = Property.fanOutNames.compactMap { given[$0] }.first
        let isFanOut: Bool
        switch configuration.retrievalMode {
        case .fanOut: isFanOut = true
        case .polling: isFanOut = false
        case .default:
            isFanOut = polling == nil && (mode != nil || fanOut != nil)
            tellTheDefault(mode?.origin ?? fanOut?.origin ?? .standard, polling?.name, isFanOut: isFanOut)
        }
        if isFanOut {
            configuration.worker.retrieval = .fanOut(configuration.fanOut)
        } else if let fanOut, case .file = fanOut.origin {
            // Who only watches is told nothing of how a worker would read.
            if case .given = mode?.origin { return }
            say(.warning, fanOut.origin, "\(fanOut.name) has no effect here: records are polled")
        }
    }

    private mutating func tellTheDefault(_ origin: DaemonConfiguration.Origin, _ polling: String?, isFanOut: Bool) {
        if isFanOut {
            say(
                .note, origin,
                "records are fetched by enhanced fan-out, as KCL 2.x and 3.x for Java do; it costs money by the hour and "
                    + "registers a consumer; set retrievalMode = POLLING to poll")
        } else if let polling {
            if origin == .standard { return }
            say(.note, origin, "records are polled, as in Java, because \(polling) is given")
        } else {
            say(
                .note, origin,
                "retrievalMode is not given, and records are polled; KCL 2.x and 3.x for Java would use enhanced "
                    + "fan-out: set retrievalMode = FANOUT for that")
        }
    }

    private mutating func chooseTheBilling() {
        if configuration.billingMode == .provisioned {
            configuration.worker.leaseTableCapacity = configuration.leaseTableCapacity
            return
        }
        for name in ["initialLeaseTableReadCapacity", "initialLeaseTableWriteCapacity"] {
            guard let origin = given[name]?.origin else { continue }
            say(
                .warning, origin,
                "\(name) has no effect here: a lease table that is missing is created on demand, unless billingMode = "
                    + "PROVISIONED")
        }
    }

    /// The service allows five reads a second and shard; KCL 3.x raises what is less too.
    private mutating func slowDown() {
        let least: Duration = .milliseconds(200)
        guard configuration.worker.idleTimeBetweenReads < least,
            let (origin, name) = given["idleTimeBetweenReadsInMillis"]
        else { return }
        configuration.worker.idleTimeBetweenReads = least
        say(.warning, origin, "\(name) is raised to 200: a shard can be read five times a second by all together")
    }
}
