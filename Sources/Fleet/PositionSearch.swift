package import AWSWire
package import Leases
package import Machine

/// Where a lease shall be read from, as an operator says it.
package enum RewindRequest: Hashable, Sendable {
    case sentinel(Checkpoint)
    /// From this record on, itself included.
    case number(SequenceNumber)
    /// From the first record on that came at this time or later.
    case time(UnixTime)
    case ago(Duration)

    /// Reads a sentinel, a sequence number, `2026-01-31T12:00:00Z`, or how long ago: `10m`, `1h30m`, `10m back`; `nil`
    /// for anything else.
    package init?(_ text: String) {
        if let checkpoint = Checkpoint(text) {
            self = checkpoint.sequenceNumber.map { .number($0) } ?? .sentinel(checkpoint)
        } else if let time = CivilTime.parseISO8601(text) {
            self = .time(time)
        } else if let duration = Self.duration(text) {
            self = .ago(duration)
        } else {
            return nil
        }
    }

    private static func duration(_ text: String) -> Duration? {
        var rest = Substring(text)
        for word in [" back", " ago"] where rest.hasSuffix(word) { rest = rest.dropLast(word.count) }
        guard !rest.isEmpty else { return nil }
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        var seconds: Int64 = 0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            // No stream keeps records for more than a year.
            guard let value = Int64(digits), value < 1_000_000_000, let unit = rest.popFirst().flatMap({ units[$0] })
            else { return nil }
            seconds += value * unit
        }
        return .seconds(seconds)
    }
}

/// A look at a stream for the first record from a time or a number on: what a plan needs before it is one. The shell
/// performs it.
///
/// It shares the shard's reads (five a second) with the real consumers, so it reads one record at a time and slowly.
package struct PositionSearch: Hashable, Sendable {
    package enum Start: Hashable, Sendable {
        case time(UnixTime)
        case number(SequenceNumber)
    }

    package enum Found: Hashable, Sendable {
        case record(SequenceNumber, arrival: UnixTime?)
        /// No such record: the shard was read to its tip or end.
        case nothing
        /// Given up after so many empty pages.
        case unfinished(pages: Int)
    }

    package var stream: String
    package var leaseKey: String
    package var shardID: String
    package var start: Start

    package init(stream: String, leaseKey: String? = nil, shardID: String, start: Start) {
        self.stream = stream
        self.leaseKey = leaseKey ?? shardID
        self.shardID = shardID
        self.start = start
    }

    /// An answer may be empty although records follow: each covers a stretch of an idle shard.
    private static let pagesMax = 240
    private static let attemptsMax = 6

    /// Asks the stream. Throttling and outages are waited for, a few seconds in all.
    package func perform(_ kinesis: KinesisClient) async throws(AWSError) -> Found {
        let position: ShardPosition =
            switch start {
            case .time(let time): .atTimestamp(time)
            case .number(let number): .atSequenceNumber(number.description)
            }
        var next: String? = try await kinesis.shardIterator(stream: stream, shard: shardID, at: position)
        for _ in 0..<Self.pagesMax {
            guard let iterator = next else { return .nothing }
            let page = try await self.page(at: iterator, kinesis)
            if let record = page.records.first {
                return .record(record.sequenceNumber, arrival: record.approximateArrival)
            }
            if page.millisBehindLatest == 0 { return .nothing }
            next = page.nextShardIterator
            // A cancelled search ends with its next call.
            try? await kinesis.client.time.sleep(for: .milliseconds(250))
        }
        return .unfinished(pages: Self.pagesMax)
    }

    private func page(at iterator: String, _ kinesis: KinesisClient) async throws(AWSError) -> RecordBatch {
        var attempt = 1
        while true {
            do throws(AWSError) {
                return try await kinesis.getRecords(iterator: iterator, limit: 1)
            } catch {
                guard error.meaning == .throttled || error.meaning == .transient, attempt < Self.attemptsMax else {
                    throw error
                }
            }
            try? await kinesis.client.time.sleep(for: .milliseconds(300 * attempt))
            attempt += 1
        }
    }
}
