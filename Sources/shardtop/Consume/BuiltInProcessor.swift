import AWSWire
import KinesisConsumer
import Machine
import MultiLang

/// The processors that `consume` has built in: counting, or printing each record as a line of JSON.
struct BuiltInProcessor: RecordProcessor {
    let kind: DaemonConfiguration.BuiltInProcessor
    let shardID: String
    let output: LineFile?

    func initialize(_ input: InitializationInput) async throws {}

    func processRecords(_ input: ProcessRecordsInput) async throws {
        if let output {
            for record in input.records { try output.append(line(record)) }
        }
        do { try await input.checkpointer.checkpoint() } catch CheckpointError.shutdown {
            // The lease is somebody else's; leaseLost follows.
        }
    }

    private func line(_ record: Record) -> String {
        JSON.text(
            .members([
                "shardId": .string(shardID), "sequenceNumber": .string(record.sequenceNumber.description),
                "subSequenceNumber": record.isAggregated ? .int(record.subSequenceNumber) : nil,
                "partitionKey": .string(record.partitionKey.text),
                "approximateArrivalTimestamp": record.approximateArrival.map { .string(CivilTime($0).iso8601) },
                // Text stays readable; what is none is base64, as on the wire.
                "text": utf8(record.data).map { .string($0) },
                "data": utf8(record.data) == nil ? .bytes(record.data) : nil,
            ]))
    }

    private func utf8(_ data: Bytes) -> String? { String(validating: data.array, as: UTF8.self) }

    func leaseLost() async {}

    func shardEnded(_ checkpointer: Checkpointer) async throws { try await checkpointer.checkpoint() }

    func shutdownRequested(_ checkpointer: Checkpointer) async throws {
        do { try await checkpointer.checkpoint() } catch CheckpointError.shutdown {}
    }
}
