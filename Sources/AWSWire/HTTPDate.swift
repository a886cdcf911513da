public import Machine

/// The `Date` of an HTTP answer (RFC 9110 §5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
public enum HTTPDate {
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    private static let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]

    public static func parse(_ text: String) -> UnixTime? {
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", let day = Int(parts[1]),
            let month = months.firstIndex(of: String(parts[2])),
            let year = Int(parts[3])
        else { return nil }
        let clock = parts[4].split(separator: ":").compactMap { Int($0) }
        guard clock.count == 3, 1...31 ~= day, 0...23 ~= clock[0], 0...59 ~= clock[1], 0...60 ~= clock[2],
            1970...9999 ~= year
        else { return nil }
        return CivilTime.unixTime(
            year: year, month: month + 1, day: day, hour: clock[0], minute: clock[1], second: clock[2])
    }

    public static func format(_ time: UnixTime) -> String {
        let civil = CivilTime(time)
        let (whole, rest) = time.milliseconds.quotientAndRemainder(dividingBy: 86_400_000)
        let days = rest < 0 ? whole - 1 : whole
        let day = civil.day < 10 ? "0\(civil.day)" : "\(civil.day)"
        return
            "\(weekdays[Int((days % 7 + 7) % 7)]), \(day) \(months[civil.month - 1]) \(civil.year) \(civil.clock) GMT"
    }
}
