/// A page in Prometheus' text format 0.0.4, in the making. Every name begins with `shardtop_`.
///
/// https://prometheus.io/docs/instrumenting/exposition_formats/
package struct PrometheusPage: Sendable {
    package typealias Labels = [(name: String, value: String)]

    package enum Kind: String, Sendable {
        case counter, gauge
    }

    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// Labels of every series.
    private let common: Labels
    package private(set) var text = ""

    package init(common: Labels = []) { self.common = common }

    /// Begins a family; its samples follow.
    package mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        text +=
            "# HELP shardtop_\(name) \(Self.escaped(help, quotes: false))\n# TYPE shardtop_\(name) \(kind.rawValue)\n"
    }

    package mutating func sample(_ name: String, _ value: Double, _ labels: Labels = []) {
        let all = (common + labels).map { "\($0.name)=\"\(Self.escaped($0.value, quotes: true))\"" }
        text += "shardtop_\(name)\(all.isEmpty ? "" : "{\(all.joined(separator: ","))}") \(Self.number(value))\n"
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\"" where quotes: escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        return Int64(exactly: value).map { "\($0)" } ?? "\(value)"
    }
}
