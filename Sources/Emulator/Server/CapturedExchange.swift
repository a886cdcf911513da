package import AWSWire
package import Machine
import OrderedCollections

/// One request and how it was answered, as `emulate --capture` writes it: what was asked, never how it was signed.
package struct CapturedExchange: Sendable {
    package var at: UnixTime
    package var isHTTP2: Bool
    package var isTLS: Bool
    /// `Kinesis.GetRecords`; `nil` for PutMetricData, and for what is no call of a service.
    package var operation: String?
    package var encoding: WireEncoding
    /// The decoded body of a call; `nil` where it is malformed or none, and for PutMetricData.
    package var input: AWSValue?
    /// `nil` where the connection was closed instead.
    package var status: Int?
    package var errorType: String?
    package var milliseconds: Double

    init(_ request: Request, _ exchange: ServerExchange, at: UnixTime, took: Duration, answer: Emulator.Answer?) {
        self.at = at
        isHTTP2 = exchange.isHTTP2
        isTLS = exchange.connection.isTLS
        milliseconds = Double(took.wholeNanoseconds / 1000) / 1000
        let target = ServiceCall.target(of: request)
        encoding = ServiceCall.encoding(of: request, for: target.service)
        if let service = target.service, let name = target.operation {
            operation = EmulatorCounters.name(service, name)
            if !request.body.isEmpty { input = try? encoding.decode(Bytes(request.body)) }
        }
        switch answer {
        case nil: break
        case .whole(let response):
            status = response.status
            errorType = response.headers["x-amzn-ErrorType"]
        case .stream(let stream): status = stream.status
        }
    }

    /// One line of JSON. Without `withData`, of the data of records only its size is left.
    package func json(withData: Bool) -> String {
        JSON.text(
            .members([
                "at": .string(CivilTime(at).iso8601), "protocol": isHTTP2 ? "h2" : "h1", "tls": .bool(isTLS),
                "operation": operation.map(AWSValue.string), "encoding": .string(encoding.rawValue),
                "input": withData ? input : input?.withoutData, "status": status.map { AWSValue.int(Int64($0)) },
                "errorType": errorType.map(AWSValue.string), "milliseconds": .double(milliseconds),
            ]))
    }
}

extension AWSValue {
    /// The same with the size in bytes in place of blobs. A blob in JSON is told by its name.
    fileprivate var withoutData: AWSValue {
        switch self {
        case .bytes(let bytes): ["bytes": .int(Int64(bytes.count))]
        case .list(let values): .list(values.map(\.withoutData))
        case .map(let members):
            .map(
                OrderedDictionary(
                    uniqueKeysWithValues: members.map { (name, value) -> (String, AWSValue) in
                        guard name == "Data", let text = value.string else { return (name, value.withoutData) }
                        return (name, ["bytes": .int(Int64(value.blob?.count ?? text.utf8.count))])
                    }))
        case .null, .bool, .int, .double, .timestamp, .string: self
        }
    }
}
