import AWSWire
import Machine
import Testing

@Suite struct SignatureTests {
    @Test("A request is signed as botocore signs it", arguments: SignatureCase.all)
    func agreesWithBotocore(_ wanted: SignatureCase) throws {
        var request = Request(
            method: wanted.method, url: try #require(Endpoint(wanted.url)), path: wanted.path,
            headers: wanted.headers, body: Array(wanted.body.utf8))
        Signature.sign(
            &request, credentials: wanted.credentials, region: wanted.region, service: wanted.service,
            date: UnixTime(milliseconds: wanted.date * 1000))
        #expect(
            request.headers["Authorization"]
                == "AWS4-HMAC-SHA256 Credential=\(wanted.scope), SignedHeaders=\(wanted.signedHeaders), "
                + "Signature=\(wanted.signature)")
        #expect(request.headers["X-Amz-Security-Token"] == wanted.credentials.sessionToken)
    }

    @Test func signingAgainReplacesTheFirstSignature() {
        var once = Request(url: Endpoint(scheme: "https", host: "example.com"), headers: [Header("X-A", "1")])
        let credentials = Credentials(accessKeyID: "ID", secretAccessKey: "secret", sessionToken: "token")
        let date = UnixTime(milliseconds: 1_700_000_000_000)
        Signature.sign(&once, credentials: credentials, region: "r", service: "s", date: date)
        var twice = once
        Signature.sign(&twice, credentials: credentials, region: "r", service: "s", date: date)
        #expect(twice.headers == once.headers)
    }

    @Test func secretsAppearInNoDescription() {
        let credentials = Credentials(
            accessKeyID: "AKIDEXAMPLE", secretAccessKey: "verysecret", sessionToken: "tokensecret")
        var request = Request(url: Endpoint(scheme: "https", host: "example.com"))
        Signature.sign(
            &request, credentials: credentials, region: "r", service: "s", date: UnixTime(milliseconds: 0))
        var dumped = ""
        dump(credentials, to: &dumped)
        dump(request, to: &dumped)
        dump(StaticCredentials(credentials), to: &dumped)
        for text in ["\(credentials)", "\(request)", String(reflecting: credentials), dumped] {
            #expect(!text.contains("verysecret"))
            #expect(!text.contains("tokensecret"))
            #expect(!text.contains("Signature="))
        }
    }
}
