import Fleet
import Machine
import Testing

@testable import Dashboard

struct SettingsTests {
    private func settings(_ text: String, _ environment: [String: String] = [:]) throws -> Settings {
        try Settings(file: Array(text.utf8), path: "/c/config.toml") { environment[$0] }
    }

    private func complaint(_ text: String, _ environment: [String: String] = [:]) -> String? {
        do {
            _ = try settings(text, environment)
            return nil
        } catch { return "\(error)" }
    }

    @Test func withoutAFileTheDefaultsHold() throws {
        let settings = try Settings(file: nil, path: "/c/config.toml")
        #expect(!settings.hasFile)
        #expect(settings.choice(.theme) == .init(value: .text("shardtop"), source: .standard))
        #expect(settings.flag(.color) && settings.flag(.mouse) && !settings.flag(.ascii))
        #expect(settings.text(.refresh) == "auto")
        #expect(settings.number(.readUnitsMax) == nil)
        #expect(settings.readOnlyReason(application: "a", profiles: ["default"]) == nil)
    }

    @Test func theVariableBeatsTheApplicationAndTheApplicationTheRest() throws {
        let text = "max_rcu = 1_0.5 # of all\n[application.orders]\nmax_rcu = 3\nstream='orders'\n"
        let file = try settings(text)
        #expect(file.choice(.readUnitsMax) == .init(value: .number(10.5), source: .file(line: 1)))
        #expect(file.choice(.readUnitsMax, application: "orders") == .init(value: .number(3), source: .file(line: 3)))
        #expect(file.number(.readUnitsMax, application: "others") == 10.5)
        #expect(file.text(.stream, application: "orders") == "orders" && file.text(.stream) == nil)
        let variable = try settings(text, ["SHARDTOP_MAX_RCU": "7"])
        #expect(
            variable.choice(.readUnitsMax, application: "orders")
                == .init(value: .number(7), source: .variable("SHARDTOP_MAX_RCU")))
    }

    @Test func lagsAreMeasuredAsTheApplicationSays() throws {
        let file = try settings("[application.a]\nlag = \"probe, cloudwatch\"\n[application.b]\nlag = \"probe\"")
        #expect(file.measures(application: "a") == [.probe, .cloudwatch])
        #expect(file.measures(application: "b") == [.probe])
        #expect(file.measures(application: "c") == [])
    }

    @Test func noColorIsHeardBehindOurOwnVariable() throws {
        let quiet = try settings("color = true", ["NO_COLOR": "1"])
        #expect(!quiet.flag(.color))
        let ours = try settings("", ["NO_COLOR": "1", "SHARDTOP_COLOR": "1"])
        #expect(ours.flag(.color))
    }

    @Test func whoeverWantsNothingWrittenGetsIt() throws {
        let all = try settings("read_only = true\n[application.a]\nread_only = false\n", ["SHARDTOP_READ_ONLY": "0"])
        #expect(all.readOnlyReason(application: "a", profiles: []) == "read_only in /c/config.toml, line 1")
        let some = try settings("[application.\"a.b\"]\nread_only = true\n[profile.prod]\nread_only = true")
        #expect(some.readOnlyReason(application: "a.b", profiles: [])?.contains("of a.b in") == true)
        #expect(some.readOnlyReason(application: "x", profiles: ["dev", "prod"])?.contains("profile prod") == true)
        #expect(some.readOnlyReason(application: "x", profiles: ["dev"]) == nil)
        #expect(some.readOnlyReason(application: nil, profiles: ["dev"]) == nil)
        let variable = try settings("", ["SHARDTOP_READ_ONLY": "1"])
        #expect(variable.readOnlyReason(application: nil, profiles: []) == "SHARDTOP_READ_ONLY")
    }

    @Test(arguments: [
        ("\n\nthem = \"nord\"", "/c/config.toml:3: there is no setting them; did you mean theme?"),
        ("ascii = 1", "/c/config.toml:1: ascii = 1: write true or false"),
        ("theme = nord", "/c/config.toml:1: nord is no value: a text stands in quotes, as in theme = \"nord\""),
        ("theme = 3", "write a text in quotes"), ("max_rcu = \"3\"", "write a number above 0, without quotes"),
        ("max_rcu = 0", "a number above 0"), ("max_rcu = 007", "is no value"), ("max_rcu = inf", "is no value"),
        ("max_rcu = 1__0", "is no value"), ("max_rcu = 1.", "is no value"), ("max_rcu = 0x10", "is no value"),
        ("refresh = \"0.5s\"", "a time of a second or more"), ("refresh = 5", "write \"auto\""),
        ("failover_time = \"soon\"", "such as \"10s\""),
        ("[application.a]\nlag = \"probes\"", ":2: lag = \"probes\": write \"probe\", \"cloudwatch\" or"),
        ("[application.a]\nlag = \"\"", "write \"probe\""), ("lag = \"probe\"", "it stands in [application.NAME]"),
        ("theme = \"a\"\n\ntheme = \"b\"", ":3: theme is set in line 1"),
        ("theme = \"a", "has no end"), ("theme = 'a' b", "something follows"), ("theme", "= is missing"),
        ("theme =", "theme has no value"), ("theme = [\"a\"]", "no list"), ("theme = {a = 1}", "no table"),
        ("theme = \"\"\"a\"\"\"", "stands in one line"), ("theme = \"\\q\"", "means nothing"),
        ("theme = \"\\ud800\"", "is no character"), ("theme = \"\\u00\"", "is no character"), ("theme = \"\"", "empty"),
        ("[[application]]", "no setting is a list"), ("[application.a", "ends with ]"), ("é = 1", "is no name"),
        ("[screen]\ntheme = \"nord\"", ":2: there is no table [screen]"),
        ("[application.a.b]\nstream = \"s\"", "a name with a dot stands in quotes"),
        ("stream = \"s\"", "stream is no setting: it stands in [application.NAME]"),
        ("[profile.p]\ntheme = \"nord\"", "theme is no setting of a profile: it stands in no table"),
        ("[application.a]\n[application.a]", ":2: [application.a] is in line 1 already"),
    ])
    func whatMakesNoSenseIsNamedWithItsLine(text: String, message: String) throws {
        let error = try #require(complaint(text))
        #expect(error.contains(message), "\(error)")
        #expect(error.hasPrefix("/c/config.toml:"))
    }

    @Test(arguments: [
        ("SHARDTOP_ASCII", "yes"), ("SHARDTOP_MAX_RCU", "-1"), ("SHARDTOP_REFRESH", "never"),
        ("SHARDTOP_READ_ONLY", "on"),
    ])
    func aVariableThatMakesNoSenseIsNamed(name: String, value: String) throws {
        let error = try #require(complaint("", [name: value]))
        #expect(error.hasPrefix("\(name)=\(value): give "))
    }

    @Test func aFileThatIsNoTextIsAnError() {
        #expect(throws: SettingsError.self) { try Settings(file: [0x61, 0xFF], path: "p") }
    }

    @Test func escapesBlanksCommentsAndLineEndsAreTOML() throws {
        let text =
            "\u{FEFF}# first\r\n  theme\t= \"a\\\"\\\\\\t\\u00e9\\U0001F600#\" # why\r\n\r\n'refresh' = '5s'#\r\n"
        let settings = try settings(text)
        #expect(settings.text(.theme) == "a\"\\\té😀#")
        #expect(settings.text(.refresh) == "5s")
        #expect(settings.choice(.theme).source == .file(line: 2))
        let dotted = try self.settings("application.orders.stream = \"o\"")
        #expect(dotted.text(.stream, application: "orders") == "o")
    }

    @Test func theDefaultFileSaysNothingAndUncommentedSaysTheDefaults() throws {
        let text = Settings.defaultText(path: "/c/config.toml")
        let lines = text.split(separator: "\n")
        #expect(lines.allSatisfy { $0.hasPrefix("#") && $0.count <= 110 })
        for key in SettingKey.allCases { #expect(lines.contains { $0.hasPrefix("# \(key.rawValue) = ") }, "\(key)") }
        // The lines that are settings, with their #.
        let real = lines.map { $0.dropFirst(2) }.filter { line in
            line.hasPrefix("[") || SettingKey.allCases.contains { line.hasPrefix("\($0.rawValue) = ") }
        }
        let all = try settings(real.joined(separator: "\n"))
        let none = try Settings(file: nil, path: "/c/config.toml")
        for key in SettingKey.allCases where none.choice(key).value != nil {
            #expect(all.choice(key).value == none.choice(key).value, "\(key)")
        }
        #expect(all.text(.stream, application: "NAME") == "orders")
    }

    @Test func theEffectiveTextSaysWhereEachComesFromAndIsTOMLItself() throws {
        let given = try settings(
            "theme = \"nord\"\n[application.\"a.b\"]\nstream = \"s\"\n[profile.p]\nread_only = true",
            ["SHARDTOP_ASCII": "1"])
        let text = given.effectiveText
        let lines = text.split(separator: "\n").map(String.init)
        #expect(lines.first == "# /c/config.toml")
        #expect(lines.contains { $0.hasPrefix("theme = \"nord\" ") && $0.hasSuffix("# file, line 1") })
        #expect(lines.contains { $0.hasPrefix("ascii = true") && $0.hasSuffix("# SHARDTOP_ASCII") })
        #expect(lines.contains { $0.hasPrefix("mouse = true") && $0.hasSuffix("# default") })
        let again = try settings(text)
        #expect(again.flag(.ascii) && again.text(.stream, application: "a.b") == "s")
        #expect(again.readOnlyReason(application: nil, profiles: ["p"]) != nil)
    }
}
