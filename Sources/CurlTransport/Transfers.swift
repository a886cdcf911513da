import AWSWire
import CShardtopCurl
import Machine

/// The transfers of one multi handle: sets them up, lets them run, and answers their callers. Confined to the handle's
/// network thread.
struct Transfers {
    private let multi: UnsafeMutableRawPointer
    let configuration: CurlConfiguration
    /// By id; holds each exchange for as long as libcurl may call back with it.
    private(set) var running: [UInt64: Transfer] = [:]
    private var idByHandle: [UnsafeMutableRawPointer: UInt64] = [:]
    /// Handles that ended and can be set up anew; making one costs more than a transfer's set-up.
    private var spare: [UnsafeMutableRawPointer] = []
    let news = StreamNews()
    /// When a stream is given up: its head has not come by then, or nobody read it while it was paused. libcurl's own
    /// time limit would hold for the whole answer.
    var deadlines: [UInt64: Timestamp] = [:]
    private static let sparesMax = 32
    /// As the command line has it: the fewer calls of the system are worth more than a place in the first cache
    /// (measured: 16 KiB cost a fifth more processor time).
    static let bufferBytes = 100 << 10
    /// libcurl takes no more than this at a time from an HTTP/2 connection, and a paused one keeps it.
    static let streamBufferBytes = 32 << 10
    /// Of the system, for a stream; enough for the 2 MB a second of a subscription over any distance.
    private static let streamSocketBytes: Int32 = 512 << 10

    /// What one running transfer owns.
    struct Transfer {
        let exchange: Exchange
        let began: Timestamp
        let easy: UnsafeMutableRawPointer
        let headers: UnsafeMutablePointer<curl_slist>?
        /// libcurl writes its own account of a failure here.
        let errorBuffer: UnsafeMutablePointer<CChar>
    }

    init(_ multi: UnsafeMutableRawPointer, _ configuration: CurlConfiguration, limitsConnections: Bool) {
        self.multi = multi
        self.configuration = configuration
        guard limitsConnections else { return }
        for (option, value) in [
            (CURLMOPT_MAX_HOST_CONNECTIONS, configuration.connectionsPerHostMax),
            (CURLMOPT_MAX_TOTAL_CONNECTIONS, configuration.connectionsMax),
            (CURLMOPT_MAXCONNECTS, configuration.connectionsMax),
        ] {
            shardtop_curl_multi_set_long(multi, option, value)
        }
    }

    /// Starts the exchange, or answers it at once where libcurl does not take it.
    mutating func add(_ exchange: Exchange) {
        guard let easy = spare.popLast() ?? curl_easy_init() else { return exchange.finish(.failure(noMemory)) }
        exchange.headerBytesMax = configuration.responseHeaderBytesMax
        let errorBuffer = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
        errorBuffer.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        let transfer = Transfer(
            exchange: exchange, began: TimeSource.system.now(), easy: easy, headers: headerList(exchange.request),
            errorBuffer: errorBuffer)
        setUp(transfer)
        running[exchange.id] = transfer
        idByHandle[easy] = exchange.id
        if exchange.pipe != nil {
            exchange.news = news
            deadlines[exchange.id] = transfer.began + exchange.request.timeout
        }
        if curl_multi_add_handle(multi, easy) != CURLM_OK {
            forget(transfer)
            exchange.finish(.failure(noMemory))
        }
    }

    mutating func cancel(_ id: UInt64) {
        guard let transfer = running[id] else { return }
        let wasSent = account(transfer, CURLE_OK).wasSent
        forget(transfer)
        transfer.exchange.finish(.failure(TransportError(.cancelled, "cancelled", requestWasSent: wasSent)))
    }

    /// Moves all transfers as far as they go without waiting, and answers those that ended.
    mutating func perform() {
        var count: Int32 = 0
        curl_multi_perform(multi, &count)
        while let message = curl_multi_info_read(multi, &count) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle,
                let transfer = idByHandle[easy].flatMap({ running[$0] })
            else { continue }
            // The message is libcurl's and gone once the handle is removed.
            let code = shardtop_curl_result(message)
            let result = outcome(transfer, code)
            forget(transfer)
            transfer.exchange.finish(result)
        }
        attendToStreams()
    }

    /// Abandons everything.
    mutating func close() {
        for id in running.keys.sorted() {
            guard let transfer = running[id] else { continue }
            let wasSent = account(transfer, CURLE_OK).wasSent
            forget(transfer)
            transfer.exchange.finish(
                .failure(TransportError(.closed, "the transport was closed", requestWasSent: wasSent)))
        }
        spare.forEach(curl_easy_cleanup)
        spare = []
    }

    /// Takes the handle out of libcurl's hands and frees what the transfer owned.
    mutating func forget(_ transfer: Transfer) {
        curl_multi_remove_handle(multi, transfer.easy)
        running[transfer.exchange.id] = nil
        idByHandle[transfer.easy] = nil
        deadlines[transfer.exchange.id] = nil
        curl_easy_reset(transfer.easy)
        curl_slist_free_all(transfer.headers)
        transfer.errorBuffer.deallocate()
        if spare.count < Self.sparesMax { spare.append(transfer.easy) } else { curl_easy_cleanup(transfer.easy) }
    }

    private var noMemory: TransportError {
        TransportError(.invalidRequest, "libcurl does not take the request (out of memory)", requestWasSent: false)
    }

    private func headerList(_ request: Request) -> UnsafeMutablePointer<curl_slist>? {
        var lines = request.headers.map { header in
            // A header without value is written with a semicolon: libcurl takes `Name:` for "leave Name out".
            header.value.isEmpty ? "\(header.name);" : "\(header.name): \(header.value)"
        }
        // Headers that libcurl would add by itself.
        lines.append("Expect:")
        if request.headers["Content-Type"] == nil { lines.append("Content-Type:") }
        return lines.reduce(nil as UnsafeMutablePointer<curl_slist>?) { curl_slist_append($0, $1) ?? $0 }
    }

    private func setUp(_ transfer: Transfer) {
        let easy = transfer.easy
        let request = transfer.exchange.request
        let context = Unmanaged.passUnretained(transfer.exchange).toOpaque()
        shardtop_curl_set_pointer(easy, CURLOPT_ERRORBUFFER, transfer.errorBuffer)
        shardtop_curl_set_string(easy, CURLOPT_URL, request.url.description + request.path)
        shardtop_curl_set_callback(easy, CURLOPT_HEADERFUNCTION, takeHeader)
        shardtop_curl_set_pointer(easy, CURLOPT_HEADERDATA, context)
        shardtop_curl_set_callback(easy, CURLOPT_WRITEFUNCTION, takeBody)
        shardtop_curl_set_pointer(easy, CURLOPT_WRITEDATA, context)
        shardtop_curl_set_list(easy, CURLOPT_HTTPHEADER, transfer.headers)
        if request.method == "GET", request.body.isEmpty {
            shardtop_curl_set_long(easy, CURLOPT_HTTPGET, 1)
        } else {
            shardtop_curl_set_long(easy, CURLOPT_POST, 1)
            if request.method != "POST" { shardtop_curl_set_string(easy, CURLOPT_CUSTOMREQUEST, request.method) }
            // A read callback that cannot be rewound, not CURLOPT_POSTFIELDS: with those libcurl silently sends the
            // body a second time when a reused connection dies, and a write could take effect twice.
            shardtop_curl_set_callback(easy, CURLOPT_READFUNCTION, fillBody)
            shardtop_curl_set_pointer(easy, CURLOPT_READDATA, context)
            shardtop_curl_set_size(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(request.body.count))
        }
        for (option, value) in limits(of: transfer.exchange) + [
            (CURLOPT_NOSIGNAL, 1),
            (CURLOPT_FOLLOWLOCATION, 0), (CURLOPT_PATH_AS_IS, 1), (CURLOPT_SUPPRESS_CONNECT_HEADERS, 1),
            (CURLOPT_TCP_NODELAY, 1), (CURLOPT_TCP_KEEPALIVE, 1),
            (CURLOPT_SSL_VERIFYPEER, 1), (CURLOPT_SSL_VERIFYHOST, 2),
            (CURLOPT_CONNECTTIMEOUT_MS, configuration.connectTimeout.timeoutMilliseconds),
            (CURLOPT_MAXAGE_CONN, max(1, Int(configuration.idleConnectionAgeMax.components.seconds))),
        ] {
            shardtop_curl_set_long(easy, option, value)
        }
        if transfer.exchange.pipe != nil { shardtop_curl_bound_receive_buffer(easy, Self.streamSocketBytes) }
        if let bundle = configuration.caBundle { shardtop_curl_set_string(easy, CURLOPT_CAINFO, bundle) }
        // Always set, for libcurl reads the environment by itself where it is not.
        shardtop_curl_set_string(easy, CURLOPT_PROXY, configuration.proxy(for: request.url) ?? "")
        shardtop_curl_set_string(easy, CURLOPT_NOPROXY, configuration.noProxy ?? "")
    }

    private func outcome(_ transfer: Transfer, _ code: CURLcode) -> Result<Response, TransportError> {
        if let refusal = transfer.exchange.refusal { return .failure(refusal) }
        guard code == CURLE_OK else { return .failure(account(transfer, code).error) }
        guard transfer.exchange.headHasCome else { return .failure(account(transfer, CURLE_PARTIAL_FILE).error) }
        let exchange = transfer.exchange
        return .success(Response(status: exchange.status, headers: exchange.headers, body: Bytes(exchange.takeBody())))
    }

    /// What libcurl knows about how far a transfer came.
    func account(_ transfer: Transfer, _ code: CURLcode) -> CurlFailure {
        func size(_ info: CURLINFO) -> Int {
            var value: curl_off_t = 0
            shardtop_curl_get_size(transfer.easy, info, &value)
            return Int(value)
        }
        func long(_ info: CURLINFO) -> Int {
            var value = 0
            shardtop_curl_get_long(transfer.easy, info, &value)
            return value
        }
        let request = transfer.exchange.request
        let elapsed =
            transfer.exchange.pipe == nil
            ? .microseconds(size(CURLINFO_TOTAL_TIME_T)) : TimeSource.system.now() - transfer.began
        return CurlFailure(
            code: code.rawValue, detail: String(cString: transfer.errorBuffer), endpoint: request.url,
            timeout: request.timeout, connectTimeout: configuration.connectTimeout,
            lowSpeedTime: configuration.lowSpeedTime, proxyHost: configuration.proxyHost(for: request.url),
            caBundle: configuration.caBundle, systemError: Int32(truncatingIfNeeded: long(CURLINFO_OS_ERRNO)),
            requestBytes: long(CURLINFO_REQUEST_SIZE), connectionsMade: long(CURLINFO_NUM_CONNECTS),
            lookedUp: size(CURLINFO_NAMELOOKUP_TIME_T) > 0, connected: size(CURLINFO_CONNECT_TIME_T) > 0,
            secured: size(CURLINFO_APPCONNECT_TIME_T) > 0, elapsed: elapsed,
            overHTTP2: transfer.exchange.pipe != nil && configuration.streamsOverHTTP2,
            answerBytes: transfer.exchange.headerBytes + transfer.exchange.bodyBytes)
    }
}

extension Duration {
    /// For libcurl, to which 0 means no limit.
    var timeoutMilliseconds: Int {
        let (seconds, attoseconds) = components
        return max(1, Int(min(seconds, 1_000_000)) * 1000 + Int(attoseconds / 1_000_000_000_000_000))
    }
}
