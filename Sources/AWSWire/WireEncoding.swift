/// How a request and its answer are written.
public enum WireEncoding: String, Hashable, Sendable, CaseIterable {
    /// `application/x-amz-json-1.1` and 1.0: blobs in base64, times in seconds.
    case json
    /// `application/x-amz-cbor-1.1`, which Kinesis speaks: blobs as they are, times in milliseconds.
    case cbor

    /// The encoding that a `Content-Type` names; `nil` for any other.
    package init?(contentType: String?) {
        guard let type = contentType?.lowercased() else { return nil }
        if type.hasPrefix("application/x-amz-cbor") || type.hasPrefix("application/cbor") {
            self = .cbor
        } else if type.hasPrefix("application/x-amz-json") || type.hasPrefix("application/json") {
            self = .json
        } else {
            return nil
        }
    }

    /// The encoding in which `body` is a map, as every answer is; `nil` where it is neither. No body is a map in both.
    init?(ofMap body: Bytes) {
        guard !body.isEmpty else { return nil }
        switch body[0] {
        case 0xA0...0xBF: self = .cbor
        case UInt8(ascii: "{"), 0x20, 0x0A, 0x0D, 0x09: self = .json
        default: return nil
        }
    }

    public func encode(_ value: AWSValue) -> [UInt8] {
        switch self {
        case .json: JSON.encode(value)
        case .cbor: CBOR.encode(value)
        }
    }

    public func decode(_ body: Bytes) throws(MalformedBody) -> AWSValue {
        switch self {
        case .json: try JSON.decode(body)
        case .cbor: try CBOR.decode(body)
        }
    }
}
