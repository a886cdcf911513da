import AWSWire
import Machine
import Testing

@Suite struct SequenceNumberTests {
    @Test(
        "A number is read and written as the same digits",
        arguments: [
            "0", "1", "9", "999999999999999999", "1000000000000000000", "18446744073709551615", "18446744073709551616",
            "340282366920938463463374607431768211455", "340282366920938463463374607431768211456",
            "49590338271490256608559692538361571095921575989136588898",
            "49590338271490256608559692540925702759324208523137515618", String(repeating: "9", count: 77),
            "1" + String(repeating: "0", count: 76),
        ])
    func digits(_ text: String) throws {
        #expect(try #require(SequenceNumber(text)).description == text)
    }

    @Test("Each length is read, and each place is looked at", arguments: 1...77)
    func everyPlace(count: Int) throws {
        let text = String(
            "1234567890123456789012345678901234567890123456789012345678901234567890123456789".prefix(count))
        #expect(try #require(SequenceNumber(text)).description == text)
        for place in 0..<count {
            for wrong in ["/", ":", "p", "\u{10}", "\u{0}"] as [Character] {
                var letters = Array(text)
                letters[place] = wrong
                #expect(SequenceNumber(String(letters)) == nil)
            }
        }
    }

    @Test func leadingZerosAreNotPartOfTheNumber() {
        #expect(SequenceNumber("007")?.description == "7")
        #expect(SequenceNumber(String(repeating: "0", count: 77)) == .zero)
    }

    @Test(
        "What is no number is none",
        arguments: [
            "", "-1", "+1", "1.0", " 1", "1 ", "0x1", "TRIM_HORIZON", "SHARD_END", "１", "1é",
            String(repeating: "1", count: 78),
        ])
    func refuses(_ text: String) {
        #expect(SequenceNumber(text) == nil)
    }

    @Test("Numbers are ordered as their digits are, by length first", arguments: 0..<50 as Range<UInt64>)
    func order(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        func random() -> String {
            var text = "\(Int.random(in: 1...9, using: &generator))"
            for _ in 1..<Int.random(in: 2...77, using: &generator) {
                text += "\(Int.random(in: 0...9, using: &generator))"
            }
            return text
        }
        for _ in 0..<100 {
            let (a, b) = (random(), random())
            let (x, y) = (try #require(SequenceNumber(a)), try #require(SequenceNumber(b)))
            #expect(x.description == a)
            #expect((x < y) == (a.count != b.count ? a.count < b.count : a < b))
            #expect((x == y) == (a == b))
        }
    }

    @Test func advancingCarries() throws {
        let number = try #require(SequenceNumber("340282366920938463463374607431768211455"))
        #expect(number.advanced(by: 1).description == "340282366920938463463374607431768211456")
        #expect(number.advanced(by: 0) == number)
    }

    // The records of the AWS Lambda documentation, with their published arrival times (2018-12-17 22:10:50.987 and
    // 22:11:51.166): reference/peers.md F.3.
    @Test(
        "A real number tells when it was written",
        arguments: [
            ("49590338271490256608559692538361571095921575989136588898", 1_545_084_650_987 as Int64),
            ("49590338271490256608559692540925702759324208523137515618", 1_545_084_711_166),
        ])
    func recordTime(_ text: String, _ arrival: Int64) throws {
        let number = try #require(SequenceNumber(text))
        let now = UnixTime(milliseconds: 1_600_000_000_000)
        let parts = try #require(SequenceNumberParts(number, now: now))
        #expect(abs(parts.recordTime.milliseconds - arrival) < 2500)
        #expect(parts.shardCreated < parts.recordTime)
        #expect(parts.sequenceNumber == number)
    }

    @Test func numbersOfNoSuchLayoutTellNothing() throws {
        let now = UnixTime(milliseconds: 1_600_000_000_000)
        let number = try #require(SequenceNumber("49590338271490256608559692538361571095921575989136588898"))
        #expect(SequenceNumberParts(.zero, now: now) == nil)
        #expect(SequenceNumberParts(try #require(SequenceNumber("12345")), now: now) == nil)
        // Written two years after "now".
        #expect(SequenceNumberParts(number, now: UnixTime(milliseconds: 1_480_000_000_000)) == nil)
        // No clock traps it.
        for extreme in [Int64.min, .max] { _ = SequenceNumberParts(number, now: UnixTime(milliseconds: extreme)) }
    }

    @Test("Parts survive being written", arguments: 0..<50 as Range<UInt64>)
    func parts(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let created = Int64.random(in: 1_300_000_000...1_700_000_000, using: &generator)
        let parts = SequenceNumberParts(
            shardCreated: UnixTime(milliseconds: created * 1000),
            recordTime: UnixTime(milliseconds: (created + Int64.random(in: 0...9_999_999, using: &generator)) * 1000),
            shardIndex: UInt32.random(in: 0...UInt32.max, using: &generator),
            counter: generator.next())
        #expect(SequenceNumberParts(parts.sequenceNumber, now: UnixTime(milliseconds: 1_800_000_000_000)) == parts)
        #expect(parts.sequenceNumber.description.count == 56)
    }
}
