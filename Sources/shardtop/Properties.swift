import AWSWire
import KinesisConsumer
import Machine

/// The settings of `consume`, in the syntax and with the names of KCL's `.properties` files (kcl.md §8.5).
///
/// This command reads those that concern a worker with a built-in processor; the others are named in a warning.
struct Properties {
    struct Entry {
        var value: String
        var line: Int
    }

    private(set) var entries: [String: Entry] = [:]
    let path: String

    init(_ text: String, path: String) throws {
        self.path = path
        for (number, raw) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = raw.trimmed
            if line.isEmpty || line.hasPrefix("#") || line.hasPrefix("!") { continue }
            guard let separator = line.firstIndex(where: { $0 == "=" || $0 == ":" }) else {
                throw Failure("\(path):\(number + 1): no `=` in “\(line)”", status: .usage)
            }
            let name = line[..<separator].trimmed
            entries[name] = Entry(value: line[line.index(after: separator)...].trimmed, line: number + 1)
        }
    }

    func string(_ name: String) -> String? {
        guard let value = entries[name]?.value, !value.isEmpty else { return nil }
        return value
    }

    func required(_ name: String) throws -> String {
        guard let value = string(name) else { throw Failure("\(path): \(name) is missing", status: .usage) }
        return value
    }

    func int(_ name: String, _ range: ClosedRange<Int>) throws -> Int? {
        guard let value = string(name) else { return nil }
        guard let number = Int(value), range.contains(number) else {
            throw wrong(name, "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func milliseconds(_ name: String, _ range: ClosedRange<Int>) throws -> Duration? {
        try int(name, range).map { .milliseconds($0) }
    }

    func bool(_ name: String) throws -> Bool? {
        guard let value = string(name)?.lowercased() else { return nil }
        guard value == "true" || value == "false" else { throw wrong(name, "true or false") }
        return value == "true"
    }

    func wrong(_ name: String, _ wanted: String) -> Failure {
        let entry = entries[name]
        return Failure(
            "\(path):\(entry?.line ?? 0): \(name) must be \(wanted), not “\(entry?.value ?? "")”", status: .usage)
    }

    /// The names that `configuration` reads.
    private static let known: Set<String> = [
        "applicationName", "streamName", "tableName", "workerId", "regionName", "kinesisEndpoint", "dynamoDBEndpoint",
        "initialPositionInStream", "initialPositionInStreamExtended", "failoverTimeMillis", "maxLeasesForWorker",
        "maxLeasesToStealAtOneTime", "maxRecords", "idleTimeBetweenReadsInMillis", "parentShardPollIntervalMillis",
        "cleanupLeasesUponShardCompletion", "taskBackoffTimeMillis", "callProcessRecordsEvenForEmptyRecordList",
        "shutdownGraceMillis", "ignoreUnexpectedChildShards", "processor", "onProcessorFailure",
        "releaseLeasesOnShutdown",
    ]

    var unknown: [String] { entries.keys.filter { !Self.known.contains($0) }.sorted() }

    func configuration(generator: inout SeededGenerator) throws -> WorkerConfiguration {
        var configuration = WorkerConfiguration(
            applicationName: try required("applicationName"), streamName: try required("streamName"),
            workerID: string("workerId"), generator: &generator)
        let whole = 0...Int(Int32.max)
        if let table = string("tableName") { configuration.tableName = table }
        configuration.initialPosition = try position() ?? configuration.initialPosition
        if let time = try milliseconds("failoverTimeMillis", 500...3_600_000) { configuration.failoverTime = time }
        if let count = try int("maxLeasesForWorker", 1...Int(Int32.max)) { configuration.maxLeasesForWorker = count }
        if let count = try int("maxLeasesToStealAtOneTime", 1...10_000) {
            configuration.maxLeasesToStealAtOneTime = count
        }
        if let count = try int("maxRecords", 1...10_000) { configuration.maxRecords = count }
        if let time = try milliseconds("idleTimeBetweenReadsInMillis", 200...3_600_000) {
            configuration.idleTimeBetweenReads = time
        }
        if let time = try milliseconds("parentShardPollIntervalMillis", 100...3_600_000) {
            configuration.parentShardPollInterval = time
        }
        if let time = try milliseconds("taskBackoffTimeMillis", whole) { configuration.taskBackoffTime = time }
        if let time = try milliseconds("shutdownGraceMillis", whole) { configuration.shutdownGrace = time }
        if let flag = try bool("cleanupLeasesUponShardCompletion") {
            configuration.cleanupLeasesUponShardCompletion = flag
        }
        if let flag = try bool("callProcessRecordsEvenForEmptyRecordList") {
            configuration.callProcessRecordsEvenForEmptyRecordList = flag
        }
        if let flag = try bool("ignoreUnexpectedChildShards") { configuration.ignoreUnexpectedChildShards = flag }
        if let flag = try bool("releaseLeasesOnShutdown") { configuration.releaseLeasesOnShutdown = flag }
        if let name = string("onProcessorFailure") {
            guard let policy = ProcessorFailurePolicy(rawValue: name) else {
                throw wrong("onProcessorFailure", "skip, retry or stopShard")
            }
            configuration.onProcessorFailure = policy
        }
        return configuration
    }

    private func position() throws -> InitialPosition? {
        if let seconds = try int("initialPositionInStreamExtended", 0...Int(Int32.max) * 4) {
            return .atTimestamp(UnixTime(milliseconds: Int64(seconds) * 1000))
        }
        switch string("initialPositionInStream")?.uppercased() {
        case nil: return nil
        case "LATEST": return .latest
        case "TRIM_HORIZON": return .trimHorizon
        default: throw wrong("initialPositionInStream", "LATEST or TRIM_HORIZON")
        }
    }

    func processor() throws -> BuiltInProcessor.Kind {
        guard let name = string("processor") else { return .count }
        guard let kind = BuiltInProcessor.Kind(rawValue: name) else { throw wrong("processor", "count or print") }
        return kind
    }
}

extension Substring {
    fileprivate var trimmed: String {
        var text = self
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }
}

extension String {
    fileprivate var trimmed: String { self[...].trimmed }
}
