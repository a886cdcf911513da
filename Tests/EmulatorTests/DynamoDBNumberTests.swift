import AWSWire
import Machine
import Testing

@testable import Emulator

struct DynamoDBNumberTests {
    private func number(_ text: String) throws -> DynamoDBNumber { try DynamoDBNumber(text: text) }

    @Test(arguments: [
        ("0", "0"), ("-0.00", "0"), ("007", "7"), ("1.50", "1.5"), ("1E3", "1000"), ("-12.5e-3", "-0.0125"),
        (".5", "0.5"), ("5.", "5"), ("+3", "3"), ("100", "100"), ("1e-5", "0.00001"),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
    ])
    func writesCanonicalText(_ text: String, _ canonical: String) throws {
        #expect(try number(text).text == canonical)
    }

    @Test(arguments: [
        "", "abc", "-", ".", "1e", "1e+", "--1", "0x10", "1 ", "1,5", "1.2.3", "NaN", "Infinity", "1E126", "-1E126",
        "1E-131", "1E99999999999999999999", String(repeating: "9", count: 39), "1." + String(repeating: "3", count: 38),
    ])
    func refusesWhatIsNoNumber(_ text: String) {
        #expect(throws: ServiceError.self) { try number(text) }
    }

    @Test func acceptsTheLimits() throws {
        for text in ["9.9999999999999999999999999999999999999E125", "1E-130", "-1E-130", "-9.9E125"] {
            #expect(try number(number(text).text) == number(text))
        }
    }

    @Test func sumsOfMoreThan38DigitsAreRefused() throws {
        #expect(throws: ServiceError.self) { try number("1E20").adding(number("1E-20")) }
        #expect(throws: ServiceError.self) { try number("9E125").adding(number("9E125")) }
        let nines = try number(String(repeating: "9", count: 38))
        #expect(try nines.adding(number("1")).text == "1" + String(repeating: "0", count: 38))
        #expect(throws: ServiceError.self) { try nines.adding(number("2")) }
        #expect(try number("1E38").adding(number("-1")) == nines)
    }

    @Test(arguments: 0..<50 as Range<UInt64>)
    func agreesWithIntegersScaledByAPowerOfTen(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var numbers: [(value: Int, number: DynamoDBNumber)] = []
        for _ in 0..<20 {
            let value = Int(truncatingIfNeeded: generator.next()) >> Int(generator.next() % 64)
            numbers.append((value / 4, try number("\(value / 4)E-7")))
        }
        for a in numbers {
            for b in numbers {
                #expect((a.number < b.number) == (a.value < b.value))
                #expect(
                    a.number.sortKey.lexicographicallyPrecedes(b.number.sortKey) == (a.value < b.value),
                    "\(a.number.text) \(b.number.text)")
                #expect(try a.number.adding(b.number) == number("\(a.value + b.value)E-7"))
            }
        }
    }
}

struct DynamoDBOrderTests {
    @Test(arguments: 0..<20 as Range<UInt64>)
    func keepsKeysInOrderThroughInsertionsAndRemovals(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var chunks = OrderedChunks<Int, Int>()
        var model: [Int: Int] = [:]
        for step in 0..<5000 {
            let key = Int(generator.next() % 2000)
            let removes = generator.chance(0.4)
            model[key] = removes ? nil : step
            chunks.update(key) { $0 = removes ? nil : step }
        }
        var keys: [Int] = []
        var position = chunks.start
        while position < chunks.end {
            keys.append(chunks[position].key)
            #expect(model[chunks[position].key] == chunks[position].value)
            position = chunks.after(position)
        }
        #expect(keys == model.keys.sorted())
        #expect(chunks.count == model.count)
        var reversed: [Int] = []
        while position > chunks.start {
            position = chunks.before(position)
            reversed.append(chunks[position].key)
        }
        #expect(reversed == keys.reversed())
        for bound in stride(from: -1, through: 2000, by: 97) {
            let first = chunks.firstPosition { $0 > bound }
            #expect((first < chunks.end ? chunks[first].key : nil) == keys.first { $0 > bound })
        }
    }
}
