/// What somebody should know about a properties file: an error, a warning, or a note.
package struct PropertiesMessage: Hashable, Sendable, CustomStringConvertible {
    package enum Severity: String, Hashable, Sendable, CaseIterable {
        /// The file cannot be used.
        case error
        /// The file does something else than its writer may expect.
        case warning
        /// The file does what it says, but another daemon would do something else.
        case note
    }

    package var severity: Severity
    /// `FILE:LINE`, `FILE`, or the flag or variable that gave the value.
    package var place: String
    /// One sentence without a full stop. Never more than the beginning of a value, and nothing of credentials.
    package var text: String

    package init(_ severity: Severity, _ place: String, _ text: String) {
        self.severity = severity
        self.place = place
        self.text = text
    }

    package var description: String { "\(place): \(text)" }
}

/// All that is wrong with a properties file, not just the first of it.
package struct PropertiesError: Error, Hashable, CustomStringConvertible {
    /// At least one.
    package var errors: [PropertiesMessage]
    /// What was noticed besides.
    package var warnings: [PropertiesMessage]

    package init(_ errors: [PropertiesMessage], warnings: [PropertiesMessage] = []) {
        self.errors = errors
        self.warnings = warnings
    }

    /// One line each.
    package var description: String { errors.map(\.description).joined(separator: "\n") }
}

extension String {
    /// In quotes for a message: one line, printable, and not longer than a line's worth.
    var quoted: String {
        var text = ""
        for scalar in unicodeScalars.prefix(61) {
            if text.unicodeScalars.count >= 60 { return "“\(text)…”" }
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned: text += "\u{FFFD}"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return "“\(text)”"
    }

    /// Without blanks, tabs and line ends around it.
    var trimmed: String {
        func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar.value <= 0x20 }
        let scalars = unicodeScalars
        guard let first = scalars.firstIndex(where: { !isBlank($0) }),
            let last = scalars.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return String(scalars[first...last])
    }

    /// The parts between commas, trimmed, without the empty ones.
    var commaSeparated: [String] {
        split(separator: ",").map { String($0).trimmed }.filter { !$0.isEmpty }
    }
}
