import AWSWire
import Machine

/// A child process that reads a shard for a worker of this process, as the program that runs it knows it.
///
/// Ages are those of the moment when it was told (`FleetMachine.Event.childrenChanged`); in a snapshot they are those
/// of the snapshot.
package struct ChildView: Hashable, Sendable, Identifiable {
    package enum State: Hashable, Sendable {
        /// It was asked something and has not answered.
        case working
        case idle
        /// Its input is closed; it has yet to end.
        case ending
        case ended
        /// Why, in a few words.
        case failed(String)

        package var word: String {
            switch self {
            case .working: "working"
            case .idle: "idle"
            case .ending: "ending"
            case .ended: "ended"
            case .failed: "failed"
            }
        }
    }

    package var shardID: String
    /// `nil` while none runs.
    package var pid: Int32?
    package var state: State
    /// What it was asked last, by the protocol's name: `processRecords`.
    package var lastAction: String?
    /// Since a message passed, in either direction.
    package var lastMessageAge: Duration?
    /// How long it owes an answer; `nil` while it owes none.
    package var waiting: Duration?
    /// Lines on its standard output that are no messages.
    package var stray: Int
    /// Requests that it answered.
    package var answered: Int
    /// Checkpoints that were stored for it, and that were refused.
    package var checkpoints: Int
    package var refusedCheckpoints: Int
    /// Children of this shard that failed before this one.
    package var restarts: Int
    package var bytesWritten: Int
    /// Of one core, since it was last looked at; more than 1 with several threads.
    package var processorShare: Double?
    package var residentBytes: Int?

    package init(
        shardID: String, pid: Int32? = nil, state: State = .idle, lastAction: String? = nil,
        lastMessageAge: Duration? = nil, waiting: Duration? = nil, stray: Int = 0, answered: Int = 0,
        checkpoints: Int = 0, refusedCheckpoints: Int = 0, restarts: Int = 0, bytesWritten: Int = 0,
        processorShare: Double? = nil, residentBytes: Int? = nil
    ) {
        self.shardID = shardID
        self.pid = pid
        self.state = state
        self.lastAction = lastAction
        self.lastMessageAge = lastMessageAge
        self.waiting = waiting
        self.stray = stray
        self.answered = answered
        self.checkpoints = checkpoints
        self.refusedCheckpoints = refusedCheckpoints
        self.restarts = restarts
        self.bytesWritten = bytesWritten
        self.processorShare = processorShare
        self.residentBytes = residentBytes
    }

    package var id: String { shardID }

    /// A child that owes an answer for so long is worth a look.
    package static let patience: Duration = .seconds(30)

    package var isOverdue: Bool { waiting.map { $0 >= Self.patience } ?? false }

    /// The same child some time later, if nothing happened meanwhile.
    func aged(by time: Duration) -> ChildView {
        var view = self
        view.lastMessageAge = lastMessageAge.map { $0 + time }
        view.waiting = waiting.map { $0 + time }
        return view
    }
}

/// The children of this process, as last told.
struct Children: Hashable, Sendable {
    private(set) var views: [String: ChildView] = [:]
    private var toldAt: Timestamp = .zero

    var isEmpty: Bool { views.isEmpty }
    /// Whether time alone changes the picture.
    var isWaiting: Bool { views.values.contains { $0.waiting != nil } }

    mutating func told(_ children: [ChildView], at now: Timestamp) {
        views = Dictionary(children.map { ($0.shardID, $0) }, uniquingKeysWith: { $1 })
        toldAt = now
    }

    /// With the ages of `now`.
    func views(at now: Timestamp) -> [String: ChildView] {
        let time = max(.zero, now - toldAt)
        return time == .zero ? views : views.mapValues { $0.aged(by: time) }
    }

    /// Those that differ from `earlier` by more than that time went on, and those that are gone.
    func changes(since earlier: Children) -> (changed: [ChildView], gone: [String]) {
        let before = earlier.views(at: toldAt)
        let changed = views.values.filter { view in before[view.shardID].map { view.differs(from: $0) } ?? true }
        return (
            changed.sorted { $0.shardID < $1.shardID }, before.keys.filter { views[$0] == nil }.sorted()
        )
    }
}

extension ChildView {
    /// Whether more is different than the rounding of ages and a little of processor time.
    fileprivate func differs(from other: ChildView) -> Bool {
        func isNear(_ a: Duration?, _ b: Duration?) -> Bool {
            guard let a, let b else { return a == b }
            return a - b < .milliseconds(100) && b - a < .milliseconds(100)
        }
        var same = other
        if isNear(lastMessageAge, other.lastMessageAge) { same.lastMessageAge = lastMessageAge }
        if isNear(waiting, other.waiting) { same.waiting = waiting }
        if let share = processorShare, let before = other.processorShare, abs(share - before) < 0.01 {
            same.processorShare = share
        }
        return same != self
    }

    /// As a recording holds it.
    var recorded: AWSValue {
        func milliseconds(_ age: Duration?) -> AWSValue? { age.map { .int($0.wholeMilliseconds) } }
        func count(_ number: Int) -> AWSValue? { number == 0 ? nil : .int(Int64(number)) }
        let reason: AWSValue? = if case .failed(let why) = state { .string(why) } else { nil }
        return .members([
            "shard": .string(shardID), "pid": pid.map { .int(Int64($0)) }, "state": .string(state.word),
            "why": reason, "action": lastAction.map { .string($0) }, "messageMillis": milliseconds(lastMessageAge),
            "waitingMillis": milliseconds(waiting), "stray": count(stray), "answered": count(answered),
            "checkpoints": count(checkpoints), "refused": count(refusedCheckpoints), "restarts": count(restarts),
            "written": count(bytesWritten), "share": processorShare.flatMap { $0.isFinite ? .double($0) : nil },
            "resident": residentBytes.map { .int(Int64($0)) },
        ])
    }

    /// `nil` where it is none, or one of a state that a later version has.
    init?(recorded value: AWSValue) {
        guard let shard = value["shard"]?.string else { return nil }
        let state: State
        switch value["state"]?.string {
        case "working": state = .working
        case "idle": state = .idle
        case "ending": state = .ending
        case "ended": state = .ended
        case "failed": state = .failed(value["why"]?.string ?? "")
        default: return nil
        }
        func age(_ name: String) -> Duration? { value[name]?.int.map { .milliseconds(max(0, $0)) } }
        func count(_ name: String) -> Int { max(0, value[name]?.int ?? 0) }
        self.init(
            shardID: shard, pid: value["pid"]?.int.flatMap { Int32(exactly: $0) }, state: state,
            lastAction: value["action"]?.string, lastMessageAge: age("messageMillis"), waiting: age("waitingMillis"),
            stray: count("stray"), answered: count("answered"), checkpoints: count("checkpoints"),
            refusedCheckpoints: count("refused"), restarts: count("restarts"), bytesWritten: count("written"),
            processorShare: value["share"]?.double, residentBytes: value["resident"]?.int)
    }
}
