package import Machine

/// How long a child is waited for.
package struct ChildLimits: Hashable, Sendable {
    /// For each message that is expected (`timeoutInSeconds`); nil waits for ever.
    package var responseTimeout: Duration?
    /// The first wait that is worth a warning; the pause to the next doubles each time.
    package var warnAfter: Duration = .seconds(30)
    /// After its last answer a child may clean up before it gets SIGTERM.
    package var exitGrace: Duration = .seconds(10)
    /// The same for one that failed.
    package var failureGrace: Duration = .seconds(2)
    /// Between SIGTERM and SIGKILL, and for what the system needs after that.
    package var killGrace: Duration = .seconds(2)
    /// After the end of a child, for what others who have its output open still write.
    package var outputGrace: Duration = .seconds(2)

    package init() {}
}

/// The daemon's side of one child (kcl.md §8.3): one request at a time, checkpoints within it, and the child's end.
///
/// It is driven while a request is under way and rests between; what happens meanwhile waits in its mailbox.
package struct ChildMachine: Machine {
    package enum Event: Hashable, Sendable {
        /// The one event that begins: another request, while no other is under way.
        case requested(ProtocolAction)
        case written
        case replied
        case writeFailed(String)
        /// The answer to the read with this number.
        case received(Int, ProtocolReadings)
        case outputEnded
        /// The checkpoint is stored, or was refused with this Java class name; `endsShard` where it was SHARD_END.
        case checkpointed(error: String?, endsShard: Bool)
        case exited(ChildExit)
        case woke(Timestamp)
    }

    package enum Effect: Hashable, Sendable {
        /// Write the request; answered by `written` or `writeFailed`.
        case write(ProtocolAction)
        /// Write the reply; answered by `replied` or `writeFailed`.
        case reply(CheckpointReply)
        /// Answered by `received` with the same number, or by `outputEnded`.
        case read(Int)
        /// Hand the checkpoint to the checkpointer; answered by `checkpointed`.
        case checkpoint(sequenceNumber: String?, subSequenceNumber: Int64?)
        case wake(Timestamp)
        case closeInput
        case signal(ChildSignal)
        /// Kill what may be left, and give up the pipes.
        case abandon
        case warn(String)
        case report(ChildStatus)
    }

    /// A request under way.
    struct Request: Hashable, Sendable {
        var action: ProtocolAction
        var isWritten = false
        var isAnswered = false
        /// SHARD_END was stored during it.
        var endedShard = false
    }

    /// What is being done about a checkpoint of the child's.
    enum Exchange: Hashable, Sendable {
        case storing(CheckpointReply)
        case replying
    }

    enum Ending: Hashable, Sendable {
        /// The input is closed.
        case closing
        case terminating
        case killing
    }

    enum Phase: Hashable, Sendable {
        case resting
        case requesting(Request)
        case ending(Ending, deadline: Timestamp)
        case ended
    }

    let limits: ChildLimits
    var phase = Phase.resting
    var exchange: Exchange?
    /// Messages not yet looked at.
    var pending: [ProtocolMessage] = []
    /// More are left in the pipe.
    private static let pendingMax = 256
    private var reads = 0
    private var isReading = false
    var isOutputEnded = false
    var exit: (how: ChildExit, at: Timestamp)?
    /// Why it counts as failed.
    package private(set) var failure: String?
    package private(set) var status: ChildStatus
    private var reported: ChildStatus?
    var wait: Wait?
    private var wakeAt: Timestamp?

    /// An answer that is owed.
    struct Wait: Hashable, Sendable {
        var since: Timestamp
        var warnAt: Timestamp
        var pause: Duration
    }

    package init(shardID: String, pid: Int32? = nil, restarts: Int = 0, limits: ChildLimits = ChildLimits()) {
        self.limits = limits
        status = ChildStatus(shardID: shardID, pid: pid, restarts: restarts)
    }

    /// Nothing is under way.
    package var isFinished: Bool {
        switch phase {
        case .resting, .ended: true
        case .requesting, .ending: false
        }
    }

    /// The child is gone, and may not be asked any more.
    package var isEnded: Bool { phase == .ended }

    package mutating func handle(_ event: Event, at now: Timestamp) -> [Effect] {
        var effects: [Effect] = []
        take(event, at: now, &effects)
        advance(at: now, &effects)
        if isFinished {
            // What was started for the request is cancelled now.
            isReading = false
            wakeAt = nil
        } else {
            readOn(&effects)
            armWake(&effects)
        }
        status.state = state
        status.waitingSince = wait?.since
        if status != reported {
            reported = status
            effects.append(.report(status))
        }
        return effects
    }

    private var state: ChildStatus.State {
        switch phase {
        case .resting: exit.map { .failed("it \($0.how)") } ?? .idle
        case .requesting: .working
        case .ending: .ending
        case .ended: failure.map { .failed($0) } ?? .ended
        }
    }

    private mutating func take(_ event: Event, at now: Timestamp, _ effects: inout [Effect]) {
        switch event {
        case .requested(let action): begin(action, at: now, &effects)
        case .written:
            if case .requesting(var request) = phase {
                request.isWritten = true
                phase = .requesting(request)
            }
        case .replied:
            guard exchange == .replying else { break }
            exchange = nil
            if case .requesting(let request) = phase, !request.isAnswered { startWaiting(now) }
        case .writeFailed(let reason):
            if exchange == .replying { exchange = nil }
            if case .requesting = phase { fail("its input is closed: \(reason)", at: now, &effects) }
        case .received(let number, let readings):
            if number == reads { isReading = false }
            status.stray += readings.stray
            pending += readings.messages
            if !readings.messages.isEmpty { status.lastMessageAt = now }
        case .outputEnded:
            isReading = false
            isOutputEnded = true
        case .checkpointed(let error, let endsShard): finishStoring(error, endsShard: endsShard, at: now, &effects)
        case .exited(let how): if exit == nil { exit = (how, now) }
        case .woke(let deadline): if wakeAt == deadline { wakeAt = nil }
        }
    }

    private mutating func begin(_ action: ProtocolAction, at now: Timestamp, _ effects: inout [Effect]) {
        guard phase == .resting else { return }
        status.lastAction = action
        status.lastMessageAt = now
        phase = .requesting(Request(action: action))
        if let exit {
            fail("it had \(exit.how) before it was asked to \(action.rawValue)", at: now, &effects)
            return
        }
        // An answer that nobody had asked for yet answers nothing.
        let early = pending.count
        pending.removeAll { if case .status = $0 { true } else { false } }
        status.stray += early - pending.count
        startWaiting(now)
        effects.append(.write(action))
    }

    mutating func startWaiting(_ now: Timestamp) {
        wait = Wait(since: now, warnAt: now + limits.warnAfter, pause: limits.warnAfter)
    }

    private mutating func finishStoring(
        _ error: String?, endsShard: Bool, at now: Timestamp, _ effects: inout [Effect]
    ) {
        guard case .storing(var reply)? = exchange else { return }
        if error == nil { status.checkpoints += 1 } else { status.refusedCheckpoints += 1 }
        guard case .requesting(var request) = phase else {
            exchange = nil
            return
        }
        if endsShard, error == nil {
            request.endedShard = true
            phase = .requesting(request)
        }
        reply.error = error
        exchange = .replying
        // It has to read this too.
        startWaiting(now)
        effects.append(.reply(reply))
    }

    /// Counts the child as failed and begins its end; the first reason stays.
    mutating func fail(_ reason: String, at now: Timestamp, _ effects: inout [Effect]) {
        failure = failure ?? reason
        end(grace: limits.failureGrace, at: now, &effects)
    }

    mutating func end(grace: Duration, at now: Timestamp, _ effects: inout [Effect]) {
        wait = nil
        if exchange == .replying { exchange = nil }
        phase = .ending(.closing, deadline: now + grace)
        effects.append(.closeInput)
    }

    /// The end: nothing is owed to the child any more.
    mutating func finish(_ effects: inout [Effect]) {
        if let reason = failure, let exit, !reason.contains(exit.how.description) {
            failure = "\(reason) (it \(exit.how))"
        }
        phase = .ended
        effects.append(.abandon)
    }

    mutating func finishRequest() {
        status.answered += 1
        wait = nil
        phase = .resting
    }

    mutating func countAnswer() { status.answered += 1 }

    mutating func countStray(_ count: Int) { status.stray += count }

    mutating func countRefusal() { status.refusedCheckpoints += 1 }

    private mutating func readOn(_ effects: inout [Effect]) {
        guard !isReading, !isOutputEnded, pending.count < Self.pendingMax else { return }
        isReading = true
        reads += 1
        effects.append(.read(reads))
    }

    private mutating func armWake(_ effects: inout [Effect]) {
        guard let deadline = nextDeadline, deadline < wakeAt ?? .never else { return }
        wakeAt = deadline
        effects.append(.wake(deadline))
    }
}
