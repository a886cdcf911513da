import AWSWire
import Glibc
import Testing

@testable import CurlTransport

/// Failures that no loopback server can make happen.
@Suite struct CurlFailureTests {
    /// libcurl's codes (https://curl.se/libcurl/c/libcurl-errors.html).
    enum Code: UInt32 {
        case cannotResolve = 6
        case cannotConnect = 7
        case timedOut = 28
        case cannotReceive = 56
        case notTrusted = 60
    }

    static func failure(_ code: Code, _ change: (inout CurlFailure) -> Void = { _ in }) -> TransportError {
        var failure = CurlFailure(
            code: code.rawValue, detail: "", endpoint: Endpoint(scheme: "https", host: "example.com"),
            timeout: .seconds(30),
            connectTimeout: .seconds(5), lowSpeedTime: .seconds(20), proxyHost: nil, caBundle: nil, systemError: 0,
            requestBytes: 0, connectionsMade: 1, lookedUp: false, connected: false, secured: false,
            elapsed: .seconds(5),
            answerBytes: 0)
        change(&failure)
        return failure.error
    }

    @Test func anUnknownNameAsksForEndpointAndRegion() {
        #expect(
            Self.failure(.cannotResolve)
                == TransportError(
                    .cannotResolve, "the name example.com is not known: are the endpoint and the region right?",
                    requestWasSent: false))
    }

    @Test func aDelayIsToldByTheStageItHappenedIn() {
        func message(_ change: (inout CurlFailure) -> Void) -> String {
            Self.failure(.timedOut, change).message
        }
        #expect(message { _ in } == "the name example.com was not resolved within 5 s")
        #expect(
            message { $0.lookedUp = true }
                == "no connection to example.com:443 within 5 s: is the endpoint right, is the network up?")
        #expect(
            message {
                $0.lookedUp = true
                $0.connected = true
            } == "no connection to example.com:443 was ready within 5 s")
        func sent(_ failure: inout CurlFailure) {
            failure.lookedUp = true
            failure.connected = true
            failure.secured = true
            failure.requestBytes = 100
        }
        #expect(message(sent) == "no answer from example.com:443 within 5 s")
        #expect(
            message {
                sent(&$0)
                $0.answerBytes = 7
            } == "the answer of example.com:443 stopped for 20 s")
        #expect(
            message {
                sent(&$0)
                $0.answerBytes = 7
                $0.elapsed = .seconds(30)
            } == "the answer of example.com:443 was not complete within 30 s")
    }

    @Test func whatWentToAProxyOnlyWasNotSent() {
        let tunnel = Self.failure(.cannotReceive) {
            $0.requestBytes = 60
            $0.proxyHost = "proxy:3128"
            $0.detail = "CONNECT tunnel failed, response 403"
        }
        #expect(!tunnel.requestWasSent)
        #expect(tunnel.message.hasPrefix("the proxy proxy:3128 does not let us through to example.com:443"))
        // On a connection that was there already the handshake is long over.
        let reused = Self.failure(.cannotReceive) {
            $0.requestBytes = 60
            $0.connectionsMade = 0
        }
        #expect(reused.requestWasSent)
    }

    @Test func aRefusalNamesWhoRefused() {
        let proxy = Self.failure(.cannotConnect) {
            $0.systemError = ECONNREFUSED
            $0.proxyHost = "proxy:3128"
            $0.detail = "Failed to connect to proxy port 3128 after 0 ms"
        }
        #expect(proxy.message == "connection refused by the proxy proxy:3128: is HTTPS_PROXY right?")
        let unreachable = Self.failure(.cannotConnect) { $0.systemError = ENETUNREACH }
        #expect(unreachable.message == "example.com:443 cannot be reached: is the network up?")
    }

    @Test func aWrongCertificateSaysWhatIsWrongWithIt() {
        let name = Self.failure(.notTrusted) {
            $0.detail = "SSL: no alternative certificate subject name matches target host name 'example.com'"
        }
        #expect(name.message.hasSuffix("; is the endpoint right?"))
        let unknown = Self.failure(.notTrusted) { $0.detail = "self-signed certificate" }
        #expect(
            unknown.message
                == "example.com:443 is not trusted: self-signed certificate; AWS_CA_BUNDLE names the authorities that are"
        )
        #expect(!name.requestWasSent && !unknown.requestWasSent)
    }

    @Test(
        "This machine's addresses are reached without a proxy",
        arguments: [
            ("127.0.0.1", true), ("localhost", true), ("[::1]", true), ("169.254.169.254", true),
            ("169.254.170.2", true),
            ("[fd00:ec2::254]", true), ("example.com", false), ("10.0.0.1", false),
        ])
    func directHosts(_ host: String, _ isDirect: Bool) {
        let configuration = CurlConfiguration(environment: ["ALL_PROXY": "http://user:password@proxy:3128/"])
        let endpoint = Endpoint(scheme: "http", host: host)
        #expect((configuration.proxy(for: endpoint) == nil) == isDirect)
        #expect(configuration.proxyHost(for: endpoint) == (isDirect ? nil : "proxy:3128"))
    }
}
