/// A wall-clock time taken apart in UTC, by the proleptic Gregorian calendar.
public struct CivilTime: Hashable, Sendable {
    public var year: Int
    public var month: Int
    public var day: Int
    public var hour: Int
    public var minute: Int
    public var second: Int
    public var millisecond: Int

    /// Takes `time` apart (Howard Hinnant's `civil_from_days`).
    public init(_ time: UnixTime) {
        let days = time.milliseconds.flooredQuotient(by: 86_400_000)
        // Not `milliseconds - days * 86_400_000`, which overflows at the far end of the past.
        let remainder = time.milliseconds % 86_400_000
        let rest = Int(remainder < 0 ? remainder + 86_400_000 : remainder)
        let shifted = days + 719_468
        let era = shifted.flooredQuotient(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        day = Int(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
        month = Int(shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9)
        year = Int(yearOfEra + era * 400) + (month <= 2 ? 1 : 0)
        hour = rest / 3_600_000
        minute = rest / 60_000 % 60
        second = rest / 1000 % 60
        millisecond = rest % 1000
    }

    /// The moment these UTC fields name; fields beyond their range carry over.
    public static func unixTime(
        year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0, millisecond: Int = 0
    ) -> UnixTime {
        let y = Int64(month <= 2 ? year - 1 : year)
        let era = y.flooredQuotient(by: 400)
        let yearOfEra = y - era * 400
        let dayOfYear = Int64((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1)
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        let seconds = days * 86_400 + Int64(hour * 3600 + minute * 60 + second)
        return UnixTime(milliseconds: seconds * 1000 + Int64(millisecond))
    }

    /// Reads `2026-01-31T12:00:00Z`, with optional fraction and `Z` or `±hh:mm`; `nil` for anything else.
    public static func parseISO8601(_ text: String) -> UnixTime? {
        var rest = Substring(text)
        func number(_ width: Int) -> Int? {
            guard rest.utf8.prefix(width).count == width, rest.utf8.prefix(width).allSatisfy({ 48...57 ~= $0 }),
                let value = Int(rest.prefix(width))
            else { return nil }
            rest = rest.dropFirst(width)
            return value
        }
        func skip(_ character: Character) -> Bool {
            guard rest.first == character else { return false }
            rest = rest.dropFirst()
            return true
        }
        guard let year = number(4), skip("-"), let month = number(2), skip("-"), let day = number(2),
            1...12 ~= month, 1...31 ~= day
        else { return nil }
        if rest.isEmpty { return unixTime(year: year, month: month, day: day) }
        guard skip("T") || skip(" "), let hour = number(2), skip(":"), let minute = number(2), hour < 24, minute < 60
        else { return nil }
        var second = 0
        var millisecond = 0
        if skip(":") {
            guard let value = number(2), value < 61 else { return nil }
            second = value
            if skip(".") {
                let digits = rest.prefix { $0.isASCII && $0.isNumber }
                guard !digits.isEmpty else { return nil }
                rest = rest.dropFirst(digits.count)
                millisecond = Int((String(digits.prefix(3)) + "000").prefix(3)) ?? 0
            }
        }
        let time = unixTime(
            year: year, month: month, day: day, hour: hour, minute: minute, second: second, millisecond: millisecond)
        if skip("Z") || rest.isEmpty { return rest.isEmpty ? time : nil }
        let ahead = rest.first == "+"
        guard skip("+") || skip("-"), let hours = number(2), skip(":"), let minutes = number(2), rest.isEmpty
        else { return nil }
        return time + .seconds((hours * 3600 + minutes * 60) * (ahead ? -1 : 1))
    }

    /// `2026-01-31T12:00:00.000Z`
    public var iso8601: String {
        "\(padded(year, 4))-\(padded(month))-\(padded(day))T\(clock).\(padded(millisecond, 3))Z"
    }

    /// `20260131T120000Z`, the form of `X-Amz-Date`.
    public var basic: String {
        "\(padded(year, 4))\(padded(month))\(padded(day))T\(padded(hour))\(padded(minute))\(padded(second))Z"
    }

    /// `12:00:00`
    public var clock: String { "\(padded(hour)):\(padded(minute)):\(padded(second))" }

    private func padded(_ value: Int, _ width: Int = 2) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

extension Int64 {
    fileprivate func flooredQuotient(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}
