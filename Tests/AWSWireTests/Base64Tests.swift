import AWSWire
import Machine
import Testing

@Suite struct Base64Tests {
    @Test(
        "The examples of RFC 4648",
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ])
    func examples(_ text: String, _ encoded: String) {
        #expect(Base64.encode(Bytes(text)) == encoded)
        #expect(Base64.decode(encoded) == Array(text.utf8))
    }

    @Test(
        "What is not base64 is refused",
        arguments: [
            "Z", "Zg", "Zm9", "Zg=", "Zm8==", "Z===", "====", "=", "==", "Zm=v", "=m9v", "Zg==Zg==", "Zm 9v", "Zm9v\n",
            "Zm9-",
            "Zm9_", "Zm\u{0}v", "Zmé", "Zm9vé1", "Zm9vZ=o=",
        ])
    func refuses(_ text: String) {
        #expect(Base64.decode(text) == nil)
    }

    @Test func everyByteThatIsNoDigitIsRefusedInEveryPlace() {
        let digits = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        for byte in UInt8.min...UInt8.max {
            for place in 0..<4 {
                var group = Array("AAAABBBB".utf8)
                group[place] = byte
                let count = group.withUnsafeMutableBytes { Base64.decodeInPlace($0) }
                #expect((count == 6) == digits.contains(byte), "byte \(byte) in place \(place)")
            }
        }
    }

    @Test func whatIsNoDigitIsFoundInALongText() {
        let long = Base64.encode(Bytes((0..<150).map { UInt8($0) }))
        for place in 0..<long.utf8.count {
            for byte in [0, 0x2C, 0x3A, 0x40, 0x5B, 0x60, 0x7B, 0x80, 0xAF, 0xC1, 0xFF] as [UInt8] {
                var digits = Array(long.utf8)
                digits[place] = byte
                #expect(digits.withUnsafeMutableBytes { Base64.decodeInPlace($0) } == nil)
            }
        }
    }

    @Test("Any bytes survive, whatever their number", arguments: 0..<200)
    func roundTrip(count: Int) {
        var generator = SeededGenerator(seed: UInt64(count))
        let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
        #expect(Base64.decode(Base64.encode(Bytes(bytes))) == bytes)
    }

    @Test func decodingInPlaceLeavesTheNeighboursAlone() {
        var arena = Array("<<Zm9vYmE=>>".utf8)
        let count = arena.withUnsafeMutableBytes { buffer in
            Base64.decodeInPlace(UnsafeMutableRawBufferPointer(rebasing: buffer[2..<10]))
        }
        #expect(count == 5)
        #expect(String(decoding: arena[2..<7], as: UTF8.self) == "fooba")
        #expect(arena[..<2] == Array("<<".utf8)[...])
        #expect(Array(arena[10...]) == Array(">>".utf8))
    }
}
