extension Settings {
    /// The file that a user may start from: every setting with its default and meaning, all commented out.
    package static func defaultText(path: String) -> String {
        var lines = [
            "# The settings of shardtop. Save this as", "# \(path)",
            "# and take the # away from what you want to be otherwise. It is TOML.", "#",
            "# A flag beats a variable (SHARDTOP_THEME=nord), a variable beats this file, and this file the default.",
        ]
        for setting in Setting.all where setting.scopes.contains(.everywhere) { lines += block(setting) }
        lines += ["", "# What holds for one application: its name in place of NAME, in quotes where it has a dot."]
        lines += ["# It is then enough to say `shardtop watch NAME`.", "# [application.NAME]"]
        for setting in Setting.all where setting.scopes.contains(.application) {
            lines += setting.scopes.contains(.everywhere) ? [line(setting)] : block(setting)
        }
        lines += ["", "# What holds for a profile of the AWS configuration files.", "# [profile.NAME]"]
        for setting in Setting.all where setting.scopes.contains(.profile) { lines.append(line(setting)) }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func block(_ setting: Setting) -> [String] {
        [""] + setting.help.wrapped(to: 100).map { "# " + $0 } + [line(setting)]
    }

    private static func line(_ setting: Setting) -> String {
        "# \(setting.key.rawValue) = \((setting.standard ?? setting.example)?.toml ?? "")"
    }

    /// What holds, and who says so: TOML again.
    package var effectiveText: String {
        var rows: [(String, String)] = []
        for setting in Setting.all where setting.scopes.contains(.everywhere) {
            let choice = choice(setting.key)
            if let value = choice.value {
                rows.append(("\(setting.key.rawValue) = \(value.toml)", "\(choice.source)"))
            } else {
                rows.append(("# \(setting.key.rawValue)", "not set"))
            }
        }
        var lines = ["# \(path)\(hasFile ? "" : " (there is none)")"] + Self.commented(rows)
        for (name, choices) in tables {
            lines += ["", "[\(name.map(Self.key).joined(separator: "."))]"]
            lines += Self.commented(
                choices.map { ("\($0.key.rawValue) = \($0.choice.value?.toml ?? "")", "\($0.choice.source)") })
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func commented(_ rows: [(String, String)]) -> [String] {
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map { text, comment in
            text + String(repeating: " ", count: width - text.count) + "  # " + comment
        }
    }

    private static func key(_ text: String) -> String {
        let isBare =
            !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "_"): true
                default: false
                }
            }
        return isBare ? text : SettingValue.text(text).toml
    }
}
