import AWSWire
import CShardtopCurl
import Machine

/// The streams to which something happened since the network thread last looked after them. Confined to that thread.
final class StreamNews {
    private var exchanges: [Exchange] = []

    func append(_ exchange: Exchange) { exchanges.append(exchange) }

    func take() -> [Exchange] {
        defer { exchanges = [] }
        return exchanges
    }
}

// What streams need beyond what whole answers do.
extension Transfers {
    /// What differs between requests and streams. A stream has a connection of its own, for libcurl 7.88 holds up to
    /// 32 MB of a paused one that shares its connection, and no time limit: `deadlines` ends it.
    func limits(of exchange: Exchange) -> [(CURLoption, Int)] {
        if exchange.pipe != nil {
            let isSecure = exchange.request.url.scheme == "https"
            let version =
                !configuration.streamsOverHTTP2
                ? CURL_HTTP_VERSION_1_1 : isSecure ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
            return [
                (CURLOPT_HTTP_VERSION, Int(version)), (CURLOPT_FRESH_CONNECT, 1), (CURLOPT_FORBID_REUSE, 1),
                (CURLOPT_BUFFERSIZE, Self.streamBufferBytes),
                (CURLOPT_TCP_KEEPIDLE, 20), (CURLOPT_TCP_KEEPINTVL, 10),
            ]
        }
        return [
            (CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1)), (CURLOPT_BUFFERSIZE, Self.bufferBytes),
            (CURLOPT_TIMEOUT_MS, exchange.request.timeout.timeoutMilliseconds),
            (CURLOPT_LOW_SPEED_LIMIT, max(0, configuration.lowSpeedBytesPerSecond)),
            (CURLOPT_LOW_SPEED_TIME, max(0, Int(configuration.lowSpeedTime.components.seconds))),
        ]
    }

    /// Lets a paused stream go on, for its pipe has room again.
    mutating func resume(_ id: UInt64) {
        guard let transfer = running[id], transfer.exchange.isPaused else { return }
        transfer.exchange.isPaused = false
        deadlines[id] = nil
        let code = curl_easy_pause(transfer.easy, CURLPAUSE_CONT)
        if code != CURLE_OK { fail(transfer, account(transfer, code).error) }
    }

    /// Wakes the readers for whom something came, and gives up the streams whose time is over.
    mutating func attendToStreams() {
        for exchange in news.take() {
            exchange.hasNews = false
            guard running[exchange.id] != nil else { continue }
            if exchange.isPaused {
                deadlines[exchange.id] = TimeSource.system.now() + configuration.streamPauseMax
            } else if exchange.headHasCome {
                deadlines[exchange.id] = nil
            }
            exchange.pipe?.deliver()
        }
        if deadlines.isEmpty { return }
        let now = TimeSource.system.now()
        for id in deadlines.filter({ $0.value <= now }).keys.sorted() {
            guard let transfer = running[id] else { continue }
            fail(
                transfer,
                transfer.exchange.headHasCome ? unread(transfer) : account(transfer, CURLE_OPERATION_TIMEDOUT).error)
        }
    }

    private func unread(_ transfer: Transfer) -> TransportError {
        let pause = configuration.streamPauseMax
        return
            TransportError(
                .timedOut,
                "the answer of \(transfer.exchange.request.url) was given up: nobody read it for \(pause)",
                requestWasSent: true)
    }

    private mutating func fail(_ transfer: Transfer, _ error: TransportError) {
        forget(transfer)
        transfer.exchange.finish(.failure(error))
    }

    /// How long there may be nothing to do, network aside.
    var waitMilliseconds: Int32 {
        guard let next = deadlines.values.min() else { return 60_000 }
        return Int32(clamping: min(60_000, (next - TimeSource.system.now()).timeoutMilliseconds))
    }
}
