import Fleet
import Machine

/// One setting: where it may stand, what it takes, and what it means.
struct Setting: Hashable, Sendable {
    /// Where in the file it may stand.
    enum Scope: Hashable, Sendable {
        case everywhere
        /// In `[application.NAME]`.
        case application
        /// In `[profile.NAME]`.
        case profile
    }

    enum Kind: Hashable, Sendable {
        case flag
        case text
        /// A time such as 10s.
        case duration
        /// `auto`, or a time of a second or more.
        case refresh
        /// A number above 0.
        case positive
        /// What lags are measured by, with commas between.
        case measures
    }

    var key: SettingKey
    var kind: Kind
    /// `nil` where nothing is set without the user.
    var standard: SettingValue?
    /// What stands in the file that `config --default` prints, where there is no default.
    var example: SettingValue?
    var scopes: Set<Scope>
    /// What it means, for the comments of that file.
    var help: String

    var variable: String? { scopes.contains(.everywhere) ? "SHARDTOP_" + key.rawValue.uppercased() : nil }

    static let all: [Setting] = [
        Setting(
            key: .theme, kind: .text, standard: .text(BundledThemes.standard), scopes: [.everywhere],
            help: "A theme by name, or a btop .theme file. There are \(BundledThemes.names.joined(separator: ", "))."),
        Setting(
            key: .color, kind: .flag, standard: .flag(true), scopes: [.everywhere],
            help: "false: no colours. The variable NO_COLOR does the same."),
        Setting(
            key: .ascii, kind: .flag, standard: .flag(false), scopes: [.everywhere],
            help: "true: ASCII instead of box drawing and symbols."),
        Setting(
            key: .mouse, kind: .flag, standard: .flag(true), scopes: [.everywhere],
            help: "false: the mouse is left to the terminal, so that text can be selected."),
        Setting(
            key: .accessible, kind: .flag, standard: .flag(false), scopes: [.everywhere],
            help: "true: plain lines instead of a screen, for screen readers and braille displays."),
        Setting(
            key: .refresh, kind: .refresh, standard: .text("auto"), scopes: [.everywhere],
            help: """
                How often a table is read: "auto", or a time of a second or more, such as "10s". The rows on the screen \
                are read again once a second in between, if max_rcu leaves room, or the whole table where that costs \
                less.
                """),
        Setting(
            key: .readUnitsMax, kind: .positive, example: .number(25), scopes: [.everywhere, .application],
            help: """
                Read capacity units a second that watching may take. Without it: 5 % of a provisioned table's reads, \
                25 on demand.
                """),
        Setting(
            key: .failoverTime, kind: .duration, example: .text("10s"), scopes: [.everywhere, .application],
            help: "failoverTimeMillis of the workers that are watched. Without it: told from their renewals."),
        Setting(
            key: .readOnly, kind: .flag, standard: .flag(false), scopes: [.everywhere, .application, .profile],
            help: "true: nothing is written, whatever --write says. Nothing takes it back."),
        Setting(
            key: .requireReason, kind: .flag, standard: .flag(false), scopes: [.everywhere],
            help: "true: no action without --reason, which the audit keeps."),
        Setting(
            key: .stream, kind: .text, example: .text("orders"), scopes: [.application],
            help: "The stream that it reads."),
        Setting(
            key: .table, kind: .text, example: .text("orders-leases"), scopes: [.application],
            help: "Its lease table, where that is not named as the application."),
        Setting(
            key: .lag, kind: .measures, example: .text("probe"), scopes: [.application],
            help: """
                Its lags are measured, where --lag says nothing else: "probe", "cloudwatch" or "probe, cloudwatch". \
                Without it they are estimated from the checkpoints.
                """),
        Setting(
            key: .region, kind: .text, example: .text("eu-west-1"), scopes: [.application],
            help: "Its AWS region, where neither --region nor AWS_REGION nor AWS_DEFAULT_REGION says one."),
        Setting(
            key: .profile, kind: .text, example: .text("production"), scopes: [.application],
            help: "The profile for it, where neither --profile nor a variable of AWS names one or gives credentials."),
    ]

    static func of(_ key: SettingKey) -> Setting { all.first { $0.key == key } ?? all[0] }

    /// - Throws: where there is none of that name, with the nearest one.
    static func named(_ name: String, in scope: Scope, line: Int) throws(SettingsError) -> Setting {
        if let setting = all.first(where: { $0.key.rawValue == name && $0.scopes.contains(scope) }) { return setting }
        let place =
            switch scope {
            case .everywhere: ""
            case .application: " of an application"
            case .profile: " of a profile"
            }
        if let setting = all.first(where: { $0.key.rawValue == name }) {
            let tables = setting.scopes.contains(.application) ? "[application.NAME]" : "no table"
            throw SettingsError(line, "\(name) is no setting\(place): it stands in \(tables)")
        }
        let names = all.filter { $0.scopes.contains(scope) }.map(\.key.rawValue)
        let nearest = CommandPalette.nearest(name, in: names).map { "; did you mean \($0)?" } ?? ""
        throw SettingsError(
            line, "there is no setting \(name)\(place)\(nearest) `shardtop config --default` lists all")
    }

    /// Why it does not take `value`; `nil` where it does.
    func obstacle(to value: SettingValue) -> String? {
        switch (kind, value) {
        case (.flag, .flag): return nil
        case (.flag, _): return "write true or false"
        case (.text, .text(let text)): return text.isEmpty ? "it must not be empty" : nil
        case (.text, _): return "write a text in quotes"
        case (.duration, .text(let text)):
            return Duration(spelled: text).map { $0 > .zero } == true ? nil : "write a time such as \"10s\""
        case (.duration, _): return "write a time in quotes, such as \"10s\""
        case (.refresh, .text("auto")): return nil
        case (.refresh, .text(let text)) where Duration(spelled: text).map({ $0 >= .seconds(1) }) == true: return nil
        case (.refresh, _): return "write \"auto\", or a time of a second or more, such as \"10s\""
        case (.measures, .text(let text)) where LagMeasure.set(text) != nil: return nil
        case (.measures, _): return "write \"probe\", \"cloudwatch\" or \"probe, cloudwatch\""
        case (.positive, .number(let number)): return number > 0 ? nil : "write a number above 0"
        case (.positive, _): return "write a number above 0, without quotes"
        }
    }

    /// The value of a variable. Yes and no are 1 and 0 there, as in SHARDTOP_READ_ONLY=1.
    func parse(_ text: String, from name: String) throws(SettingsError) -> SettingValue {
        switch kind {
        case .flag:
            switch text {
            case "1", "true": return .flag(true)
            case "0", "false": return .flag(false)
            default: throw SettingsError(nil, "\(name)=\(text): give 1 or 0")
            }
        case .positive:
            guard let number = Double(text), number.isFinite, number > 0 else {
                throw SettingsError(nil, "\(name)=\(text): give a number above 0")
            }
            return .number(number)
        case .text, .duration, .refresh, .measures:
            if obstacle(to: .text(text)) != nil {
                throw SettingsError(
                    nil, "\(name)=\(text): give \(kind == .refresh ? "auto, or " : "")a time such as 10s")
            }
            return .text(text)
        }
    }
}

extension LagMeasure {
    /// `probe, cloudwatch`; `nil` where another word stands there, or none.
    static func set(_ text: String) -> Set<LagMeasure>? {
        var measures: Set<LagMeasure> = []
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let measure = LagMeasure(rawValue: String(word.filter { $0 != " " })) else { return nil }
            measures.insert(measure)
        }
        return measures
    }
}
