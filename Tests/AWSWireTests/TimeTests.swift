import AWSWire
import Machine
import Testing

@Suite struct TimeTests {
    @Test(
        "Dates of HTTP are read and written",
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777 as Int64), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sat, 31 Jan 2026 12:00:00 GMT", 1_769_860_800), ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ])
    func httpDate(_ text: String, _ seconds: Int64) {
        #expect(HTTPDate.parse(text) == UnixTime(milliseconds: seconds * 1000))
        #expect(HTTPDate.format(UnixTime(milliseconds: seconds * 1000)) == text)
    }

    @Test func theSecondBeforeTheEpochWasAWednesday() {
        #expect(HTTPDate.format(UnixTime(milliseconds: -1000)) == "Wed, 31 Dec 1969 23:59:59 GMT")
    }

    @Test(
        "What is no date of HTTP is none",
        arguments: [
            "", "Sun", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 25:00:00 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1900 08:49:37 GMT",
        ])
    func noHTTPDate(_ text: String) {
        #expect(HTTPDate.parse(text) == nil)
    }

    @Test(
        "Times of ISO 8601 are read",
        arguments: [
            ("2026-01-31T12:00:00Z", 1_769_860_800_000 as Int64), ("2026-01-31T12:00:00.5Z", 1_769_860_800_500),
            ("2026-01-31T12:00:00.123456Z", 1_769_860_800_123), ("2026-01-31T13:30:00+01:30", 1_769_860_800_000),
            ("2026-01-31T07:00:00-05:00", 1_769_860_800_000), ("2026-01-31", 1_769_817_600_000),
            ("2026-01-31T12:00", 1_769_860_800_000), ("2026-01-31 12:00:00", 1_769_860_800_000),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000), ("1969-12-31T23:59:59.999Z", -1),
        ])
    func iso8601(_ text: String, _ milliseconds: Int64) {
        #expect(CivilTime.parseISO8601(text) == UnixTime(milliseconds: milliseconds))
    }

    @Test(
        "What is no time of ISO 8601 is none",
        arguments: [
            "", "2026", "2026-13-01", "2026-00-01", "2026-01-32", "2026-1-1", "2026-01-31T", "2026-01-31T24:00:00Z",
            "2026-01-31T12:60:00Z", "2026-01-31T12:00:61Z", "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00Zx",
            "2026-01-31T12:00:00+0100", "2026-01-31T12:00:00+1", "２026-01-31", "2026\u{301}-01-31", "-026-01-31",
        ])
    func noISO8601(_ text: String) {
        #expect(CivilTime.parseISO8601(text) == nil)
    }

    @Test func aTimeTakenApartIsWrittenForPeopleAndForSignatures() {
        let civil = CivilTime(UnixTime(milliseconds: 1_709_251_199_007))
        #expect(civil.iso8601 == "2024-02-29T23:59:59.007Z")
        #expect(civil.basic == "20240229T235959Z")
    }

    @Test("Any time survives being taken apart", arguments: 0..<50 as Range<UInt64>)
    func civilRoundTrip(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            let time = UnixTime(milliseconds: Int64(truncatingIfNeeded: generator.next()) >> 12)
            let civil = CivilTime(time)
            #expect(
                CivilTime.unixTime(
                    year: civil.year, month: civil.month, day: civil.day, hour: civil.hour, minute: civil.minute,
                    second: civil.second, millisecond: civil.millisecond) == time)
            #expect(1...12 ~= civil.month && 1...31 ~= civil.day && 0..<1000 ~= civil.millisecond)
        }
    }

    @Test func noTimeTraps() {
        for milliseconds in [Int64.min, .min + 1, -1, 0, .max - 1, .max] {
            let time = UnixTime(milliseconds: milliseconds)
            #expect(!CivilTime(time).iso8601.isEmpty)
            #expect(!HTTPDate.format(time).isEmpty)
        }
        for seconds in [Double.nan, .infinity, -.infinity, 1e300, -1e300] {
            #expect(!CivilTime(UnixTime(seconds: seconds)).iso8601.isEmpty)
        }
    }
}
