import AWSWire
import Leases
import Machine

/// Enhanced fan-out: one subscription after the other, pulled event by event (kcl.md §6.2).
///
/// A pull is an effect only when there is room for what it brings, so that a slow processor holds up the stream and
/// nothing piles up. Subscriptions are numbered: whatever comes of an older one is dropped, and an older one that comes
/// late is closed.
extension Retrieval {
    struct FanOut: Sendable {
        /// Events that may wait for the processor, as in Java.
        static let queuedMax = 11
        static let eventBytes = 64 << 10
        static let eventBytesMax = 2 << 20
        /// The service takes a new subscription to the same shard for so long after the one before.
        static let betweenSubscriptions: Duration = .seconds(5)
        /// An event comes every few seconds, also when there are no records.
        static let silenceMax: Duration = .seconds(60)
        /// A transport gives up a stream that nobody reads after 30 s.
        static let pauseMax: Duration = .seconds(25)
        /// A subscription that was left alone for so long has no rival.
        static let undisputed: Duration = .seconds(60)

        enum Phase: Hashable, Sendable {
            case idle
            case opening(Int)
            case open(Int)
        }

        fileprivate(set) var phase = Phase.idle
        private var lastID = 0
        /// Asked for and not answered. There is never a second one, which could overtake it.
        private(set) var asked: Int?
        /// Given up, and the shell does not know yet.
        private var abandoned: [Int] = []
        fileprivate(set) var isPulling = false
        /// Since when the subscription is pulled, or stands still because there is no room.
        fileprivate var changedAt = Timestamp.zero
        /// When the last subscription began that the service granted.
        fileprivate var openedAt: Timestamp?
        fileprivate var notBefore = Timestamp.zero
        fileprivate var failures = 0
        /// How often in a row somebody else took the subscription over.
        fileprivate var takeovers = 0

        fileprivate mutating func begin() -> Int {
            lastID += 1
            phase = .opening(lastID)
            asked = lastID
            return lastID
        }

        fileprivate mutating func answered(_ id: Int) {
            if asked == id { asked = nil }
        }

        /// Lets go of what is open. One that is still on its way is closed when it comes.
        fileprivate mutating func abandon() {
            if case .open(let id) = phase { abandoned.append(id) }
            phase = .idle
            isPulling = false
        }

        /// Those that the shell has to close.
        mutating func takeAbandoned() -> [Int] {
            defer { abandoned = [] }
            return abandoned
        }

        /// The earliest moment of the next subscription.
        fileprivate mutating func wait(until moment: Timestamp) {
            notBefore = max(moment, openedAt.map { $0 + Self.betweenSubscriptions } ?? .zero)
        }

        mutating func restart(_ now: Timestamp) {
            abandon()
            wait(until: now)
        }

        /// After a failure: after 1, 2, 4, then every 8 seconds.
        mutating func tryAgain(_ now: Timestamp) {
            failures += 1
            wait(until: now + .seconds(1 << min(failures - 1, 3)))
        }
    }

    func subscriptionDeadline(_ fanOut: FanOut) -> Timestamp {
        switch fanOut.phase {
        case .idle: hasRoom && fanOut.asked == nil ? fanOut.notBefore : .never
        case .opening: .never
        case .open: fanOut.changedAt + (fanOut.isPulling ? FanOut.silenceMax : FanOut.pauseMax)
        }
    }

    mutating func readSubscriptionIfDue(
        _ now: Timestamp, mayOpen: Bool, fence: Timestamp, shardID: String
    ) -> [ShardMachine.Effect] {
        guard let fanOut else { return [] }
        switch fanOut.phase {
        case .idle:
            guard fanOut.asked == nil, hasRoom, mayOpen, now >= fanOut.notBefore, let id = self.fanOut?.begin()
            else { return [] }
            return [.subscribe(id, at: position, fence: fence)]
        case .opening: return []
        case .open(let id):
            if fanOut.isPulling {
                guard now >= fanOut.changedAt + FanOut.silenceMax else { return [] }
                return giveUp(shardID, "no event for \(FanOut.silenceMax.components.seconds) s", now)
            }
            if hasRoom {
                self.fanOut?.isPulling = true
                self.fanOut?.changedAt = now
                return [.pull(id, dropThrough: dropThrough, range: range)]
            }
            guard now >= fanOut.changedAt + FanOut.pauseMax else { return [] }
            return giveUp(shardID, "the processor is busy; the next one begins when it is done", now)
        }
    }

    private mutating func giveUp(_ shardID: String, _ reason: String, _ now: Timestamp) -> [ShardMachine.Effect] {
        fanOut?.restart(now)
        return closing() + [Self.over(shardID, reason)]
    }

    /// Nothing is read any more, for now or for good.
    mutating func stopReading(_ shardID: String, _ reason: String) -> [ShardMachine.Effect] {
        fanOut?.abandon()
        let effects = closing()
        return effects.isEmpty ? [] : effects + [Self.over(shardID, reason)]
    }

    /// Has the shell close what was given up.
    mutating func closing() -> [ShardMachine.Effect] {
        (fanOut?.takeAbandoned() ?? []).map { .unsubscribe($0) }
    }

    private static func over(_ shardID: String, _ reason: String) -> ShardMachine.Effect {
        .emit(WorkerEvent(.subscriptionEnded, at: .zero, shardID: shardID, message: reason))
    }

    /// - Parameter latestAt: the service's time from before the answer, where LATEST was asked for.
    mutating func subscribed(
        _ id: Int, latestAt: UnixTime?, shardID: String, _ now: Timestamp
    ) -> [ShardMachine.Effect] {
        fanOut?.answered(id)
        guard fanOut?.phase == .opening(id) else {
            // Granted all the same: the service takes no other one for a while.
            fanOut?.openedAt = now
            if let moment = fanOut?.notBefore { fanOut?.wait(until: moment) }
            return [.unsubscribe(id)]
        }
        let from = position
        started(latestAt: latestAt)
        fanOut?.phase = .open(id)
        fanOut?.openedAt = now
        fanOut?.changedAt = now
        return [.emit(WorkerEvent(.subscriptionStarted, at: .zero, shardID: shardID, message: "from \(from.words)"))]
    }

    mutating func pulled(
        _ id: Int, _ batch: FetchedBatch, shardID: String, _ now: Timestamp
    ) -> [ShardMachine.Effect] {
        guard fanOut?.phase == .open(id), fanOut?.isPulling == true else { return [.discard([batch.id])] }
        fanOut?.isPulling = false
        fanOut?.changedAt = now
        fanOut?.failures = 0
        if let openedAt = fanOut?.openedAt, now >= openedAt + FanOut.undisputed { fanOut?.takeovers = 0 }
        let effects = received(batch, shardID: shardID, now)
        guard let next = batch.next else {
            fanOut?.restart(now)
            return effects + closing() + [Self.over(shardID, "the shard ended")]
        }
        readOn = .afterSequenceNumber(next)
        return effects
    }

    /// The service ended the subscription, as it does after five minutes: the next one follows at once.
    mutating func subscriptionEnded(_ id: Int, shardID: String, _ now: Timestamp) -> [ShardMachine.Effect] {
        guard fanOut?.phase == .open(id) else { return [] }
        fanOut?.phase = .idle
        fanOut?.isPulling = false
        fanOut?.wait(until: now)
        return [Self.over(shardID, "by the service")]
    }

    mutating func subscriptionFailed(
        _ id: Int, _ meaning: AWSError.Meaning, _ message: String, shardID: String, _ now: Timestamp
    ) -> [ShardMachine.Effect] {
        fanOut?.answered(id)
        guard let phase = fanOut?.phase, phase == .opening(id) || phase == .open(id) else { return [] }
        fanOut?.phase = .idle
        fanOut?.isPulling = false
        let wasOpen = phase == .open(id)
        switch meaning {
        case .notFound:
            end = .deleted
            return wasOpen ? [Self.over(shardID, message)] : []
        case .inUse where wasOpen:
            return [Self.over(shardID, takenOver(message, now))]
        case .inUse, .throttled:
            fanOut?.tryAgain(now)
            if wasOpen { return [Self.over(shardID, message)] }
            guard let failures = fanOut?.failures, failures == 1 || failures % 20 == 0 else { return [] }
            return [.emit(WorkerEvent(.throttled, at: .zero, shardID: shardID, message: message))]
        case .transient, .conditionFailed, .expiredIterator, .denied, .unauthenticated, .clockSkewed, .invalid,
            .cancelled:
            fanOut?.tryAgain(now)
            if wasOpen { return [Self.over(shardID, message)] }
            return sayNowAndThen(fanOut?.failures ?? 0, message, shardID)
        }
    }

    /// Somebody else subscribed with our consumer: an owner before us that does not know yet, most likely. It finds
    /// out at its next renewal; until then every try of ours would only end its subscription in turn.
    private mutating func takenOver(_ message: String, _ now: Timestamp) -> String {
        let takeovers = (fanOut?.takeovers ?? 0) + 1
        fanOut?.takeovers = takeovers
        let pause = Duration.seconds(5 << min(takeovers - 1, 3))
        fanOut?.wait(until: now + pause)
        return "taken over by another subscription of the same consumer, next try in \(pause.components.seconds) s: "
            + message
    }
}

extension ShardPosition {
    /// In the service's words.
    fileprivate var words: String {
        switch self {
        case .trimHorizon: "TRIM_HORIZON"
        case .latest: "LATEST"
        case .atTimestamp(let time): "AT_TIMESTAMP \(CivilTime(time).iso8601)"
        case .atSequenceNumber(let number): "AT_SEQUENCE_NUMBER \(number)"
        case .afterSequenceNumber(let number): "AFTER_SEQUENCE_NUMBER \(number)"
        }
    }
}
