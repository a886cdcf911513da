import AWSWire
import Leases
import Testing

private func number(_ low: UInt128, _ sub: Int64 = 0) -> Checkpoint {
    Checkpoint(.sequenceNumber(SequenceNumber(high: 0, low: low)), subSequenceNumber: sub)
}

@Suite struct CheckpointTests {
    @Test func `positions are ordered as KCL orders them`() {
        let ordered: [Checkpoint] = [
            .atTimestamp, .trimHorizon, .latest, number(0), number(9), number(9, 1), number(9, 12), number(10),
            Checkpoint(.sequenceNumber(SequenceNumber(high: 1, low: 0))), .shardEnd,
        ]
        for (i, a) in ordered.enumerated() {
            for (j, b) in ordered.enumerated() {
                #expect((a < b) == (i < j), "\(a) < \(b)")
                #expect((a == b) == (i == j), "\(a) == \(b)")
            }
        }
    }

    @Test func `numbers are compared as numbers, not as text`() throws {
        #expect(try #require(Checkpoint("9")) < #require(Checkpoint("10")))
        #expect(try #require(Checkpoint("007")) == number(7))
    }

    @Test(arguments: [
        "AT_TIMESTAMP", "TRIM_HORIZON", "LATEST", "SHARD_END", "0",
        "49590338271490256608559692538361571095921575989136588898",
    ])
    func `text is read and written alike`(text: String) throws {
        #expect(try #require(Checkpoint(text)).text == text)
    }

    @Test(arguments: [
        "", "latest", "Trim_Horizon", " 1", "-1", "+1", "1.0", "0x1", "１", String(repeating: "9", count: 78),
    ])
    func `anything else is none`(text: String) {
        #expect(Checkpoint(text) == nil)
    }

    @Test func `a sentinel has no sub-sequence number`() {
        #expect(Checkpoint("SHARD_END", subSequenceNumber: 5) == .shardEnd)
        #expect(Checkpoint("LATEST", subSequenceNumber: 5) == .latest)
        #expect(Checkpoint("5", subSequenceNumber: 3) == number(5, 3))
    }

    @Test func `the description shows a sub-sequence number only where there is one`() {
        #expect(number(5).description == "5")
        #expect(number(5, 3).description == "5/3")
        #expect(Checkpoint.trimHorizon.description == "TRIM_HORIZON")
    }
}
