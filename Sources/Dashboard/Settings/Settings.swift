package import Fleet
import Machine

/// The name of a setting, in the file and, in capitals after `SHARDTOP_`, as a variable.
package enum SettingKey: String, CaseIterable, Hashable, Sendable {
    case theme, color, ascii, mouse, accessible
    case refresh
    case readUnitsMax = "max_rcu"
    case failoverTime = "failover_time"
    case readOnly = "read_only"
    case requireReason = "require_reason"
    case stream, table, lag, region, profile
}

/// What a user set once for all runs: the variables' and the file's word, behind that of the flags.
///
/// A plain value: it is made of the bytes of the file and of the environment, and nothing is ever written.
package struct Settings: Hashable, Sendable {
    package enum Source: Hashable, Sendable, CustomStringConvertible {
        case variable(String)
        case file(line: Int)
        case standard

        package var description: String {
            switch self {
            case .variable(let name): name
            case .file(let line): "file, line \(line)"
            case .standard: "default"
            }
        }
    }

    package struct Choice: Hashable, Sendable {
        /// `nil` where nothing is set and there is no default.
        package var value: SettingValue?
        package var source: Source
    }

    /// Where the file is or would be.
    package let path: String
    /// Whether there is one.
    package let hasFile: Bool
    private var variables: [SettingKey: Choice] = [:]
    private var everywhere: [SettingKey: Choice] = [:]
    private var applications: [String: [SettingKey: Choice]] = [:]
    private var profiles: [String: [SettingKey: Choice]] = [:]

    /// - Parameters:
    ///   - file: what it holds; `nil` where there is none.
    ///   - variable: the value of an environment variable; `nil` where it is not set or empty.
    package init(
        file: [UInt8]?, path: String, variable: (String) -> String? = { _ in nil }
    ) throws(SettingsError) {
        self.path = path
        hasFile = file != nil
        do throws(SettingsError) {
            for entry in try SettingsFile(file ?? []).entries { try take(entry) }
        } catch {
            var error = error
            error.path = path
            throw error
        }
        for setting in Setting.all where setting.scopes.contains(.everywhere) {
            guard let name = setting.variable, let text = variable(name) else { continue }
            let value = try setting.parse(text, from: name)
            variables[setting.key] = Choice(value: value, source: .variable(name))
        }
        // The convention of the field: any value means no colours.
        if variables[.color] == nil, variable("NO_COLOR") != nil {
            variables[.color] = Choice(value: .flag(false), source: .variable("NO_COLOR"))
        }
    }

    private mutating func take(_ entry: SettingsFile.Entry) throws(SettingsError) {
        let scope: Setting.Scope
        let name: String
        switch (entry.path.count, entry.path.first) {
        case (1, let key?): (scope, name) = (.everywhere, key)
        case (3, "application"): (scope, name) = (.application, entry.path[2])
        case (3, "profile"): (scope, name) = (.profile, entry.path[2])
        default:
            throw SettingsError(
                entry.line,
                "there is no table [\(entry.path.dropLast().joined(separator: "."))]: settings stand in none, in "
                    + "[application.NAME] or in [profile.NAME]; a name with a dot stands in quotes")
        }
        let setting = try Setting.named(name, in: scope, line: entry.line)
        if let obstacle = setting.obstacle(to: entry.value) {
            throw SettingsError(entry.line, "\(name) = \(entry.value.toml): \(obstacle)")
        }
        let choice = Choice(value: entry.value, source: .file(line: entry.line))
        switch scope {
        case .everywhere: everywhere[setting.key] = choice
        case .application: applications[entry.path[1], default: [:]][setting.key] = choice
        case .profile: profiles[entry.path[1], default: [:]][setting.key] = choice
        }
    }

    /// What holds for `key`: the variable's word, else what the file says of the application, else what it says for
    /// all, else the default.
    package func choice(_ key: SettingKey, application: String? = nil) -> Choice {
        if let choice = variables[key] { return choice }
        if let application, let choice = applications[application]?[key] { return choice }
        if let choice = everywhere[key] { return choice }
        return Choice(value: Setting.of(key).standard, source: .standard)
    }

    package func flag(_ key: SettingKey) -> Bool { choice(key).value == .flag(true) }

    package func text(_ key: SettingKey, application: String? = nil) -> String? {
        if case .text(let text)? = choice(key, application: application).value { text } else { nil }
    }

    package func number(_ key: SettingKey, application: String? = nil) -> Double? {
        if case .number(let number)? = choice(key, application: application).value { number } else { nil }
    }

    package func duration(_ key: SettingKey, application: String? = nil) -> Duration? {
        text(key, application: application).flatMap { Duration(spelled: $0) }
    }

    /// What an application's lags are measured by.
    package func measures(application: String) -> Set<LagMeasure> {
        text(.lag, application: application).flatMap { LagMeasure.set($0) } ?? []
    }

    /// Who wants nothing to be written, in words; `nil` where nobody does. No word for writing takes it back.
    package func readOnlyReason(application: String?, profiles names: [String]) -> String? {
        if let choice = variables[.readOnly], choice.value == .flag(true) { return "\(choice.source)" }
        func reason(_ choice: Choice?, _ table: String) -> String? {
            guard let choice, choice.value == .flag(true), case .file(let line) = choice.source else { return nil }
            return "read_only\(table) in \(path), line \(line)"
        }
        if let reason = reason(everywhere[.readOnly], "") { return reason }
        if let application, let reason = reason(applications[application]?[.readOnly], " of \(application)") {
            return reason
        }
        for name in names {
            if let reason = reason(profiles[name]?[.readOnly], " of profile \(name)") { return reason }
        }
        return nil
    }

    /// Names of the tables and what they set, sorted.
    var tables: [(name: [String], choices: [(key: SettingKey, choice: Choice)])] {
        func list(_ tables: [String: [SettingKey: Choice]], _ kind: String) -> [(
            name: [String], choices: [(key: SettingKey, choice: Choice)]
        )] {
            tables.keys.sorted().map { name in
                let set = tables[name] ?? [:]
                return (
                    [kind, name], SettingKey.allCases.compactMap { key in set[key].map { (key: key, choice: $0) } }
                )
            }
        }
        return list(applications, "application") + list(profiles, "profile")
    }
}
