/// A DynamoDB number: up to 38 decimal digits, exact, from 1E-130 to 9.99…E+125 in magnitude.
///
/// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
struct DynamoDBNumber: Hashable, Comparable {
    static let digitsMax = 38
    /// Exponents of the first digit.
    static let exponentMax = 125
    static let exponentMin = -130
    static let zero = DynamoDBNumber(isNegative: false, coefficient: 0, exponent: 0)

    /// The value is ±`coefficient` × 10^`exponent`; the coefficient has no trailing zero, and 0 is positive.
    private(set) var isNegative: Bool
    private(set) var coefficient: UInt128
    private(set) var exponent: Int

    private init(isNegative: Bool, coefficient: UInt128, exponent: Int) {
        var coefficient = coefficient
        var exponent = exponent
        while coefficient != 0, coefficient % 10 == 0 {
            coefficient /= 10
            exponent += 1
        }
        self.isNegative = isNegative && coefficient != 0
        self.coefficient = coefficient
        self.exponent = coefficient == 0 ? 0 : exponent
    }

    init(_ value: Int) {
        self.init(isNegative: value < 0, coefficient: UInt128(value.magnitude), exponent: 0)
    }

    /// Reads `-12.5`, `.5`, `1E+3`; the errors are those of a request with such a value.
    init(text: String) throws(ServiceError) {
        let malformed = ServiceError.validation(
            text.isEmpty
                ? "The parameter cannot be converted to a numeric value"
                : "The parameter cannot be converted to a numeric value: \(text)")
        var bytes = Array(text.utf8)[...]
        var isNegative = false
        if let sign = bytes.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
            isNegative = sign == UInt8(ascii: "-")
            bytes = bytes.dropFirst()
        }
        var exponent = 0
        if let mark = bytes.firstIndex(where: { $0 | 0x20 == UInt8(ascii: "e") }) {
            let digits = String(decoding: bytes[(mark + 1)...], as: UTF8.self)
            guard let value = Int(digits), abs(value) < 1_000_000 else { throw malformed }
            exponent = value
            bytes = bytes[..<mark]
        }
        var digits: [UInt8] = []
        var sawPoint = false
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                digits.append(byte - UInt8(ascii: "0"))
                if sawPoint { exponent -= 1 }
            case UInt8(ascii: ".") where !sawPoint: sawPoint = true
            default: throw malformed
            }
        }
        guard !digits.isEmpty else { throw malformed }
        while digits.last == 0 {
            digits.removeLast()
            exponent += 1
        }
        let significant = digits.drop { $0 == 0 }
        guard significant.count <= Self.digitsMax else { throw Self.tooManyDigits }
        let coefficient = significant.reduce(UInt128(0)) { $0 * 10 + UInt128($1) }
        self.init(isNegative: isNegative, coefficient: coefficient, exponent: exponent)
        try checkRange()
    }

    private static var tooManyDigits: ServiceError {
        .validation("Attempting to store more than 38 significant digits in a Number")
    }

    private func checkRange() throws(ServiceError) {
        guard coefficient != 0 else { return }
        guard leadingExponent <= Self.exponentMax else {
            throw .validation(
                "Number overflow. Attempting to store a number with magnitude larger than supported range")
        }
        guard leadingExponent >= Self.exponentMin else {
            throw .validation(
                "Number underflow. Attempting to store a number with magnitude smaller than supported range")
        }
    }

    var digitCount: Int {
        var count = 0
        var rest = coefficient
        while rest > 0 {
            rest /= 10
            count += 1
        }
        return count
    }

    /// The power of ten of the first digit.
    private var leadingExponent: Int { exponent + digitCount - 1 }

    /// Plain decimal digits, never with an exponent.
    var text: String {
        let digits = String(coefficient)
        let sign = isNegative ? "-" : ""
        if exponent >= 0 { return sign + digits + String(repeating: "0", count: exponent) }
        let point = digits.count + exponent
        if point > 0 { return sign + digits.prefix(point) + "." + digits.suffix(-exponent) }
        return sign + "0." + String(repeating: "0", count: -point) + digits
    }

    /// Bytes that sort as the numbers do: sign, exponent of the first digit, then 38 digits as a binary number;
    /// complemented for a negative one.
    var sortKey: [UInt8] {
        guard coefficient != 0 else { return [1] }
        var scaled = coefficient
        for _ in digitCount..<Self.digitsMax { scaled *= 10 }
        var key: [UInt8] = [UInt8(clamping: leadingExponent - Self.exponentMin)]
        for shift in stride(from: 120, through: 0, by: -8) { key.append(UInt8(truncatingIfNeeded: scaled >> shift)) }
        return isNegative ? [0] + key.map { ~$0 } : [2] + key
    }

    static func < (a: DynamoDBNumber, b: DynamoDBNumber) -> Bool {
        if a.isNegative != b.isNegative { return a.isNegative }
        return a.isNegative ? precedesInMagnitude(b, a) : precedesInMagnitude(a, b)
    }

    private static func precedesInMagnitude(_ a: DynamoDBNumber, _ b: DynamoDBNumber) -> Bool {
        if a.coefficient == 0 || b.coefficient == 0 { return a.coefficient < b.coefficient }
        let (aDigits, bDigits) = (a.digitCount, b.digitCount)
        let (aLeading, bLeading) = (a.exponent + aDigits, b.exponent + bDigits)
        if aLeading != bLeading { return aLeading < bLeading }
        let digits = max(aDigits, bDigits)
        return a.coefficient.scaled(by: digits - aDigits) < b.coefficient.scaled(by: digits - bDigits)
    }

    var negated: DynamoDBNumber {
        DynamoDBNumber(isNegative: !isNegative, coefficient: coefficient, exponent: exponent)
    }

    /// The exact sum; an error where it has more than 38 digits or leaves the range.
    func adding(_ other: DynamoDBNumber) throws(ServiceError) -> DynamoDBNumber {
        if coefficient == 0 { return other }
        if other.coefficient == 0 { return self }
        let low = min(exponent, other.exponent)
        // A multiple of the lowest digit that no UInt128 holds has 39 digits or more even after a subtraction,
        // because that lowest digit is not zero.
        guard let a = coefficient.scaled(checking: exponent - low),
            let b = other.coefficient.scaled(checking: other.exponent - low)
        else { throw Self.tooManyDigits }
        let sum: DynamoDBNumber
        if isNegative == other.isNegative {
            let (total, overflow) = a.addingReportingOverflow(b)
            guard !overflow else { throw Self.tooManyDigits }
            sum = DynamoDBNumber(isNegative: isNegative, coefficient: total, exponent: low)
        } else {
            let isMine = a >= b
            sum = DynamoDBNumber(
                isNegative: isMine ? isNegative : other.isNegative, coefficient: isMine ? a - b : b - a,
                exponent: low)
        }
        guard sum.digitCount <= Self.digitsMax else { throw Self.tooManyDigits }
        try sum.checkRange()
        return sum
    }
}

extension UInt128 {
    /// Times 10^`power`, where the product is known to fit.
    fileprivate func scaled(by power: Int) -> UInt128 {
        var value = self
        for _ in 0..<power { value *= 10 }
        return value
    }

    /// Times 10^`power`; `nil` where the product does not fit.
    fileprivate func scaled(checking power: Int) -> UInt128? {
        guard power <= DynamoDBNumber.digitsMax else { return nil }
        var value = self
        for _ in 0..<power {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            if overflow { return nil }
            value = product
        }
        return value
    }
}
