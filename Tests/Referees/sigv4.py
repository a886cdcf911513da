#!/usr/bin/env python3
"""botocore's own signatures for the inputs of Tests/AWSWireTests/SignatureCases.swift.

    sigv4.py             prints the cases as JSON, each with botocore's Authorization
    sigv4.py --swift     prints SignatureCases.swift
    sigv4.py --check     exits 1 unless the committed file is what --swift prints

Needs botocore, no network.
"""
import datetime
import json
import pathlib
import sys

import botocore.auth
import botocore.awsrequest
import botocore.credentials

TARGET = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202.GetRecords"}
TOKEN = "IQoJb3JpZ2luX2VjEJr//////////wEaCXVzLWVhc3QtMSJHMEUCIQD+/=="


def case(name, url="https://kinesis.us-east-1.amazonaws.com/", method="POST", headers=TARGET, body="{}",
         key="AKIDEXAMPLE", secret="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token=None, region="us-east-1",
         service="kinesis", date=1440938160):
    return dict(name=name, url=url, method=method, headers=list(headers.items()), body=body, key=key, secret=secret,
                token=token, region=region, service=service, date=date)


CASES = [
    case("a plain request"),
    case("an empty body", body=""),
    case("a session token", token=TOKEN),
    case("an empty body and a session token", body="", token=TOKEN),
    case("a body beyond ASCII", body='{"Name":"größe 漢字 🙂 e\u0301"}'),
    case("a body with control characters", body="{\"a\":\"\\u0000\"}\n\t\r\n"),
    case("a long body", body='{"Data":"' + "QUFB" * 20 + '"}'),
    case("DynamoDB in another region", url="https://dynamodb.eu-central-1.amazonaws.com/", region="eu-central-1",
         service="dynamodb"),
    case("China", url="https://kinesis.cn-north-1.amazonaws.com.cn/", region="cn-north-1"),
    case("an endpoint with a port", url="http://127.0.0.1:4567/"),
    case("an endpoint with the scheme's own port", url="https://kinesis.us-east-1.amazonaws.com:443/"),
    case("plain http with its own port", url="http://localhost:80/"),
    case("an IPv6 endpoint", url="http://[::1]:4567/"),
    case("a query", url="https://example.amazonaws.com/?Param2=value2&Param1=value1", method="GET", body=""),
    case("a query with names alone and empty values", url="https://example.amazonaws.com/?b&a=&c=1", method="GET",
         body=""),
    case("a query with odd characters",
         url="https://example.amazonaws.com/?a-b=2&a=1&a=0&%E4%BD%A0=%20x%2B%2F%3D&z=~_.-&A=1", method="GET", body=""),
    case("a value with an equals sign", url="https://example.amazonaws.com/?a=b=c&a=b", method="GET", body=""),
    case("a path with escapes", url="https://example.amazonaws.com/a%20b/%C3%A9/x~y/", method="GET", body=""),
    case("header values with surplus white space",
         headers={**TARGET, "X-Amz-Meta": "  a   b\t c  ", "X-Amz-Empty": ""}),
    case("headers that are not signed", headers={**TARGET, "User-Agent": "shardtop/1", "X-Amzn-Trace-Id": "Root=1"}),
    case("header names in odd case", headers={"cOnTeNt-TyPe": "application/x-amz-json-1.0", "x-AMZ-target": "T"}),
    case("the last second of a year", date=1767225599),
    case("a leap day", date=1709164800),
    case("instance metadata's way to put", method="PUT", body="", headers={"X-Amz-Ttl": "21600"}),
]


def signed(case):
    request = botocore.awsrequest.AWSRequest(
        method=case["method"], url=case["url"], headers=dict(case["headers"]), data=case["body"].encode())
    stamp = datetime.datetime.fromtimestamp(case["date"], datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    request.context["timestamp"] = stamp
    # Payloads are always signed by us; botocore may leave them out over https where it is told to.
    request.context["payload_signing_enabled"] = True
    credentials = botocore.credentials.Credentials(case["key"], case["secret"], case["token"])
    auth = botocore.auth.SigV4Auth(credentials, case["service"], case["region"])
    auth._modify_request_before_signing(request)
    canonical = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, canonical), request)
    auth._inject_signature_to_request(request, signature)
    return {**case, "authorization": request.headers["Authorization"]}


def literal(text):
    out = ""
    for character in text:
        if character in '"\\':
            out += "\\" + character
        elif ord(character) < 0x20 or ord(character) > 0x7E:
            out += "\\u{%X}" % ord(character)
        else:
            out += character
    return '"%s"' % out


def swift(cases):
    lines = [
        "// Made by Tests/Referees/sigv4.py from botocore; do not edit.",
        "",
        "struct SignatureCase: Sendable, CustomTestStringConvertible {",
        "    var name: String",
        "    var method: String",
        "    var url: String",
        "    var path: String",
        "    var headers: [Header]",
        "    var body: String",
        "    var credentials: Credentials",
        "    var region: String",
        "    var service: String",
        "    /// Seconds since 1970.",
        "    var date: Int64",
        "    /// What botocore writes.",
        "    var scope: String",
        "    var signedHeaders: String",
        "    var signature: String",
        "",
        "    var testDescription: String { name }",
        "",
        "    static let all = [",
    ]
    for case in cases:
        scheme, rest = case["url"].split("://")
        slash = rest.index("/")
        token = literal(case["token"]) if case["token"] else "nil"
        scope, names, digest = case["authorization"].removeprefix("AWS4-HMAC-SHA256 Credential=").split(", ")
        headers = ["Header(%s, %s)" % (literal(n), literal(v)) for n, v in case["headers"]]
        lines += [
            "        SignatureCase(",
            "            name: %s, method: %s," % (literal(case["name"]), literal(case["method"])),
            "            url: %s," % literal(scheme + "://" + rest[:slash]),
            "            path: %s," % literal(rest[slash:]),
            *(["            headers: [%s]," % headers[0]] if len(headers) == 1 else
              ["            headers: [", *("                %s," % header for header in headers), "            ],"]),
            "            body: %s," % literal(case["body"]),
            "            credentials: Credentials(",
            "                accessKeyID: %s, secretAccessKey: %s," % (literal(case["key"]), literal(case["secret"])),
            "                sessionToken: %s)," % token,
            "            region: %s, service: %s, date: %s," % (
                literal(case["region"]), literal(case["service"]), format(case["date"], "_")),
            "            scope: %s," % literal(scope),
            "            signedHeaders: %s," % literal(names.removeprefix("SignedHeaders=")),
            "            signature: %s)," % literal(digest.removeprefix("Signature=")),
        ]
    lines += ["    ]", "}"]
    return "import AWSWire\nimport Testing\n\n" + "\n".join(lines) + "\n"


def main(arguments):
    cases = [signed(case) for case in CASES]
    if arguments == ["--swift"]:
        sys.stdout.write(swift(cases))
    elif arguments == ["--check"]:
        committed = pathlib.Path(__file__).parent.parent / "AWSWireTests" / "SignatureCases.swift"
        if committed.read_text() != swift(cases):
            sys.exit("SignatureCases.swift is not what botocore signs; see sigv4.py --swift")
        print("%d signatures agree with botocore" % len(cases))
    elif not arguments:
        json.dump(cases, sys.stdout, indent=1, ensure_ascii=False)
        print()
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
