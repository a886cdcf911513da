import AWSWire
import Testing

// Made by Tests/Referees/sigv4.py from botocore; do not edit.

struct SignatureCase: Sendable, CustomTestStringConvertible {
    var name: String
    var method: String
    var url: String
    var path: String
    var headers: [Header]
    var body: String
    var credentials: Credentials
    var region: String
    var service: String
    /// Seconds since 1970.
    var date: Int64
    /// What botocore writes.
    var scope: String
    var signedHeaders: String
    var signature: String

    var testDescription: String { name }

    static let all = [
        SignatureCase(
            name: "a plain request", method: "POST",
            url: "https://kinesis.us-east-1.amazonaws.com",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "{}",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "bcc745e25284d9f79bcd2bc073b20af088ed826085fcb0b481ab5f5372f1c6b6"),
        SignatureCase(
            name: "an empty body", method: "POST",
            url: "https://kinesis.us-east-1.amazonaws.com",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "e4a228a47c618521acb97b1c25b50766fa8dbd731695a84f62cdf60a2ea750d7"),
        SignatureCase(
            name: "a session token", method: "POST",
            url: "https://kinesis.us-east-1.amazonaws.com",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "{}",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: "IQoJb3JpZ2luX2VjEJr//////////wEaCXVzLWVhc3QtMSJHMEUCIQD+/=="),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-security-token;x-amz-target",
            signature: "eb2bd41b97c96ce280ee121432c6daa03650cb60e3d7876c4740f750a4530d5f"),
        SignatureCase(
            name: "an empty body and a session token", method: "POST",
            url: "https://kinesis.us-east-1.amazonaws.com",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: "IQoJb3JpZ2luX2VjEJr//////////wEaCXVzLWVhc3QtMSJHMEUCIQD+/=="),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-security-token;x-amz-target",
            signature: "1ec42b4dd5c7fdd2ef6dc0d2466c5181db2b9420d48ac8b698a17f0edd731695"),
        SignatureCase(
            name: "a body beyond ASCII", method: "POST",
            url: "https://kinesis.us-east-1.amazonaws.com",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "{\"Name\":\"gr\u{F6}\u{DF}e \u{6F22}\u{5B57} \u{1F642} e\u{301}\"}",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "fba043f50c077309d213864723e126cf40306dfa44689c1b1025be9cc2061eb6"),
        SignatureCase(
            name: "a body with control characters", method: "POST",
            url: "https://kinesis.us-east-1.amazonaws.com",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "{\"a\":\"\\u0000\"}\u{A}\u{9}\u{D}\u{A}",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "304c300291ff2ef10ffac678bcc9bc6dc3f0ffbde8d9c35cab3e1180d8b90f2a"),
        SignatureCase(
            name: "a long body", method: "POST",
            url: "https://kinesis.us-east-1.amazonaws.com",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "{\"Data\":\"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\"}",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "00ad199497198490f7c03f6809998ebe2559f4e6395041610e5a59123cdb45f2"),
        SignatureCase(
            name: "DynamoDB in another region", method: "POST",
            url: "https://dynamodb.eu-central-1.amazonaws.com",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "{}",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "eu-central-1", service: "dynamodb", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/eu-central-1/dynamodb/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "d46d581df97295256c7940831c05f4a769db63e721bc442afe31140bf3e70f0b"),
        SignatureCase(
            name: "China", method: "POST",
            url: "https://kinesis.cn-north-1.amazonaws.com.cn",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "{}",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "cn-north-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/cn-north-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "7a6749350ddad35b3b6a61a22bb57abef68be8695eca75ba1a73d6173fb1b6a8"),
        SignatureCase(
            name: "an endpoint with a port", method: "POST",
            url: "http://127.0.0.1:4567",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "{}",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "922f97a26a5ac205efb3c153c1d567223b27192a5f82533f7ec40f37af1a6f17"),
        SignatureCase(
            name: "an endpoint with the scheme's own port", method: "POST",
            url: "https://kinesis.us-east-1.amazonaws.com:443",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "{}",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "bcc745e25284d9f79bcd2bc073b20af088ed826085fcb0b481ab5f5372f1c6b6"),
        SignatureCase(
            name: "plain http with its own port", method: "POST",
            url: "http://localhost:80",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "{}",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "a11545123e17d5c10adebed6c5557dfed18914c23eb3ed8f771e18cec634c821"),
        SignatureCase(
            name: "an IPv6 endpoint", method: "POST",
            url: "http://[::1]:4567",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "{}",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "958443e9ab9d762085a41ad91db5cf18e74533288a2ed3299b762cc6a2211bab"),
        SignatureCase(
            name: "a query", method: "GET",
            url: "https://example.amazonaws.com",
            path: "/?Param2=value2&Param1=value1",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "2f78f2ebb040b4b7da912b29409205cd43a1b60f70ac8d9d2efe1b0ef5a0532a"),
        SignatureCase(
            name: "a query with names alone and empty values", method: "GET",
            url: "https://example.amazonaws.com",
            path: "/?b&a=&c=1",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "60ce401bb5ae590d8bd3ec94951ebe0137b2ee469ea0b78a09bf626fa208ce3c"),
        SignatureCase(
            name: "a query with odd characters", method: "GET",
            url: "https://example.amazonaws.com",
            path: "/?a-b=2&a=1&a=0&%E4%BD%A0=%20x%2B%2F%3D&z=~_.-&A=1",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "3b3984aa5f68aad94a19279c798f7929442456557bb2a46e7f5548a7d48a624f"),
        SignatureCase(
            name: "a value with an equals sign", method: "GET",
            url: "https://example.amazonaws.com",
            path: "/?a=b=c&a=b",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "036f0568d9e71e65e32f2f6a05ed2de69247a10deeab7d380d6b2c885385962a"),
        SignatureCase(
            name: "a path with escapes", method: "GET",
            url: "https://example.amazonaws.com",
            path: "/a%20b/%C3%A9/x~y/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "793254e797284de6bc97df31328451195e4e51a1355988973313e91c0ab7fbd4"),
        SignatureCase(
            name: "header values with surplus white space", method: "POST",
            url: "https://kinesis.us-east-1.amazonaws.com",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
                Header("X-Amz-Meta", "  a   b\u{9} c  "),
                Header("X-Amz-Empty", ""),
            ],
            body: "{}",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-empty;x-amz-meta;x-amz-target",
            signature: "15109a28cd012f774af0bcecb207648e91103a68646ab0099e96bbf8791a82fe"),
        SignatureCase(
            name: "headers that are not signed", method: "POST",
            url: "https://kinesis.us-east-1.amazonaws.com",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
                Header("User-Agent", "shardtop/1"),
                Header("X-Amzn-Trace-Id", "Root=1"),
            ],
            body: "{}",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "bcc745e25284d9f79bcd2bc073b20af088ed826085fcb0b481ab5f5372f1c6b6"),
        SignatureCase(
            name: "header names in odd case", method: "POST",
            url: "https://kinesis.us-east-1.amazonaws.com",
            path: "/",
            headers: [
                Header("cOnTeNt-TyPe", "application/x-amz-json-1.0"),
                Header("x-AMZ-target", "T"),
            ],
            body: "{}",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "02e7ecd1c1019c7945ae54766c06035cdbf1b687e636bfdf9b411541dd9c64b3"),
        SignatureCase(
            name: "the last second of a year", method: "POST",
            url: "https://kinesis.us-east-1.amazonaws.com",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "{}",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_767_225_599,
            scope: "AKIDEXAMPLE/20251231/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "020f5fdb3facd32efe2ffb56d780f4b2ec3d219af1ed58e2d3728a8febfc8d36"),
        SignatureCase(
            name: "a leap day", method: "POST",
            url: "https://kinesis.us-east-1.amazonaws.com",
            path: "/",
            headers: [
                Header("Content-Type", "application/x-amz-json-1.1"),
                Header("X-Amz-Target", "Kinesis_20131202.GetRecords"),
            ],
            body: "{}",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_709_164_800,
            scope: "AKIDEXAMPLE/20240229/us-east-1/kinesis/aws4_request",
            signedHeaders: "content-type;host;x-amz-date;x-amz-target",
            signature: "270e9882faacb8f4dfb6bb38ccc215406d1ff681c6bc6c03ed68a03bebe55c87"),
        SignatureCase(
            name: "instance metadata's way to put", method: "PUT",
            url: "https://kinesis.us-east-1.amazonaws.com",
            path: "/",
            headers: [Header("X-Amz-Ttl", "21600")],
            body: "",
            credentials: Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: nil),
            region: "us-east-1", service: "kinesis", date: 1_440_938_160,
            scope: "AKIDEXAMPLE/20150830/us-east-1/kinesis/aws4_request",
            signedHeaders: "host;x-amz-date;x-amz-ttl",
            signature: "81662120db0ee479b521c6a094c7dc3a9518b623403d505944c88cfe3e0c44b9"),
    ]
}
