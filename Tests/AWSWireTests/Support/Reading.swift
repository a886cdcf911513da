import AWSWire
import Machine

/// What an answer of GetRecords says, whichever way it was read.
struct Reading: Equatable {
    var records: [[String]]
    var next: String?
    var behind: Int64?

    init(_ batch: RecordBatch) {
        next = batch.nextShardIterator
        behind = batch.millisBehindLatest
        records = batch.records.map { record in
            [
                record.sequenceNumber.description, record.partitionKey.text, Base64.encode(record.data),
                record.approximateArrival.map { "\($0.milliseconds)" } ?? "-",
            ]
        }
    }

    init?(json bytes: Bytes) {
        guard let tree = try? JSON.decode(bytes) else { return nil }
        self.init(tree)
    }

    init?(_ tree: AWSValue) {
        guard let list = tree["Records"]?.list else { return nil }
        next = tree["NextShardIterator"]?.string
        behind = tree["MillisBehindLatest"]?.int.map { Int64($0) }
        records = []
        for record in list {
            guard let number = record["SequenceNumber"]?.string.flatMap({ SequenceNumber($0) }) else {
                return nil
            }
            records.append([
                number.description, record["PartitionKey"]?.string ?? "",
                record["Data"]?.blob.map { Base64.encode($0) } ?? "",
                record["ApproximateArrivalTimestamp"]?.time.map { "\($0.milliseconds)" } ?? "-",
            ])
        }
    }
}
