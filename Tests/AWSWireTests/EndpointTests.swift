import AWSWire
import Testing

@Suite struct EndpointTests {
    @Test(
        "Endpoints are read and written",
        arguments: [
            ("http://127.0.0.1:4567", "http://127.0.0.1:4567"), ("http://localhost:4567/", "http://localhost:4567"),
            ("https://Kinesis.US-east-1.amazonaws.com", "https://kinesis.us-east-1.amazonaws.com"),
            ("HTTPS://example.com:443", "https://example.com"), ("http://example.com:443", "http://example.com:443"),
            ("http://[::1]:4567", "http://[::1]:4567"), ("http://[fd00:ec2::254]", "http://[fd00:ec2::254]"),
            ("http://my_host", "http://my_host"),
        ])
    func reads(_ text: String, _ written: String) {
        #expect(Endpoint(text)?.description == written)
    }

    @Test(
        "What is no endpoint is none",
        arguments: [
            "", "localhost", "localhost:4567", "ftp://localhost", "http://", "http:///", "http://:80", "http://a:",
            "http://a:0",
            "http://a:65536", "http://a:+80", "http://a:8o", "http://a/path", "http://a?q", "http://a#f", "http://u@a",
            "http://u:p@a", "http://a b", "http://a\nb", "http://a\r\nHost: b", "http://a\u{0}", "http://[::1",
            "http://é",
            "http://[a-b]", "http://a//",
        ])
    func refuses(_ text: String) {
        #expect(Endpoint(text) == nil)
    }

    @Test(
        "Regions have endpoints by their partition",
        arguments: [
            ("us-east-1", "https://kinesis.us-east-1.amazonaws.com"),
            ("us-gov-west-1", "https://kinesis.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "https://kinesis.cn-north-1.amazonaws.com.cn"),
            ("us-iso-east-1", "https://kinesis.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "https://kinesis.us-isob-east-1.sc2s.sgov.gov"),
        ])
    func partitions(_ region: String, _ endpoint: String) {
        #expect(AWSService.kinesis.defaultEndpoint(region: region).description == endpoint)
    }
}
