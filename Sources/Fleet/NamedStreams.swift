package import AWSWire
package import Leases
import Machine

/// What is asked of one of the streams that a multi-stream table names.
package enum StreamQuestion: Hashable, Sendable, CaseIterable {
    case shards
    case summary
}

/// What came of it.
package enum StreamAnswer: Hashable, Sendable {
    case shards([Shard])
    case summary(StreamSummary)
    case failed(StreamQuestion, AWSError)
}

/// One of the streams that a multi-stream table names, as it is known now.
package struct StreamView: Hashable, Sendable {
    package var id: StreamID
    /// How calls name it: its name, or its ARN where another account has it.
    package var address: String
    /// `nil` before its shards were listed.
    package var shards: ShardTree?
    package var match: StreamMatch
    package var retention: Duration?
    /// The rows that name it.
    package var leases: Int
    /// Why it cannot be read; `nil` where it can.
    package var failure: String?
    /// All was asked that is asked at first, and answered.
    package var isSettled: Bool

    package init(
        id: StreamID, address: String, shards: ShardTree? = nil, match: StreamMatch, retention: Duration? = nil,
        leases: Int = 0, failure: String? = nil, isSettled: Bool = true
    ) {
        self.id = id
        self.address = address
        self.shards = shards
        self.match = match
        self.retention = retention
        self.leases = leases
        self.failure = failure
        self.isSettled = isSettled
    }
}

/// A stream that keys of a multi-stream table name.
struct NamedStream: Sendable {
    let id: StreamID
    let text: String
    /// It is looked at: no `--stream`, or this one.
    let isWanted: Bool
    var leases = 0
    var shards: ShardTree?
    var listedAt: Timestamp?
    var isListDenied = false
    /// `shards`, but for a list that may not be read again: that one says ever less of the stream as it is.
    var currentShards: ShardTree? { isListDenied ? nil : shards }
    var retention: Duration?
    /// When the stream of this name was created.
    var created: UnixTime?
    var isDescribed = false
    var match = StreamMatch.unverified("its shards are not listed yet")
    var strangeSince: Timestamp?
    /// The rows whose checkpoints are of an earlier stream of this name.
    var recreated: [String] = []
    /// The key names a stream that was there before the one of this name.
    var isKeyOfEarlier = false
    var holes = HoleWatch()
    var failures: [StreamQuestion: (failure: FleetFailure, count: Int)] = [:]

    fileprivate(set) var next: [StreamQuestion: Timestamp]
    fileprivate(set) var underWay: Set<StreamQuestion> = []

    init(_ id: StreamID, isWanted: Bool, at now: Timestamp) {
        self.id = id
        text = id.text
        self.isWanted = isWanted
        next = [.shards: now, .summary: now]
    }

    /// Whether the checkpoints of other streams show that this is none of the table's.
    var isForeign: Bool { if case .foreign = match { true } else { false } }
}

/// The streams that a multi-stream table names, and when each is asked. Calls are spread: one at a time every 100 ms,
/// 100 lists a minute in all, so that a table of many streams is listed more slowly and never dearer.
struct NamedStreams: Sendable {
    static let spacing: Duration = .milliseconds(100)
    static let listsPerMinute = 100
    /// Retention and creation change seldom; the call is shared by the whole account.
    static let summaryInterval: Duration = .seconds(300)
    private static let underWayMax = 8

    private(set) var all: [NamedStream] = []
    private var places: [StreamID: Int] = [:]
    private var nextCall = Timestamp.zero
    /// When the lists of the last minute were asked for.
    private var listed: [Timestamp] = []

    var isEmpty: Bool { all.isEmpty }

    /// Whether any of them is looked at.
    private(set) var hasWanted = false

    func isWanted(_ place: Int) -> Bool { all[place].isWanted }

    subscript(place: Int) -> NamedStream {
        get { all[place] }
        set { all[place] = newValue }
    }

    func place(of id: StreamID) -> Int? { places[id] }

    mutating func place(of id: StreamID, isWanted: Bool, at now: Timestamp) -> Int {
        if let known = places[id] { return known }
        let place = all.count
        places[id] = place
        all.append(NamedStream(id, isWanted: isWanted, at: now))
        if isWanted { hasWanted = true }
        return place
    }

    /// How often each is listed.
    func listInterval(_ usual: Duration) -> Duration {
        max(usual, .seconds(60) * (Double(all.count { $0.isWanted && $0.leases > 0 }) / Double(Self.listsPerMinute)))
    }

    // MARK: - When to ask

    /// The next question, where one may be asked now.
    mutating func due(at now: Timestamp) -> (place: Int, question: StreamQuestion)? {
        guard nextCall <= now, underWay < Self.underWayMax, let next = earliest(mayList: mayList(at: now)),
            next.at <= now
        else { return nil }
        nextCall = now + Self.spacing
        if next.question == .shards { listed.append(now) }
        all[next.place].underWay.insert(next.question)
        return (next.place, next.question)
    }

    /// When `due` is worth asking; `nil` where nothing waits but answers.
    func wake(at now: Timestamp) -> Timestamp? {
        guard underWay < Self.underWayMax else { return nil }
        var wakes: [Timestamp] = []
        if let next = earliest(mayList: false) { wakes.append(next.at) }
        if let next = earliest(mayList: true) {
            // Where the minute's lists are used up, the next one is for when the first of them is a minute old.
            let free =
                listed.count < Self.listsPerMinute ? now : listed[listed.count - Self.listsPerMinute] + .seconds(60)
            wakes.append(next.question == .shards ? max(next.at, free) : next.at)
        }
        return wakes.min().map { max($0, nextCall) }
    }

    private var underWay: Int { all.reduce(0) { $0 + $1.underWay.count } }

    private mutating func mayList(at now: Timestamp) -> Bool {
        listed.removeAll { now - $0 >= .seconds(60) }
        return listed.count < Self.listsPerMinute
    }

    private func earliest(mayList: Bool) -> (at: Timestamp, place: Int, question: StreamQuestion)? {
        var best: (at: Timestamp, place: Int, question: StreamQuestion)?
        for place in all.indices where all[place].isWanted && all[place].leases > 0 {
            for question in StreamQuestion.allCases where question == .summary || mayList {
                guard !all[place].underWay.contains(question), let at = all[place].next[question] else { continue }
                if at < best?.at ?? .never { best = (at, place, question) }
            }
        }
        return best
    }

    /// An answer came; the same is asked again after `interval`.
    mutating func answered(_ place: Int, _ question: StreamQuestion, next: Timestamp) {
        all[place].underWay.remove(question)
        all[place].next[question] = next
    }

    /// Asks earlier than otherwise, though not before `time`.
    mutating func want(_ place: Int, _ question: StreamQuestion, at time: Timestamp) {
        all[place].next[question] = min(all[place].next[question] ?? time, time)
    }
}
