public import Machine

/// A Kinesis sequence number, parsed once into a fixed-width integer (up to 77 decimal digits; the service uses 56).
///
/// https://docs.aws.amazon.com/streams/latest/dev/key-concepts.html#sequence-number
@frozen
public struct SequenceNumber: Comparable, Hashable, Sendable, LosslessStringConvertible {
    @usableFromInline let high: UInt128
    @usableFromInline let low: UInt128

    @inlinable
    public init(high: UInt128, low: UInt128) {
        self.high = high
        self.low = low
    }

    public static let zero = SequenceNumber(high: 0, low: 0)

    /// `nil` unless `text` is 1 to 77 decimal digits.
    public init?(_ text: String) {
        var text = text
        let parsed = text.withUTF8 { SequenceNumber(digits: UnsafeRawBufferPointer($0)) }
        guard let parsed else { return nil }
        self = parsed
    }

    /// `nil` unless `digits` are 1 to 77 ASCII decimal digits.
    public init?(digits: UnsafeRawBufferPointer) {
        guard 1...77 ~= digits.count else { return nil }
        // The first digits, so that sixteen at a time remain, which fit a word.
        var index = digits.count % 16
        var first: UInt64 = 0
        for place in 0..<index {
            let digit = digits[place] &- 48
            guard digit < 10 else { return nil }
            first = first * 10 + UInt64(digit)
        }
        var limbs: (UInt64, UInt64, UInt64, UInt64) = (first, 0, 0, 0)
        while index < digits.count {
            guard let upper = eightDigits(digits.loadUnaligned(fromByteOffset: index, as: UInt64.self)),
                let lower = eightDigits(digits.loadUnaligned(fromByteOffset: index + 8, as: UInt64.self))
            else { return nil }
            var carry = upper * 100_000_000 + lower
            carry = multiply(&limbs.0, adding: carry)
            carry = multiply(&limbs.1, adding: carry)
            carry = multiply(&limbs.2, adding: carry)
            carry = multiply(&limbs.3, adding: carry)
            guard carry == 0 else { return nil }
            index += 16
        }
        self.init(
            high: UInt128(limbs.3) << 64 | UInt128(limbs.2), low: UInt128(limbs.1) << 64 | UInt128(limbs.0))
    }

    @inlinable
    public static func < (a: SequenceNumber, b: SequenceNumber) -> Bool {
        a.high != b.high ? a.high < b.high : a.low < b.low
    }

    /// The next number; for ranges and for the emulator's numbering.
    public func advanced(by amount: UInt64) -> SequenceNumber {
        let (sum, carry) = low.addingReportingOverflow(UInt128(amount))
        return SequenceNumber(high: high &+ (carry ? 1 : 0), low: sum)
    }

    public var description: String {
        var rest = self
        var groups: [UInt64] = []
        let billion: UInt128 = 1_000_000_000_000_000_000
        while rest != .zero {
            let (highQuotient, highRemainder) = rest.high.quotientAndRemainder(dividingBy: billion)
            let (lowQuotient, remainder) = billion.dividingFullWidth((highRemainder, rest.low))
            groups.append(UInt64(remainder))
            rest = SequenceNumber(high: highQuotient, low: lowQuotient)
        }
        guard let first = groups.popLast() else { return "0" }
        return groups.reversed().reduce(into: String(first)) { text, group in
            let digits = String(group)
            text += String(repeating: "0", count: 18 - digits.count) + digits
        }
    }
}

/// Multiplies a limb by ten to the sixteenth and adds; returns what goes to the next limb.
private func multiply(_ limb: inout UInt64, adding addend: UInt64) -> UInt64 {
    let product = limb.multipliedFullWidth(by: 10_000_000_000_000_000)
    let (sum, carry) = product.low.addingReportingOverflow(addend)
    limb = sum
    return product.high &+ (carry ? 1 : 0)
}

/// The number that eight digits spell, as they lie in memory; `nil` where one of them is none.
private func eightDigits(_ bytes: UInt64) -> UInt64? {
    let bytes = bytes.littleEndian
    // Digits are 0x30 to 0x39: the upper half is 3, and stays so with 6 added.
    let upper: UInt64 = 0xF0F0_F0F0_F0F0_F0F0
    guard bytes & upper == 0x3030_3030_3030_3030, (bytes &+ 0x0606_0606_0606_0606) & upper == 0x3030_3030_3030_3030
    else { return nil }
    // Neighbours are joined, the first being the lowest byte: digits to pairs, pairs to fours, fours to the whole.
    let digits = bytes & 0x0F0F_0F0F_0F0F_0F0F
    let pairs = (digits &* 10 &+ digits >> 8) & 0x00FF_00FF_00FF_00FF
    let fours = (pairs &* 100 &+ pairs >> 16) & 0x0000_FFFF_0000_FFFF
    return (fours &* 10_000 &+ fours >> 32) & 0xFFFF_FFFF
}

extension SequenceNumber {
    /// Appends the decimal digits to `out`, without an allocation: for encoders that write one for each record.
    public func appendDigits(to out: inout [UInt8]) {
        // 64 bits at a time, the most significant first, so that the processor's own division does.
        var limbs: (UInt64, UInt64, UInt64, UInt64) = (
            UInt64(truncatingIfNeeded: high >> 64), UInt64(truncatingIfNeeded: high),
            UInt64(truncatingIfNeeded: low >> 64), UInt64(truncatingIfNeeded: low)
        )
        let billions: UInt64 = 10_000_000_000_000_000_000
        // 256 bits are at most 78 digits: five groups of 19.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 95) { digits in
            var start = 95
            repeat {
                var remainder: UInt64 = 0
                (limbs.0, remainder) = limbs.0.quotientAndRemainder(dividingBy: billions)
                (limbs.1, remainder) = billions.dividingFullWidth((remainder, limbs.1))
                (limbs.2, remainder) = billions.dividingFullWidth((remainder, limbs.2))
                (limbs.3, remainder) = billions.dividingFullWidth((remainder, limbs.3))
                let isLast = limbs == (0, 0, 0, 0)
                let end = start
                while isLast ? remainder != 0 || end == 95 && start == 95 : end - start < 19 {
                    let (rest, digit) = remainder.quotientAndRemainder(dividingBy: 10)
                    start -= 1
                    digits[start] = 48 + UInt8(truncatingIfNeeded: digit)
                    remainder = rest
                }
            } while limbs != (0, 0, 0, 0)
            out.append(contentsOf: UnsafeBufferPointer(rebasing: UnsafeBufferPointer(digits)[start..<95]))
        }
    }
}

/// The times and the place that the service writes into a sequence number of its current layout (version 2).
///
/// The layout is undocumented (reference: kinesalite `parseSequence`): 47 hex digits, of which `[1..<10]` are the
/// shard's creation in seconds, `[10]` the last digit of its index, `[11..<27]` a counter, `[29..<38]` the record's
/// time in seconds, `[38..<46]` the shard's index, the first and the last the version; `[27..<29]` are zero. It gives
/// an upper bound of a checkpoint's age without a call, and never decides anything by itself.
public struct SequenceNumberParts: Hashable, Sendable {
    public var shardCreated: UnixTime
    public var recordTime: UnixTime
    public var shardIndex: UInt32
    /// The number's counter within the shard.
    public var counter: UInt64

    public init(shardCreated: UnixTime, recordTime: UnixTime, shardIndex: UInt32, counter: UInt64) {
        self.shardCreated = shardCreated
        self.recordTime = recordTime
        self.shardIndex = shardIndex
        self.counter = counter
    }

    /// `nil` where the number is not of that layout, or its times make no sense at `now`.
    public init?(_ number: SequenceNumber, now: UnixTime) {
        // 188 bits: 2 | creation 36 | shard's last digit 4 | counter 64 | 0 8 | time 36 | shard 32 | 2
        guard number.low & 0xF == 2, number.high >> 56 == 2 else { return nil }
        shardIndex = UInt32(truncatingIfNeeded: number.low >> 4)
        let time = Int64(truncatingIfNeeded: (number.low >> 36) & 0xF_FFFF_FFFF)
        counter = UInt64(truncatingIfNeeded: number.low >> 80) | UInt64(truncatingIfNeeded: number.high & 0xFFFF) << 48
        let created = Int64(truncatingIfNeeded: (number.high >> 20) & 0xF_FFFF_FFFF)
        guard created <= time, time - 3600 <= now.milliseconds / 1000, created > 1_200_000_000 else { return nil }
        shardCreated = UnixTime(milliseconds: created * 1000)
        recordTime = UnixTime(milliseconds: time * 1000)
    }

    /// The number in the service's layout.
    public var sequenceNumber: SequenceNumber {
        let seconds = (UInt128(1) << 36) - 1
        let created = UInt128(truncatingIfNeeded: shardCreated.milliseconds / 1000) & seconds
        let time = UInt128(truncatingIfNeeded: recordTime.milliseconds / 1000) & seconds
        let counter = UInt128(counter)
        return SequenceNumber(
            high: 2 << 56 | created << 20 | UInt128(shardIndex & 0xF) << 16 | counter >> 48,
            low: (counter & 0xFFFF_FFFF_FFFF) << 80 | time << 36 | UInt128(shardIndex) << 4 | 2)
    }
}
