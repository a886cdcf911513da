import CTerminal
import Glibc
import Machine
import Synchronization

/// Hears SIGINT, SIGTERM, SIGHUP, SIGWINCH and SIGCONT, which are blocked in every thread. One thread reads them and
/// asks the newest listener first, so that none is lost where one listener follows another.
final class SignalListener: Sendable {
    enum Answer {
        case taken
        /// It means nothing here, or cannot be heard any more; it is kept for a listener to come.
        case left
        /// Whoever was told is gone: this listener is none any more.
        case over
    }

    private struct Listening {
        var listeners: [SignalListener] = []
        /// Signals that ask for an end, which nobody took yet.
        var kept: [Int32] = []
        var hasReader = false

        mutating func remove(_ listener: SignalListener) {
            guard let place = listeners.firstIndex(where: { $0 === listener }) else { return }
            listeners.remove(at: place)
            shardtop_signal_unlisten()
            if listeners.isEmpty { kept = [] }
        }

        mutating func keep(_ signal: Int32) {
            if [SIGINT, SIGTERM, SIGHUP].contains(signal), !kept.contains(signal) { kept.append(signal) }
        }
    }

    private static let listening = Mutex(Listening())

    private let hear: @Sendable (Int32) -> Answer

    /// From now on: who is told that Ctrl-C ends us may press it at once. `hear` is called under a lock.
    init(_ hear: @escaping @Sendable (Int32) -> Answer) {
        self.hear = hear
        Self.listening.withLock { listening in
            shardtop_signal_listen()
            listening.listeners.append(self)
            listening.kept.removeAll { hear($0) == .taken }
            if !listening.hasReader { listening.hasReader = startThread { Self.read() } }
        }
    }

    /// Nothing is heard after this returned.
    func stop() { Self.listening.withLock { $0.remove(self) } }

    private static func read() {
        while true {
            let signal = shardtop_signal_wait()
            let isUnheard = listening.withLock { listening in
                for listener in listening.listeners.reversed() {
                    switch listener.hear(signal) {
                    case .taken: return false
                    case .left: continue
                    case .over: listening.remove(listener)
                    }
                }
                listening.keep(signal)
                return listening.listeners.isEmpty
            }
            if isUnheard { shardtop_signal_again(signal) }
        }
    }
}
