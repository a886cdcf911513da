import AWSWire
import CShardtopCurl
import Machine
import Synchronization

/// The thread that drives all transfers, and the queue by which others talk to it.
///
/// Everything of libcurl happens on the thread, `curl_multi_wakeup` excepted, which is made for other threads. The
/// thread ends, and frees what it made, once it was told to close.
final class CurlLoop: Sendable {
    private let configuration: CurlConfiguration
    private let limitsConnections: Bool
    private let queue = Mutex(Queue())

    private struct Queue {
        var commands: [Command] = []
        var lastID: UInt64 = 0
        /// What to wake; `nil` before the thread runs and after it ended.
        var multi: MultiHandle?
        var isClosing = false
        /// Why there is no thread.
        var failure: String?
    }

    private enum Command {
        case submit(Exchange)
        case cancel(UInt64)
        /// The pipe of a paused stream has room again.
        case resume(UInt64)
    }

    /// - Parameter limitsConnections: as the configuration says; otherwise there is one for each transfer.
    init(_ configuration: CurlConfiguration, limitsConnections: Bool) {
        self.configuration = configuration
        self.limitsConnections = limitsConnections
        start()
    }

    private func start() {
        guard prepared == CURLE_OK, let multi = curl_multi_init() else {
            return fail("libcurl cannot be started")
        }
        let handle = MultiHandle(multi)
        queue.withLock { $0.multi = handle }
        guard startThread({ self.run(handle) }) else {
            queue.withLock { $0.multi = nil }
            curl_multi_cleanup(multi)
            return fail("the network thread cannot be started")
        }
    }

    private func fail(_ reason: String) { queue.withLock { $0.failure = reason } }

    func nextID() -> UInt64 {
        queue.withLock { queue in
            queue.lastID += 1
            return queue.lastID
        }
    }

    func submit(_ exchange: Exchange) {
        let refusal: String? = queue.withLock { queue in
            if let failure = queue.failure { return failure }
            guard !queue.isClosing, let multi = queue.multi else { return "the transport is closed" }
            queue.commands.append(.submit(exchange))
            curl_multi_wakeup(multi.pointer)
            return nil
        }
        if let refusal { exchange.finish(.failure(TransportError(.closed, refusal, requestWasSent: false))) }
    }

    func cancel(_ id: UInt64) { post(.cancel(id)) }

    func resume(_ id: UInt64) { post(.resume(id)) }

    private func post(_ command: Command) {
        queue.withLock { queue in
            guard let multi = queue.multi else { return }
            queue.commands.append(command)
            curl_multi_wakeup(multi.pointer)
        }
    }

    func close() {
        queue.withLock { queue in
            queue.isClosing = true
            if let multi = queue.multi { curl_multi_wakeup(multi.pointer) }
        }
    }

    private func takeCommands() -> (commands: [Command], isClosing: Bool) {
        queue.withLock { queue in
            defer { queue.commands = [] }
            return (queue.commands, queue.isClosing)
        }
    }

    /// The thread's whole life.
    private func run(_ handle: MultiHandle) {
        let multi = handle.pointer
        var transfers = Transfers(multi, configuration, limitsConnections: limitsConnections)
        while true {
            let (commands, isClosing) = takeCommands()
            for command in commands {
                switch command {
                case .submit(let exchange): transfers.add(exchange)
                case .cancel(let id): transfers.cancel(id)
                case .resume(let id): transfers.resume(id)
                }
            }
            if isClosing { break }
            transfers.perform()
            // Long waits are cut short by the wake-up of the next command.
            curl_multi_poll(multi, nil, 0, transfers.waitMilliseconds, nil)
        }
        // From here on nobody may wake the handle that is about to go; what was queued meanwhile is answered below.
        let late = queue.withLock { queue in
            defer { queue.commands = [] }
            queue.multi = nil
            return queue.commands
        }
        for case .submit(let exchange) in late { transfers.add(exchange) }
        transfers.close()
        curl_multi_cleanup(multi)
    }
}

/// A multi handle on its way to those who wake it.
///
/// Sendable because `curl_multi_wakeup` is the one call of libcurl's that any thread may make at any time; all others
/// are made on the network thread, which is handed this when it starts.
private struct MultiHandle: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer

    init(_ pointer: UnsafeMutableRawPointer) { self.pointer = pointer }
}

private let prepared = shardtop_curl_prepare()
