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
    @inlinable
    public init?(digits: UnsafeRawBufferPointer) {
        guard 1...77 ~= digits.count else { return nil }
        var value = SequenceNumber.zero
        var index = 0
        while index < digits.count {
            // Eighteen digits at a time fit a word, so that the wide multiplication runs rarely.
            let end = Swift.min(index + 18, digits.count)
            var word: UInt64 = 0
            var scale: UInt64 = 1
            while index < end {
                let digit = digits[index] &- 48
                guard digit < 10 else { return nil }
                word = word &* 10 &+ UInt64(digit)
                scale = scale &* 10
                index += 1
            }
            guard let next = value.multiplied(by: UInt128(scale), adding: UInt128(word)) else { return nil }
            value = next
        }
        self = value
    }

    @inlinable
    func multiplied(by factor: UInt128, adding addend: UInt128) -> SequenceNumber? {
        let lowProduct = low.multipliedFullWidth(by: factor)
        let (newLow, carry) = lowProduct.low.addingReportingOverflow(addend)
        let (highProduct, overflow) = high.multipliedReportingOverflow(by: factor)
        let (sum, carried) = highProduct.addingReportingOverflow(lowProduct.high &+ (carry ? 1 : 0))
        return overflow || carried ? nil : SequenceNumber(high: sum, low: newLow)
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
