extension Theme {
    /// A line of a theme file that could not be used. The rest of the file still counts, as in btop.
    package struct Problem: Hashable, Sendable, CustomStringConvertible {
        /// Counted from 1.
        package let line: Int
        package let message: String

        package var description: String { "line \(line): \(message)" }
    }

    /// Reads a theme file: `theme[key]="value"` lines and `#` comments. Unknown keys are skipped, missing ones come
    /// from the default, and a value that is no colour is reported and treated as missing.
    package static func parse(_ text: String, name: String) -> (theme: Theme, problems: [Problem]) {
        var values: [String: Color?] = [:]
        var problems: [Problem] = []
        let lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }
        for (index, line) in lines.prefix(lineCountMax).enumerated() {
            let line = line.trimmed
            if line.isEmpty || line.hasPrefix("#") { continue }
            guard let (key, value) = assignment(in: line) else {
                problems.append(Problem(line: index + 1, message: "expected theme[key]=\"value\""))
                continue
            }
            guard knownKeys.contains(key) else { continue }
            if value.isEmpty {
                values[key] = .some(nil)
            } else if let color = color(from: value) {
                values[key] = color
            } else {
                problems.append(
                    Problem(line: index + 1, message: "\(key): expected #RRGGBB, #BW or three numbers"))
            }
        }
        return (make(name: name, values: values), problems)
    }

    /// More lines than any theme has; a wrong file must not be read without end.
    private static let lineCountMax = 10_000

    private static let knownKeys: Set<String> = {
        var keys = Set(Key.allCases.map(\.rawValue))
        for gradient in GradientName.allCases { keys.formUnion(gradient.keys) }
        return keys
    }()

    private static func assignment(in line: Substring) -> (key: String, value: Substring)? {
        guard line.hasPrefix("theme["), let close = line.firstIndex(of: "]") else { return nil }
        let key = line[line.index(line.startIndex, offsetBy: 6)..<close]
        let rest = line[line.index(after: close)...].trimmed
        guard rest.first == "=" else { return nil }
        let value = rest.dropFirst().trimmed
        guard let quote = value.first, quote == "\"" || quote == "'" else {
            return (String(key), value)
        }
        let inner = value.dropFirst()
        return (String(key), inner[..<(inner.firstIndex(of: quote) ?? inner.endIndex)].trimmed)
    }

    /// `#RRGGBB`, `#BW` (two hexadecimal digits of grey) or `R G B` in decimals.
    package static func color(from text: some StringProtocol) -> Color? {
        if text.first == "#" {
            let digits = text.dropFirst()
            guard digits.allSatisfy({ $0.isASCII && $0.isHexDigit }), let value = UInt32(digits, radix: 16) else {
                return nil
            }
            switch digits.count {
            case 6: return .rgb(hex: value)
            case 2: return .rgb(hex: value << 16 | value << 8 | value)
            default: return nil
            }
        }
        let parts = text.split(separator: " ").map { UInt8($0) }
        guard parts.count == 3, let red = parts[0], let green = parts[1], let blue = parts[2] else { return nil }
        return .rgb(red, green, blue)
    }

    /// Builds a theme from the values of a file. A key with an empty value is nil, a missing one absent.
    private static func make(name: String, values: [String: Color?]) -> Theme {
        /// The file's value; the default's where the file has no such key; nil where the value is empty.
        func value(_ key: String) -> Color? {
            if let given = values[key] { return given }
            return defaults[key].flatMap { color(from: $0) }
        }
        var colors: [Key: Color] = [:]
        for key in Key.allCases {
            let own = values[key.rawValue] ?? nil
            if let own {
                colors[key] = own
            } else if defaults[key.rawValue] != nil {
                colors[key] = value(key.rawValue) ?? .default
            }
        }
        for (key, other) in [(Key.meterBackground, Key.inactive), (.graphText, .inactive)]
        where values[key.rawValue] == nil && values[other.rawValue] != nil {
            colors[key] = colors[other]
        }
        var gradients: [GradientName: Gradient] = [:]
        for gradient in GradientName.allCases {
            let source = gradient.source { values[$0] != nil }
            let keys = source.keys
            let start = value(keys[0]) ?? colors[.mainForeground] ?? .default
            gradients[gradient] = Gradient(start: start, middle: value(keys[1]), end: value(keys[2]))
        }
        let light = isLight(colors)
        addOwnKeys(to: &colors, gradients: gradients, isLight: light)
        return Theme(name: name, depth: .truecolor, isLight: light, colors: colors, gradients: gradients)
    }

    private static func isLight(_ colors: [Key: Color]) -> Bool {
        if let ground = colors[.mainBackground]?.luminance { return ground > 0.5 }
        return (colors[.mainForeground]?.luminance ?? 1) < 0.4
    }
}

extension Theme.GradientName {
    package var keys: [String] { [rawValue + "_start", rawValue + "_mid", rawValue + "_end"] }

    /// The gradient whose keys are read for this one, given which keys a file has.
    fileprivate func source(hasKey: (String) -> Bool) -> Theme.GradientName {
        switch self {
        case .lag, .process: hasKey(keys[0]) ? self : .cpu
        default: self
        }
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        var text = self
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return text
    }
}
