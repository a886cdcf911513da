import AWSWire
import CShardtopCurl
import Glibc

/// How a transfer failed and how far it came, as libcurl tells it; turned here into what we say about it.
struct CurlFailure {
    /// libcurl's `CURLcode` as a number, so that a test needs no libcurl to make a failure.
    var code: UInt32
    /// libcurl's own words.
    var detail: String
    var endpoint: Endpoint
    var timeout: Duration
    var connectTimeout: Duration
    var lowSpeedTime: Duration
    var proxyHost: String?
    var caBundle: String?
    /// The errno of the last failed connect.
    var systemError: Int32
    /// Bytes of the request that went out, the request to a proxy included.
    var requestBytes: Int
    var connectionsMade: Int
    var lookedUp: Bool
    var connected: Bool
    /// The TLS handshake is over.
    var secured: Bool
    var elapsed: Duration
    /// HTTP/2 was tried.
    var overHTTP2 = false
    var answerBytes: Int

    /// False only where surely nothing of the request reached the service.
    var wasSent: Bool {
        // What went out on a new connection before its handshake was over went to a proxy at most.
        if endpoint.scheme == "https", connectionsMade > 0, !secured { return false }
        return requestBytes > 0
    }

    var error: TransportError {
        let (kind, message) = explanation
        return TransportError(kind, message, requestWasSent: wasSent)
    }

    /// `host:port`, always with the port: what a person compares with what listens where.
    private var peer: String {
        "\(endpoint.host):\(endpoint.port ?? (endpoint.scheme == "https" ? 443 : 80))"
    }

    private var explanation: (TransportError.Kind, String) {
        switch CURLcode(code) {
        case CURLE_COULDNT_RESOLVE_HOST:
            (.cannotResolve, "the name \(endpoint.host) is not known: are the endpoint and the region right?")
        case CURLE_COULDNT_RESOLVE_PROXY:
            (.cannotResolve, "the name of the proxy \(proxyHost ?? "") is not known: is HTTPS_PROXY right?")
        case CURLE_COULDNT_CONNECT: (.cannotConnect, refusal)
        case CURLE_OPERATION_TIMEDOUT: (.timedOut, delay)
        case CURLE_PEER_FAILED_VERIFICATION:
            (.tls, "\(peer) is not trusted: \(detail); \(advice)")
        case CURLE_SSL_CACERT_BADFILE:
            (.tls, "the certificate authorities in \(caBundle ?? "the system's file") cannot be read: \(detail)")
        case CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_USE_SSL_FAILED:
            (.tls, "no TLS connection with \(peer): \(detail)")
        case CURLE_PARTIAL_FILE: (.truncated, "the answer of \(peer) was cut off after \(answerBytes) bytes")
        case CURLE_GOT_NOTHING: (.closed, silence)
        case CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_SEND_FAIL_REWIND: broken
        case CURLE_HTTP2, CURLE_HTTP2_STREAM:
            answerBytes > 0
                ? (.truncated, "the answer of \(peer) was cut off after \(answerBytes) bytes: \(words)")
                : (.closed, "the HTTP/2 exchange with \(peer) failed: \(words)")
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL: (.invalidRequest, "\(endpoint) is no endpoint: \(detail)")
        case CURLE_OUT_OF_MEMORY: (.invalidRequest, "out of memory")
        default: (.closed, "the exchange with \(peer) failed: \(words)")
        }
    }

    /// What to do about a certificate that does not pass: the name is wrong, or nobody vouches for it.
    private var advice: String {
        detail.contains("subject name") ? "is the endpoint right?" : "AWS_CA_BUNDLE names the authorities that are"
    }

    private var words: String {
        detail.isEmpty ? String(cString: curl_easy_strerror(CURLcode(code))) : detail
    }

    private var refusal: String {
        let isProxy = proxyHost.map { detail.contains($0.prefix { $0 != ":" }) } ?? false
        let whom = isProxy ? "the proxy \(proxyHost ?? "")" : peer
        let question = isProxy ? "is HTTPS_PROXY right?" : "is the endpoint right?"
        return switch systemError {
        case ECONNREFUSED: "connection refused by \(whom): \(question)"
        case ENETUNREACH, EHOSTUNREACH: "\(whom) cannot be reached: is the network up?"
        case 0: "no connection to \(whom): \(question)"
        default: "no connection to \(whom): \(String(cString: strerror(systemError)))"
        }
    }

    private var delay: String {
        let waited = elapsed.spelled
        if answerBytes > 0 {
            return elapsed + .milliseconds(50) < timeout
                ? "the answer of \(peer) stopped for \(lowSpeedTime.spelled)"
                : "the answer of \(peer) was not complete within \(timeout.spelled)"
        }
        if requestBytes > 0, wasSent { return "no answer from \(peer) within \(waited)" }
        if !lookedUp { return "the name \(endpoint.host) was not resolved within \(waited)" }
        if !connected { return "no connection to \(peer) within \(waited): is the endpoint right, is the network up?" }
        return "no connection to \(peer) was ready within \(waited)"
    }

    private var broken: (TransportError.Kind, String) {
        if answerBytes > 0 { return (.truncated, "the answer of \(peer) was cut off after \(answerBytes) bytes") }
        if let proxyHost, !secured, endpoint.scheme == "https", connectionsMade > 0 {
            return (.cannotConnect, "the proxy \(proxyHost) does not let us through to \(peer): \(words)")
        }
        return (.closed, silence)
    }

    private var silence: String {
        "\(peer) closed the connection without an answer" + (overHTTP2 ? ": does it speak HTTP/2?" : "")
    }
}

extension Duration {
    /// `5 s`, `300 ms`
    fileprivate var spelled: String {
        let (seconds, attoseconds) = components
        let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
        return milliseconds >= 1000 ? "\((milliseconds + 500) / 1000) s" : "\(milliseconds) ms"
    }
}
