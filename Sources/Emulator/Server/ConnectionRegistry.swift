import Machine
import NIOCore
import Synchronization

/// One TCP connection.
final class ServerConnection: Sendable {
    let channel: any Channel
    let isTLS: Bool
    /// Requests whose first byte is here and whose answer is not sent.
    let exchangesUnderWay = Atomic<Int>(0)
    private let lastUse: Atomic<UInt64>
    private let unread = Mutex(Unread())

    /// Whole answers on their way, and the requests that wait until they are read.
    private struct Unread {
        var answerBytes = 0
        var waiting: [ServerExchange] = []
    }

    init(_ channel: any Channel, isTLS: Bool) {
        self.channel = channel
        self.isTLS = isTLS
        lastUse = Atomic(NIODeadline.now().uptimeNanoseconds)
    }

    /// When it last began to idle; `nil` while it does not.
    var idleSince: UInt64? {
        exchangesUnderWay.load(ordering: .relaxed) == 0 ? lastUse.load(ordering: .relaxed) : nil
    }

    /// Whether `exchange` is to be answered now; otherwise it is kept until `answerRead` gives it back.
    func mayAnswer(_ exchange: ServerExchange, unreadBytesMax: Int) -> Bool {
        unread.withLock { unread in
            if unread.answerBytes <= unreadBytesMax { return true }
            unread.waiting.append(exchange)
            return false
        }
    }

    func answerWritten(bytes: Int) { unread.withLock { $0.answerBytes += bytes } }

    /// Returns the requests that may be answered now.
    func answerRead(bytes: Int, unreadBytesMax: Int) -> [ServerExchange] {
        unread.withLock { unread in
            unread.answerBytes -= bytes
            guard unread.answerBytes <= unreadBytesMax, !unread.waiting.isEmpty else { return [] }
            defer { unread.waiting = [] }
            return unread.waiting
        }
    }

    func exchangeBegan() { exchangesUnderWay.wrappingAdd(1, ordering: .relaxed) }

    func exchangeEnded() {
        lastUse.store(NIODeadline.now().uptimeNanoseconds, ordering: .relaxed)
        exchangesUnderWay.wrappingSubtract(1, ordering: .relaxed)
    }
}

/// The connections that are open, and the requests that came on them, in one stream.
final class ConnectionRegistry: Sendable {
    private struct State {
        var isShutDown = false
        var connections: [ObjectIdentifier: ServerConnection] = [:]
    }

    let limits: EmulatorServer.Limits
    /// Ends when the last connection is closed after `shutDown`. Bounded by the connections and their streams.
    let exchanges: AsyncStream<ServerExchange>
    /// Bodies that are here but not answered yet.
    let bodyBytes = Atomic<Int>(0)
    private let incoming: AsyncStream<ServerExchange>.Continuation
    private let state = Mutex(State())

    init(_ limits: EmulatorServer.Limits) {
        self.limits = limits
        (exchanges, incoming) = AsyncStream.makeStream()
    }

    var connectionCount: Int { state.withLock { $0.connections.count } }

    var isShutDown: Bool { state.withLock { $0.isShutDown } }

    /// Takes a connection in; `nil` where it is to be closed.
    func admit(_ channel: any Channel, isTLS: Bool) -> ServerConnection? {
        let connection = ServerConnection(channel, isTLS: isTLS)
        let (isAdmitted, evicted) = state.withLock { state in
            guard !state.isShutDown else { return (false, [ServerConnection]()) }
            let evicted = state.connections.count < limits.connectionsMax ? [] : Self.idleLongest(state.connections)
            for connection in evicted { state.connections[ObjectIdentifier(connection.channel)] = nil }
            guard state.connections.count < limits.connectionsMax else { return (false, evicted) }
            state.connections[ObjectIdentifier(channel)] = connection
            return (true, evicted)
        }
        for connection in evicted { connection.channel.close(promise: nil) }
        guard isAdmitted else { return nil }
        channel.closeFuture.whenComplete { _ in self.dismiss(channel) }
        return connection
    }

    /// A sixteenth of the connections, so that looking for them all does not cost each newcomer as much.
    private static func idleLongest(_ connections: [ObjectIdentifier: ServerConnection]) -> [ServerConnection] {
        let idle = connections.values.compactMap { connection in
            connection.idleSince.map { (since: $0, connection: connection) }
        }
        return idle.sorted { $0.since < $1.since }.prefix(max(1, connections.count / 16)).map(\.connection)
    }

    private func dismiss(_ channel: any Channel) {
        let isOver = state.withLock { state in
            state.connections[ObjectIdentifier(channel)] = nil
            return state.isShutDown && state.connections.isEmpty
        }
        if isOver { incoming.finish() }
    }

    func received(_ exchange: ServerExchange) {
        if exchange.connection.mayAnswer(exchange, unreadBytesMax: limits.unreadAnswerBytesMax) {
            incoming.yield(exchange)
        }
    }

    func answerRead(_ connection: ServerConnection, bytes: Int) {
        for exchange in connection.answerRead(bytes: bytes, unreadBytesMax: limits.unreadAnswerBytesMax) {
            incoming.yield(exchange)
        }
    }

    /// Takes no more connections and asks those that are open to end; whoever has not after the grace is closed. Not to
    /// be called on an event loop.
    ///
    /// The lock is held to the end, because whoever closes the last connection lets the event loops go.
    func shutDown() {
        state.withLock { state in
            if state.isShutDown { return }
            state.isShutDown = true
            if state.connections.isEmpty { incoming.finish() }
            for connection in state.connections.values {
                let channel = connection.channel
                let overdue = channel.eventLoop.scheduleTask(in: limits.shutdownGrace.timeAmount) {
                    channel.close(promise: nil)
                }
                channel.closeFuture.whenComplete { _ in overdue.cancel() }
                channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
            }
        }
    }

    /// Closes everything at once; when it returns, no `shutDown` is under way. Not to be called on an event loop.
    func closeAll() {
        state.withLock { state in
            state.isShutDown = true
            if state.connections.isEmpty { incoming.finish() }
            for connection in state.connections.values { connection.channel.close(promise: nil) }
        }
    }
}

extension Duration {
    var timeAmount: TimeAmount { .nanoseconds(wholeNanoseconds) }
}
