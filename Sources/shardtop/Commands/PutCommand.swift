import AWSWire
import ArgumentParser
import CurlTransport
import KinesisConsumer
import Machine

struct PutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put",
        abstract: "Put records into a stream: generated ones, or the lines of stdin.",
        discussion: "Ends with one line on stderr: how many were put, how many were throttled on the way.")

    @Argument(help: "The stream.")
    var stream: String

    @Option(help: "Records a second.")
    var rate = 100.0

    @Option(name: .customLong("for"), help: "How long to put.")
    var duration: Duration?

    @Option(help: "How many records to put.")
    var count: Int?

    @Flag(help: "Put each line of stdin as a record instead.")
    var stdin = false

    @Option(help: "Number of partition keys.")
    var keys = 64

    @Option(help: "The share of the records that goes to one narrow range of hash keys, 0 to 1.")
    var hot = 0.0

    @Flag(help: "Pack the records into KPL aggregates.")
    var aggregate = false

    @OptionGroup var options: ConnectionOptions

    func validate() throws {
        guard rate > 0, rate <= 1e6 else { throw ValidationError("--rate must be between 0 and 1000000") }
        guard 1...100_000 ~= keys else { throw ValidationError("--keys must be 1 to 100000") }
        guard 0...1 ~= hot else { throw ValidationError("--hot must be 0 to 1") }
        guard count.map({ $0 > 0 }) ?? true else { throw ValidationError("--count must be positive") }
    }

    func run() async throws {
        let connection = try await Connection(options)
        defer { connection.close() }
        var put = Put(stream: stream, kinesis: connection.kinesis, aggregates: aggregate)
        do {
            if stdin { try await putLines(&put) } else { try await generate(&put, connection.time) }
        } catch let error as AWSError {
            if error.meaning == .notFound {
                throw Failure("stream \(stream) does not exist in \(connection.region)\(connection.place)")
            }
            throw Failure("\(error)\(connection.place)")
        }
        Output.error(
            "shardtop put: \(put.records) records in \(put.calls) calls to \(stream), \(put.throttled) throttled and put "
                + "again")
    }

    private func generate(_ put: inout Put, _ time: TimeSource) async throws {
        var maker = RecordMaker(
            Workload(rate: rate, keys: keys, hotFraction: hot), seed: SystemSeed.next())
        let start = time.now()
        var last = start
        var left = count ?? Int.max
        while left > 0, duration.map({ time.now() - start < $0 }) ?? true {
            let now = time.now()
            for batch in maker.batches(after: max(now - last, .milliseconds(1)), at: time.wallClock()) where left > 0 {
                let part = batch.prefix(left)
                left -= part.count
                try await put.put(part.map(\.record), time)
            }
            last = now
            try await time.sleep(for: .milliseconds(50))
        }
    }

    private func putLines(_ put: inout Put) async throws {
        var batch: [PutRecord] = []
        var number = 0
        while let line = readLine(strippingNewline: true) {
            number += 1
            // The service refuses empty records.
            if line.isEmpty { continue }
            batch.append(PutRecord(data: Bytes(line), partitionKey: "line-\(number % keys)"))
            if batch.count == 500 || batch.reduce(0, { $0 + $1.data.count }) > 4 << 20 {
                try await put.put(batch, .system)
                batch = []
            }
        }
        try await put.put(batch, .system)
    }
}

/// Puts batches, and again what was throttled of them.
private struct Put {
    let stream: String
    let kinesis: KinesisClient
    let aggregates: Bool
    private(set) var records = 0
    private(set) var calls = 0
    private(set) var throttled = 0

    init(stream: String, kinesis: KinesisClient, aggregates: Bool) {
        self.stream = stream
        self.kinesis = kinesis
        self.aggregates = aggregates
    }

    mutating func put(_ batch: [PutRecord], _ time: TimeSource) async throws {
        var rest = aggregates ? Self.aggregated(batch) : batch
        var attempt = 0
        while !rest.isEmpty {
            let tried = rest.prefix(500)
            let outcomes: [PutOutcome]
            do { outcomes = try await kinesis.putRecords(stream: stream, Array(tried)) } catch {
                // The whole call was throttled: like a throttled record, it is put again.
                guard error.meaning == .throttled, attempt < 60 else { throw error }
                throttled += tried.count
                attempt += 1
                try await time.sleep(for: .milliseconds(min(100 * attempt, 1000)))
                continue
            }
            calls += 1
            let failed = zip(tried, outcomes).filter { if case .failed = $1 { true } else { false } }.map(\.0)
            throttled += failed.count
            rest = failed + rest.dropFirst(500)
            attempt = failed.isEmpty ? 0 : attempt + 1
            if attempt > 0 { try await time.sleep(for: .milliseconds(min(100 * attempt, 1000))) }
        }
        records += batch.count
    }

    /// One aggregate for each partition key, so that the records of an aggregate surely belong to one shard.
    private static func aggregated(_ batch: [PutRecord]) -> [PutRecord] {
        let byKey = Dictionary(grouping: batch, by: \.partitionKey)
        return byKey.keys.sorted().flatMap { key -> [PutRecord] in
            var aggregator = KPLAggregator()
            var out: [PutRecord] = []
            for record in byKey[key] ?? [] {
                if let full = aggregator.add(
                    record.data, partitionKey: key, explicitHashKey: record.explicitHashKey)
                {
                    out.append(full)
                }
            }
            if let last = aggregator.flush() { out.append(last) }
            return out
        }
    }
}

extension Connection {
    /// ` at http://127.0.0.1:4567`, where that is not AWS.
    var place: String { endpoint.map { " at \($0)" } ?? "" }
}
