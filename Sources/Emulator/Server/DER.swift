import Machine

/// The distinguished encoding of ASN.1 (X.690), as far as a certificate needs it: each function returns one element,
/// its tag and length before what it holds.
enum DER {
    static func element(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        var length = [UInt8(truncatingIfNeeded: content.count)]
        if content.count >= 128 {
            length = []
            var rest = content.count
            while rest > 0 {
                length.insert(UInt8(truncatingIfNeeded: rest), at: 0)
                rest >>= 8
            }
            length.insert(0x80 | UInt8(length.count), at: 0)
        }
        return [tag] + length + content
    }

    static func sequence(_ elements: [UInt8]...) -> [UInt8] { element(0x30, elements.flatMap { $0 }) }

    static func set(_ elements: [UInt8]...) -> [UInt8] { element(0x31, elements.flatMap { $0 }) }

    static func integer(_ value: UInt8) -> [UInt8] { integer([value]) }

    /// A whole number, not negative, big end first.
    static func integer(_ magnitude: [UInt8]) -> [UInt8] {
        let digits = magnitude.drop { $0 == 0 }
        return element(2, (digits.first ?? 0x80) & 0x80 != 0 ? [0] + digits : Array(digits))
    }

    static func boolean(_ value: Bool) -> [UInt8] { element(1, [value ? 0xFF : 0]) }

    static func octets(_ bytes: [UInt8]) -> [UInt8] { element(4, bytes) }

    /// - Parameter unusedBits: bits at the end of the last byte that are none.
    static func bits(_ bytes: [UInt8], unusedBits: UInt8 = 0) -> [UInt8] { element(3, [unusedBits] + bytes) }

    static func text(_ text: String) -> [UInt8] { element(12, Array(text.utf8)) }

    static func identifier(_ arcs: UInt...) -> [UInt8] {
        var content: [UInt8] = []
        for arc in [arcs[0] * 40 + arcs[1]] + arcs[2...] {
            var septets = [UInt8(arc & 0x7F)]
            var rest = arc >> 7
            while rest > 0 {
                septets.insert(UInt8(rest & 0x7F) | 0x80, at: 0)
                rest >>= 7
            }
            content += septets
        }
        return element(6, content)
    }

    /// To the second; years from 2050 on have a form of their own.
    static func time(_ time: UnixTime) -> [UInt8] {
        let digits = CivilTime(time).basic.filter { $0 != "T" }
        return digits < "2050" ? element(23, Array(digits.dropFirst(2).utf8)) : element(24, Array(digits.utf8))
    }

    /// An element in place of the type it has by its context: [0], [3].
    static func context(_ number: UInt8, _ content: [UInt8]) -> [UInt8] { element(0xA0 | number, content) }

    /// The same for a type that holds no elements.
    static func contextPrimitive(_ number: UInt8, _ content: [UInt8]) -> [UInt8] { element(0x80 | number, content) }
}
