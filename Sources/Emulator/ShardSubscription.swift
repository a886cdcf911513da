import AWSWire
import Machine
import Synchronization

/// The answer of SubscribeToShard: an event stream that its reader pulls.
///
/// Nothing is prepared ahead: each event is written from the shard's log when it is asked for, so a reader that stops
/// reading costs nothing.
final class ShardSubscription: ResponseStream {
    /// A subscription that was accepted and has no reader yet.
    struct Opened: Sendable {
        var service: KinesisService
        var slot: KinesisService.Slot
        var subscriber: ShardSubscriber
    }

    private enum Phase {
        case opened, running, ended, closed
    }

    let status = 200
    let headers: [Header]
    private let opened: Opened
    private let phase = Mutex(Phase.opened)

    init(_ opened: Opened, headers: [Header]) {
        self.opened = opened
        self.headers = headers
    }

    deinit { opened.service.end(opened.subscriber, of: opened.slot) }

    func next() async throws(TransportError) -> Bytes? {
        while true {
            let phase = phase.withLock { phase in
                let before = phase
                if phase == .opened { phase = .running }
                return before
            }
            switch phase {
            case .opened: return Bytes(EventMessage.event("initial-response", Bytes("{}")).encoded())
            case .ended: return nil
            case .closed: throw TransportError(.closed, "the subscription was closed", requestWasSent: true)
            case .running: break
            }
            if Task.isCancelled {
                close()
                throw TransportError(.cancelled, "cancelled", requestWasSent: true)
            }
            switch opened.service.advance(opened.subscriber, of: opened.slot) {
            case .send(let frame): return Bytes(frame)
            case .sendLast(let frame):
                end(.ended)
                return Bytes(frame)
            case .end: end(.ended)
            case .wait(let until): await opened.subscriber.bell.wait(until: until, opened.service.time)
            }
        }
    }

    func close() {
        end(.closed)
        opened.service.end(opened.subscriber, of: opened.slot)
        opened.subscriber.bell.ring()
    }

    private func end(_ ending: Phase) {
        phase.withLock { phase in
            if phase != .closed { phase = ending }
        }
    }
}

/// What the one reader of a subscription waits for. A ring that nobody waits for is kept for the next wait.
final class ShardBell: Sendable {
    private enum State {
        case quiet
        case rung
        case waiting(UnsafeContinuation<Void, Never>)
    }

    private let state = Mutex(State.quiet)

    func ring() {
        let waiting: UnsafeContinuation<Void, Never>? = state.withLock { state in
            switch state {
            case .waiting(let continuation):
                state = .quiet
                return continuation
            case .quiet, .rung:
                state = .rung
                return nil
            }
        }
        waiting?.resume()
    }

    /// Returns when it was rung, at `until`, or when the task is cancelled; or sometimes earlier.
    func wait(until: Timestamp, _ time: TimeSource) async {
        if hasRung() { return }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.heard() }
            group.addTask { try? await time.sleep(until) }
            await group.next()
            group.cancelAll()
        }
    }

    private func hasRung() -> Bool {
        state.withLock { state in
            guard case .rung = state else { return false }
            state = .quiet
            return true
        }
    }

    private func heard() async {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                let isRung = state.withLock { state in
                    if case .rung = state {
                        state = .quiet
                        return true
                    }
                    state = .waiting(continuation)
                    return false
                }
                if isRung { continuation.resume() }
            }
        } onCancel: {
            ring()
        }
    }
}
