import AWSWire
import Leases
package import Machine

/// What an observer heard of late, small enough to keep: any moment of it can be looked at again.
///
/// It is a row of chunks. Each begins with the whole table and goes on with what changed, as numbers against what was
/// there before: the counter of a lease takes five bytes, a checkpoint some twenty. Where a fleet is so large that its
/// scans would not fit, only every so manieth is kept; what engines say is always kept.
package struct Timeline: Sendable {
    let configuration: FleetConfiguration
    private let span: Duration
    private let bytesMax: Int
    private(set) var chunks: [Chunk]
    private var encoder = RowEncoder()
    private var passItems: [Item] = []
    private var standing: [Standing: FleetMachine.Event] = [:]
    private var shards: [Shard] = []
    private var named: [StreamID: [StreamQuestion: FleetMachine.Event]] = [:]
    private var wallClock: UnixTime
    private var keptScan: (at: Timestamp, bytes: Int)?
    /// When the newest event came.
    package private(set) var end: Timestamp

    /// What a chunk is at most: a look into it reads it from its beginning.
    private static let chunkLength: Duration = .seconds(600)
    private static let chunksAtLeast = 6

    /// - Parameter span: how far back it goes at the least, if `bytesMax` allows.
    package init(
        _ configuration: FleetConfiguration, at now: Timestamp, wallClock: UnixTime, span: Duration = .seconds(3600),
        bytesMax: Int = 24 << 20
    ) {
        var configuration = configuration
        configuration.isRecording = false
        self.configuration = configuration
        self.span = span
        self.bytesMax = bytesMax
        self.wallClock = wallClock
        chunks = [Chunk(start: now, wallClock: wallClock)]
        end = now
    }

    /// The earliest moment that can be looked at.
    package var start: Timestamp { chunks.first?.start ?? end }

    /// About how much memory it takes.
    package var bytes: Int { chunks.reduce(0) { $0 + $1.cost } }

    package mutating func note(_ event: FleetMachine.Event, at now: Timestamp) {
        let now = max(now, end)
        end = now
        beginChunkIfDue(at: now)
        switch event {
        case .scanned(let page, let info):
            passItems += page.items
            guard page.next == nil else { return }
            wallClock = info.wallClock
            scanned(passItems, info, at: now)
            passItems = []
        case .scanFailed:
            passItems = []
            add(.other(event), at: now)
        case .rowWritten(let item):
            let rows = chunks[chunks.count - 1].encode([item], with: &encoder)
            add(.row(rows), at: now)
        case .rowsRead(let answer, let info):
            // In the midst of a scan they may be older than what it showed already.
            guard passItems.isEmpty else { return }
            let rows = chunks[chunks.count - 1].encode(answer.items, with: &encoder)
            add(.rows(rows, .init(keys: answer.items.compactMap { $0[LeaseTable.hashKey]?.string }, info)), at: now)
        case .shardsListed(let shards, let info):
            // An unchanged list is the same array.
            if self.shards != shards { self.shards = shards }
            add(.other(.shardsListed(self.shards, info)), at: now)
        case .streamRead(let stream, let answer, let info):
            switch answer {
            case .shards(let shards):
                // An unchanged list is the same array.
                var known = shards
                if case .streamRead(_, .shards(let old), _)? = named[stream]?[.shards], old == shards { known = old }
                add(.other(.streamRead(stream, .shards(known), info)), at: now)
            case .summary, .failed: add(.other(event), at: now)
            }
        case .streamDescribed, .migrationItemRead, .ownWorkersChanged, .childrenChanged, .shardListFailed,
            .streamDescriptionFailed, .tableDescriptionFailed, .migrationItemFailed, .leaderRead, .leaderFailed,
            .workerMetricsRead, .workerMetricsFailed, .probed, .metricLagsRead, .metricLagsFailed, .rowsReadFailed:
            add(.other(event), at: now)
        // A program's own lines may hold what it read.
        case .happened(let event) where event.kind == .childOutput: return
        case .happened(let event):
            let bytes = chunks[chunks.count - 1].store(Array(event.json(seq: 0).utf8))
            add(.said(bytes), at: now)
        case .woke, .tableDescribed, .probeFailed, .writabilityChanged, .refreshChanged, .rowsShown, .refreshRequested,
            .stopRequested:
            return
        }
    }

    private mutating func add(_ what: Chunk.What, at now: Timestamp) {
        if case .other(let event) = what {
            if let kind = Standing(event) { standing[kind] = event }
            if let (stream, question) = event.standingStream { named[stream, default: [:]][question] = event }
        }
        chunks[chunks.count - 1].add(what, at: now)
    }

    private mutating func scanned(_ items: [Item], _ info: FleetMachine.CallInfo, at now: Timestamp) {
        if let keptScan, now - keptScan.at < interval(ofScansWith: keptScan.bytes) { return }
        let before = chunks[chunks.count - 1].bytes.count
        let rows = chunks[chunks.count - 1].encode(items, with: &encoder, isWhole: true)
        // The first scan brings every row whole and says nothing of those to come.
        let bytes = keptScan == nil ? 0 : chunks[chunks.count - 1].bytes.count - before
        keptScan = (now, bytes)
        add(.scan(rows, info), at: now)
    }

    /// How far apart scans of so many bytes must be to leave half of the room to everything else.
    private func interval(ofScansWith bytes: Int) -> Duration {
        span * (Double(bytes) / Double(max(1, bytesMax / 2)))
    }

    private mutating func beginChunkIfDue(at now: Timestamp) {
        let last = chunks[chunks.count - 1]
        guard now - last.start >= Self.chunkLength || last.cost > bytesMax / Self.chunksAtLeast, !last.isEmpty else {
            return
        }
        var chunk = Chunk(start: now, wallClock: wallClock)
        let items = encoder.items
        encoder = RowEncoder()
        chunk.add(.table(chunk.encode(items, with: &encoder, isWhole: true)), at: now)
        for kind in Standing.allCases {
            if let event = standing[kind] { chunk.add(.other(event), at: now) }
        }
        for (_, events) in named.sorted(by: { $0.key < $1.key }) {
            for question in StreamQuestion.allCases {
                if let event = events[question] { chunk.add(.other(event), at: now) }
            }
        }
        chunks.append(chunk)
        while chunks.count > 1, now - chunks[1].start >= span || bytes > bytesMax { chunks.removeFirst() }
    }
}

/// What stays true until it is said anew; said again at the beginning of every chunk.
enum Standing: Int, CaseIterable {
    case shards, stream, migration, leader, workerMetrics, workers, children

    /// `nil` where the event is of its moment only.
    init?(_ event: FleetMachine.Event) {
        switch event {
        case .shardsListed: self = .shards
        case .streamDescribed: self = .stream
        case .migrationItemRead: self = .migration
        case .leaderRead: self = .leader
        case .workerMetricsRead: self = .workerMetrics
        case .ownWorkersChanged: self = .workers
        case .childrenChanged: self = .children
        case .woke, .scanned, .scanFailed, .shardListFailed, .streamDescriptionFailed, .streamRead, .tableDescribed,
            .tableDescriptionFailed, .migrationItemFailed, .leaderFailed, .workerMetricsFailed, .probed, .probeFailed,
            .metricLagsRead, .metricLagsFailed, .happened, .rowWritten, .rowsRead, .rowsReadFailed, .rowsShown,
            .writabilityChanged, .refreshChanged, .refreshRequested, .stopRequested:
            return nil
        }
    }
}

/// Which rows a read of certain ones showed, and what it cost.
struct RowsLook: Sendable {
    var keys: [String]
    var info: FleetMachine.CallInfo

    init(keys: [String], _ info: FleetMachine.CallInfo) {
        self.keys = keys.sorted()
        self.info = info
    }
}

/// Some minutes of a timeline, readable without the others.
struct Chunk: Sendable {
    enum What: Sendable {
        /// The table as it was when the chunk began.
        case table(Range<Int>)
        /// What a scan brought, and what it cost.
        case scan(Range<Int>, FleetMachine.CallInfo)
        case row(Range<Int>)
        /// What changed in certain rows that were read.
        case rows(Range<Int>, RowsLook)
        /// An engine's event as JSON.
        case said(Range<Int>)
        case other(FleetMachine.Event)
    }

    /// A place in `bytes`, or in `others` and `infos`.
    fileprivate struct Entry {
        enum Kind: UInt8 { case table, scan, row, rows, said, other }

        var at: Timestamp
        var kind: Kind
        var info: UInt32 = 0
        var first: UInt32 = 0
        var end: UInt32 = 0
    }

    let start: Timestamp
    let wallClock: UnixTime
    private(set) var bytes: [UInt8] = []
    private var entries: [Entry] = []
    private var others: [FleetMachine.Event] = []
    private var infos: [FleetMachine.CallInfo] = []
    private var looks: [RowsLook] = []
    /// What numbers in `bytes` stand for.
    var words = RowWords()
    /// About how much memory it takes.
    private(set) var cost = 0

    init(start: Timestamp, wallClock: UnixTime) {
        self.start = start
        self.wallClock = wallClock
    }

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }

    mutating func store(_ added: [UInt8]) -> Range<Int> {
        let first = bytes.count
        bytes += added
        cost += added.count
        return first..<bytes.count
    }

    mutating func encode(_ items: [Item], with encoder: inout RowEncoder, isWhole: Bool = false) -> Range<Int> {
        let known = words.cost
        var row: [UInt8] = []
        encoder.encode(items, isWhole: isWhole, words: &words, into: &row)
        cost += words.cost - known
        return store(row)
    }

    mutating func add(_ what: What, at now: Timestamp) {
        var entry: Entry
        switch what {
        case .table(let place): entry = Entry(at: now, kind: .table, place)
        case .scan(let place, let info):
            entry = Entry(at: now, kind: .scan, place)
            entry.info = UInt32(infos.count)
            infos.append(info)
            cost += MemoryLayout<FleetMachine.CallInfo>.stride
        case .row(let place): entry = Entry(at: now, kind: .row, place)
        case .rows(let place, var look):
            entry = Entry(at: now, kind: .rows, place)
            entry.info = UInt32(looks.count)
            cost += MemoryLayout<RowsLook>.stride
            // The same rows as before are the same array.
            if let last = looks.last, last.keys == look.keys {
                look.keys = last.keys
            } else {
                cost += look.keys.count * (MemoryLayout<String>.stride + 48)
            }
            looks.append(look)
        case .said(let place): entry = Entry(at: now, kind: .said, place)
        case .other(let event):
            entry = Entry(at: now, kind: .other, others.count..<others.count)
            others.append(event)
            cost += event.size
        }
        entries.append(entry)
        cost += MemoryLayout<Entry>.stride
    }

    /// The time of an entry and what it is.
    subscript(index: Int) -> (at: Timestamp, what: What) {
        let entry = entries[index]
        let place = Int(entry.first)..<Int(entry.end)
        let what: What =
            switch entry.kind {
            case .table: .table(place)
            case .scan: .scan(place, infos[Int(entry.info)])
            case .row: .row(place)
            case .rows: .rows(place, looks[Int(entry.info)])
            case .said: .said(place)
            case .other: .other(others[Int(entry.first)])
            }
        return (entry.at, what)
    }
}

extension Chunk.Entry {
    fileprivate init(at: Timestamp, kind: Kind, _ place: Range<Int>) {
        self.init(
            at: at, kind: kind, first: UInt32(clamping: place.lowerBound), end: UInt32(clamping: place.upperBound))
    }
}

extension FleetMachine.Event {
    /// What stays true of one of the streams that a table names; `nil` for anything else.
    var standingStream: (StreamID, StreamQuestion)? {
        switch self {
        case .streamRead(let stream, .shards, _): (stream, .shards)
        case .streamRead(let stream, .summary, _): (stream, .summary)
        default: nil
        }
    }

    /// About how much memory it takes; a list of shards is shared with the one before.
    fileprivate var size: Int {
        let own = MemoryLayout<FleetMachine.Event>.stride
        return switch self {
        case .childrenChanged(let views): own + views.count * MemoryLayout<ChildView>.stride
        case .workerMetricsRead(let items, _): own + (items?.count ?? 0) * 1000
        case .metricLagsRead(let lags, _): own + lags.count * MemoryLayout<MetricLag>.stride
        default: own
        }
    }
}
