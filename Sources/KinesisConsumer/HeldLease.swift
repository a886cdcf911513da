import AWSWire
import Leases
import Machine

/// What came of a conditional write.
enum WriteResult: Sendable, Hashable {
    case stored(Lease?)
    /// The condition did not hold. The image is the row as it was then; `nil` where there is none or it was not told.
    case conditionFailed(Lease?)
    /// No answer: it may have taken effect.
    case lost(String)
    /// It surely did not take effect.
    case failed(AWSError.Meaning, String)
}

/// The row of a lease that this worker holds, and the one write that may be in flight on it.
///
/// Renewals, checkpoints and the release queue here, because two writes at once would race on `leaseCounter` and make
/// false ZOMBIEs. A write whose answer was lost is unknown: the row is read again before the next one. The lease is
/// held until failoverTimeMillis after its last successful write was *sent* (kcl.md §4.1, §12.6).
struct HeldLease: Sendable {
    enum Write: Hashable, Sendable {
        case renew
        case checkpoint(Checkpoint)
        case prepare(PendingCheckpoint)
        case setChildren([String])
        case release
    }

    enum Action: Hashable, Sendable {
        case send(UpdateItem)
        case read
        /// A queued write other than a renewal is done, or will not be.
        case finished(Write, CheckpointError?)
        /// The lease is not ours any more.
        case lost(String)
        case released
    }

    struct Sent: Sendable {
        var write: Write
        var at: Timestamp
    }

    let table: String
    let owner: String
    private(set) var failoverTime: Duration
    private var renewInterval: Duration
    /// A shorter failover time that holds from the next renewal on.
    private var nextFailoverTime: Duration?
    private(set) var lease: Lease
    /// When the last write that succeeded was sent.
    private(set) var confirmedAt: Timestamp
    private var nextRenewal: Timestamp
    private var queue: [Write] = []
    private(set) var inFlight: Sent?
    private var isReading = false
    /// A write whose answer was lost; it may be applied, now or later.
    private var unknown: Sent?
    private var failures = 0
    /// How often the checkpoint at the front of the queue was sent without an answer that settles it.
    private var tries = 0
    /// So often a checkpoint is sent before its caller decides; a renewal goes on until the fence.
    private static let triesMax = 6
    private var notBefore = Timestamp.zero
    private(set) var isOver = false

    /// - Parameter sentAt: when the take that acquired the lease was sent.
    init(
        _ lease: Lease, table: String, owner: String, failoverTime: Duration, renewInterval: Duration,
        sentAt: Timestamp
    ) {
        self.lease = lease
        self.table = table
        self.owner = owner
        self.failoverTime = failoverTime
        self.renewInterval = renewInterval
        confirmedAt = sentAt
        nextRenewal = sentAt + renewInterval
    }

    /// From this moment on others may take the lease: nothing is delivered or written any more.
    var fence: Timestamp { confirmedAt + failoverTime }

    /// Until when records may be handed over: a worker that was paused past a renewal renews before it delivers.
    var deliveryFence: Timestamp { confirmedAt + failoverTime * 2 / 3 }

    var isWriting: Bool { inFlight != nil || isReading }

    var nextDeadline: Timestamp {
        if isOver { return .never }
        if isWriting { return fence }
        return min(fence, max(notBefore, queue.isEmpty && unknown == nil ? nextRenewal : .zero))
    }

    /// The fence comes closer only with a renewal at the new pace; a lease that was renewed in time stays held.
    mutating func adapt(to pace: WorkerMachine.Pace) {
        nextFailoverTime = pace.failoverTime < failoverTime ? pace.failoverTime : nil
        failoverTime = max(failoverTime, pace.failoverTime)
        renewInterval = pace.renewInterval
        nextRenewal = min(nextRenewal, confirmedAt + renewInterval)
    }

    mutating func enqueue(_ write: Write) { queue.append(write) }

    /// Starts the write that is due, or finds the lease expired.
    mutating func advance(_ now: Timestamp) -> [Action] {
        if isOver { return [] }
        if now >= fence {
            return end("not renewed for \(failoverTime.wholeMilliseconds) ms")
        }
        guard !isWriting, now >= notBefore else { return [] }
        if unknown != nil, failures > 0 {
            isReading = true
            return [.read]
        }
        // The renewal goes first: a checkpoint never replaces it.
        if now >= nextRenewal, queue.first != .release { return [send(.renew, now)] }
        return queue.first.map { [send($0, now)] } ?? []
    }

    private mutating func send(_ write: Write, _ now: Timestamp) -> Action {
        inFlight = Sent(write: write, at: now)
        if write != .renew { tries += 1 }
        if write == .renew { nextRenewal = max(nextRenewal + renewInterval, now + renewInterval / 2) }
        return switch write {
        case .renew: .send(LeaseTable.renew(table: table, lease))
        case .checkpoint(let position): .send(LeaseTable.checkpoint(table: table, lease, at: position))
        case .prepare(let pending): .send(LeaseTable.prepare(table: table, lease, pending: pending))
        case .setChildren(let children): .send(LeaseTable.setChildren(table: table, lease, children))
        case .release: .send(LeaseTable.release(table: table, lease))
        }
    }

    mutating func written(_ result: WriteResult, at now: Timestamp) -> [Action] {
        guard let sent = inFlight else { return [] }
        inFlight = nil
        if isOver { return [] }
        switch result {
        case .stored:
            return stored(sent)
        case .conditionFailed(let image):
            if let image { return judge(image, now) }
            isReading = true
            return [.read]
        case .lost:
            unknown = sent
            backOff(now)
            return []
        case .failed(let meaning, let message):
            backOff(now)
            // A renewal that surely did not happen is due again, long before the next one would be.
            if sent.write == .renew { nextRenewal = min(nextRenewal, notBefore) }
            return giveBack(sent.write, meaning, message)
        }
    }

    /// A scan showed the row in another's hands: a consistent read decides, without waiting for the next renewal.
    mutating func doubted() -> [Action] {
        guard !isOver, !isWriting else { return [] }
        isReading = true
        return [.read]
    }

    /// The row as a consistent read shows it, after a lost answer.
    mutating func read(_ row: Lease?, failed: Bool, at now: Timestamp) -> [Action] {
        guard isReading else { return [] }
        isReading = false
        if isOver { return [] }
        if failed {
            backOff(now)
            return []
        }
        guard let row else { return end("the lease's row is gone") }
        return judge(row, now)
    }

    /// Decides by the row's image whether the lease is still ours, and whether the write whose answer was lost took
    /// effect.
    private mutating func judge(_ image: Lease, _ now: Timestamp) -> [Action] {
        if image.leaseOwner == owner, image.leaseCounter == lease.leaseCounter {
            // Not applied yet. It may still arrive, so it stays in mind; the next write's condition sorts them out.
            failures = 0
            nextRenewal = min(nextRenewal, now)
            return giveUpUnanswered() + advance(now)
        }
        guard let unknown, image.leaseCounter == lease.leaseCounter &+ 1, matches(image, unknown.write) else {
            return end(
                image.leaseOwner == owner
                    ? "its counter was changed by another hand" : "taken by \(image.leaseOwner ?? "nobody")")
        }
        self.unknown = nil
        return stored(unknown)
    }

    private func matches(_ image: Lease, _ write: Write) -> Bool {
        switch write {
        case .renew: image.leaseOwner == owner && image.checkpoint == lease.checkpoint
        case .checkpoint(let position): image.leaseOwner == owner && image.checkpoint == position
        case .prepare(let pending): image.leaseOwner == owner && image.pendingCheckpoint == pending
        case .setChildren: false
        case .release: image.leaseOwner == nil
        }
    }

    private mutating func stored(_ sent: Sent) -> [Action] {
        failures = 0
        unknown = nil
        if case .setChildren(let children) = sent.write {
            lease.childShardIDs = children.sorted()
        } else {
            // Wraps like the write that was sent, whatever the row held.
            lease.leaseCounter &+= 1
            confirmedAt = max(confirmedAt, sent.at)
            if let shorter = nextFailoverTime { (failoverTime, nextFailoverTime) = (shorter, nil) }
        }
        switch sent.write {
        case .renew: return []
        case .checkpoint(let position):
            lease.checkpoint = position
            lease.pendingCheckpoint = nil
            lease.ownerSwitchesSinceCheckpoint = 0
        case .prepare(let pending): lease.pendingCheckpoint = pending
        case .setChildren: break
        case .release:
            lease.leaseOwner = nil
            isOver = true
            return [.released]
        }
        if queue.first == sent.write {
            queue.removeFirst()
            tries = 0
        }
        return [.finished(sent.write, nil)]
    }

    /// A checkpoint that failed for good reasons goes back to its caller after a few tries, who decides (kcl.md §7);
    /// everything else is tried again until the fence.
    private mutating func giveBack(_ write: Write, _ meaning: AWSError.Meaning, _ message: String) -> [Action] {
        guard failures >= 3, queue.first == write else { return [] }
        switch write {
        case .checkpoint, .prepare: break
        case .renew, .setChildren, .release: return []
        }
        queue.removeFirst()
        failures = 0
        tries = 0
        let error: CheckpointError =
            meaning == .throttled
            ? .throttling : meaning == .notFound ? .invalidState(message) : .dependency(message)
        return [.finished(write, error)]
    }

    /// A checkpoint whose answers are lost again and again while renewals pass: the caller decides. Whether one of them
    /// arrives yet, the next write finds out.
    private mutating func giveUpUnanswered() -> [Action] {
        guard tries >= Self.triesMax, let write = queue.first else { return [] }
        switch write {
        case .checkpoint, .prepare: break
        case .renew, .setChildren, .release: return []
        }
        queue.removeFirst()
        tries = 0
        return [.finished(write, .dependency("the lease table did not answer"))]
    }

    private mutating func backOff(_ now: Timestamp) {
        failures += 1
        let pause = min(Duration.milliseconds(50) * (1 << min(failures, 6)), renewInterval / 2)
        notBefore = now + pause
    }

    private mutating func end(_ reason: String) -> [Action] {
        isOver = true
        let waiting = queue.filter { $0 != .renew }
        queue = []
        return waiting.map { .finished($0, .shutdown) } + [.lost(reason)]
    }

    /// The lease goes without a write: the worker stops renewing and others will find it expired.
    mutating func abandon() -> [Action] {
        isOver ? [] : end("given up without release")
    }
}
