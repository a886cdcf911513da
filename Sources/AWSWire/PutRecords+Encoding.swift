/// The request of PutRecords, written without a tree: data is copied once, into the request's body.
enum PutRecordsInput {
    static func encode(stream: String, _ records: [PutRecord], in encoding: WireEncoding) -> [UInt8] {
        var out: [UInt8] = []
        let bytes = records.reduce(0) { $0 + $1.data.count + $1.partitionKey.utf8.count + 112 }
        out.reserveCapacity(encoding == .json ? bytes / 3 * 4 + 256 : bytes + 256)
        switch encoding {
        case .json: appendJSON(stream, records, to: &out)
        case .cbor: appendCBOR(stream, records, to: &out)
        }
        return out
    }

    private static func appendJSON(_ stream: String, _ records: [PutRecord], to out: inout [UInt8]) {
        out.append(contentsOf: #"{"StreamName":"#.utf8)
        JSON.append(string: stream, to: &out)
        out.append(contentsOf: #","Records":["#.utf8)
        for (index, record) in records.enumerated() {
            out.append(contentsOf: index > 0 ? #",{"Data":""#.utf8 : #"{"Data":""#.utf8)
            Base64.append(record.data, to: &out)
            out.append(contentsOf: #"","PartitionKey":"#.utf8)
            JSON.append(string: record.partitionKey, to: &out)
            if let key = record.explicitHashKey { out.append(contentsOf: #","ExplicitHashKey":"\#(key)""#.utf8) }
            out.append(UInt8(ascii: "}"))
        }
        out.append(contentsOf: "]}".utf8)
    }

    private static func appendCBOR(_ stream: String, _ records: [PutRecord], to out: inout [UInt8]) {
        CBOR.append(.map, 2, to: &out)
        CBOR.append(string: "StreamName", to: &out)
        CBOR.append(string: stream, to: &out)
        CBOR.append(string: "Records", to: &out)
        CBOR.append(.array, UInt64(records.count), to: &out)
        for record in records {
            CBOR.append(.map, record.explicitHashKey == nil ? 2 : 3, to: &out)
            CBOR.append(string: "Data", to: &out)
            CBOR.append(bytes: record.data, to: &out)
            CBOR.append(string: "PartitionKey", to: &out)
            CBOR.append(string: record.partitionKey, to: &out)
            if let key = record.explicitHashKey {
                CBOR.append(string: "ExplicitHashKey", to: &out)
                CBOR.append(string: String(key), to: &out)
            }
        }
    }
}
