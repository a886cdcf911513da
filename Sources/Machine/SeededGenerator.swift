/// SplitMix64: every random choice of a run follows from one seed, so that a run replays from it.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A generator of its own for one part of the run, so that parts do not disturb each other's choices.
    public mutating func split() -> SeededGenerator { SeededGenerator(seed: next()) }

    /// True with `probability` (0…1).
    public mutating func chance(_ probability: Double) -> Bool {
        Double(next() >> 11) * 0x1p-53 < probability
    }

    /// `duration` changed by up to ±`fraction` of itself.
    public mutating func jittered(_ duration: Duration, by fraction: Double) -> Duration {
        let unit = Double(next() >> 11) * 0x1p-53 * 2 - 1
        return .nanoseconds(duration.wholeNanoseconds + Int64(Double(duration.wholeNanoseconds) * fraction * unit))
    }

    /// A version-4 UUID in lower case.
    public mutating func uuid() -> String {
        let hex = Array("0123456789abcdef")
        var text = ""
        var bits: UInt64 = 0
        for index in 0..<32 {
            if index == 8 || index == 12 || index == 16 || index == 20 { text.append("-") }
            if index % 16 == 0 { bits = next() }
            var digit = Int(bits & 15)
            bits >>= 4
            if index == 12 { digit = 4 }
            if index == 16 { digit = 8 | digit & 3 }
            text.append(hex[digit])
        }
        return text
    }
}
