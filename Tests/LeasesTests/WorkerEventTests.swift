import AWSWire
import Leases
import Machine
import Testing

@Suite struct WorkerEventTests {
    @Test func `an event is one line with the members that it has`() {
        let event = WorkerEvent(
            .recordsProcessed, at: UnixTime(milliseconds: 1_769_860_800_000), workerID: "w", shardID: "s",
            checkpoint: Checkpoint(.sequenceNumber(SequenceNumber(high: 0, low: 9)), subSequenceNumber: 2),
            records: 3, bytes: 40, from: SequenceNumber(high: 0, low: 7), to: SequenceNumber(high: 0, low: 9),
            millisBehindLatest: 12)
        #expect(
            event.json(seq: 5) == #"{"version":1,"seq":5,"at":"2026-01-31T12:00:00.000Z","event":"recordsProcessed","#
                + #""source":"engine","shardId":"s","workerId":"w","checkpoint":"9","checkpointSubSequenceNumber":2,"#
                + #""records":3,"bytes":40,"from":"7","to":"9","millisBehindLatest":12}"#)
    }

    @Test func `the end of a shard is TERMINATE and a lost lease is ZOMBIE`() {
        let time = UnixTime(milliseconds: 0)
        for kind in WorkerEvent.Kind.allCases {
            let expected: String? = kind == .shardEnded ? "TERMINATE" : kind == .leaseLost ? "ZOMBIE" : nil
            #expect(WorkerEvent(kind, at: time).reason == expected)
        }
    }

    @Test func `what was seen in the table happened between two reads`() {
        let event = WorkerEvent(
            .ownerChanged, at: UnixTime(milliseconds: 2000), source: .table, shardID: "s", previousOwner: "a",
            owner: "b", leaseCounter: 8,
            observedBetween: UnixTime(milliseconds: 0)...UnixTime(milliseconds: 2000), message: "robbed")
        #expect(
            event.json(seq: 1) == #"{"version":1,"seq":1,"at":"1970-01-01T00:00:02.000Z","event":"ownerChanged","#
                + #""source":"table","shardId":"s","previousOwner":"a","owner":"b","leaseCounter":8,"#
                + #""observedBetween":["1970-01-01T00:00:00.000Z","1970-01-01T00:00:02.000Z"],"message":"robbed"}"#)
    }
}
