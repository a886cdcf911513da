import AWSWire
import Dashboard

/// The manual page in roff, for man(1): what the commands' own help says, and the keys.
struct ManualPage {
    private let root: AWSValue
    private let keys: [KeyList.Section]
    private let version: String
    /// Options that many commands share, by what they are and say; they are explained once.
    private var shared: [AWSValue] = []

    private static let sharedCommandsMin = 5

    /// - Parameter help: the tree of commands as ArgumentParser dumps it, JSON.
    init(_ help: String, keys: [KeyList.Section], version: String) {
        root = (try? JSON.decode(Bytes(help)))?["command"] ?? .null
        self.keys = keys
        self.version = version
        var uses: [(option: AWSValue, count: Int)] = []
        for command in leaves(root, path: []).map(\.command) {
            for option in options(command) {
                if let place = uses.firstIndex(where: { $0.option == option }) {
                    uses[place].count += 1
                } else {
                    uses.append((option, 1))
                }
            }
        }
        shared = uses.filter { $0.count >= Self.sharedCommandsMin }.map(\.option)
    }

    var text: String {
        var lines = [".TH SHARDTOP 1 \"\" \"shardtop \(version)\" \"shardtop\""]
        lines += [".SH NAME", "shardtop \\- " + Self.escaped(root["abstract"]?.string ?? "")]
        lines += [".SH SYNOPSIS", ".B shardtop", "[\\fICOMMAND\\fR] [\\fIOPTIONS\\fR]"]
        lines += [".SH DESCRIPTION"] + paragraphs(root["discussion"]?.string)
        lines.append(".SH COMMANDS")
        for (path, command) in leaves(root, path: []) { lines += describe(command, path) }
        lines.append(".SH COMMON OPTIONS")
        lines += shared.flatMap(item)
        lines.append(".SH KEYS")
        for section in keys {
            lines.append(".SS " + Self.escaped(section.title))
            for (name, help) in section.keys { lines += [".TP", "\\fB\(Self.escaped(name))\\fR", Self.escaped(help)] }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func isShown(_ value: AWSValue) -> Bool { value["shouldDisplay"]?.bool ?? true }

    /// The commands that run, with the words that name them.
    private func leaves(_ command: AWSValue, path: [String]) -> [(path: [String], command: AWSValue)] {
        let path = path + [command["commandName"]?.string ?? ""]
        let commands = (command["subcommands"]?.list ?? []).filter {
            Self.isShown($0) && $0["commandName"]?.string != "help"
        }
        return commands.isEmpty ? [(path, command)] : commands.flatMap { leaves($0, path: path) }
    }

    private func arguments(_ command: AWSValue) -> [AWSValue] {
        var shown: [AWSValue] = []
        for argument in command["arguments"]?.list ?? [] {
            let name = argument["preferredName"]?["name"]?.string ?? ""
            guard Self.isShown(argument), !["help", "version"].contains(name) else { continue }
            // A flag and its opposite say the same of themselves: they stand together.
            if let last = shown.last, let positive = last["preferredName"]?["name"]?.string, name == "no-\(positive)",
                last["abstract"] == argument["abstract"]
            {
                shown[shown.count - 1]["opposite"] = .string(name)
            } else {
                shown.append(argument)
            }
        }
        return shown
    }

    private func options(_ command: AWSValue) -> [AWSValue] {
        arguments(command).filter { $0["kind"]?.string != "positional" }
    }

    private func describe(_ command: AWSValue, _ path: [String]) -> [String] {
        let arguments = arguments(command)
        let positional = arguments.filter { $0["kind"]?.string == "positional" }
        let usage = positional.map { argument in
            let name = "\\fI\(Self.escaped(argument["valueName"]?.string ?? ""))\\fR"
            return (argument["isOptional"]?.bool ?? false ? "[\(name)]" : name)
                + (argument["isRepeating"]?.bool ?? false ? "..." : "")
        }
        var lines = [".SS " + Self.escaped(path.joined(separator: " "))]
        lines.append(
            "\\fB\(Self.escaped(path.joined(separator: " ")))\\fR"
                + usage.map { " " + $0 }.joined() + " [\\fIOPTIONS\\fR]")
        lines +=
            [".PP"] + paragraphs(command["abstract"]?.string) + paragraphs(command["discussion"]?.string, isNext: true)
        lines += arguments.filter { !shared.contains($0) }.flatMap(item)
        let common = arguments.filter { shared.contains($0) }.map { "\\fB\(Self.escaped(Self.dashed($0)))\\fR" }
        if !common.isEmpty { lines += [".PP", "Common options: " + common.joined(separator: ", ") + "."] }
        return lines
    }

    private static func dashed(_ argument: AWSValue) -> String {
        let name = argument["preferredName"]?["name"]?.string ?? ""
        return argument["preferredName"]?["kind"]?.string == "long" ? "--\(name)" : "-\(name)"
    }

    /// One argument as a tagged paragraph.
    private func item(_ argument: AWSValue) -> [String] {
        let value = Self.escaped(argument["valueName"]?.string ?? "")
        let head =
            switch argument["kind"]?.string {
            case "positional": "\\fI\(value)\\fR"
            case "option": "\\fB\(Self.escaped(Self.dashed(argument)))\\fR \\fI\(value)\\fR"
            default:
                "\\fB\(Self.escaped(Self.dashed(argument)))\\fR"
                    + (argument["opposite"]?.string.map { ", \\fB\(Self.escaped("--" + $0))\\fR" } ?? "")
            }
        var text = argument["abstract"]?.string ?? ""
        if let standard = argument["defaultValue"]?.string { text += " (default: \(standard))" }
        return [".TP", head, Self.escaped(text)]
    }

    private func paragraphs(_ text: String?, isNext: Bool = false) -> [String] {
        let parts = (text ?? "").split(separator: "\n").map { Self.escaped(String($0)) }
        return parts.enumerated().flatMap { index, part in index > 0 || isNext ? [".PP", part] : [part] }
    }

    /// Text that roff takes as text: no requests, no escapes, minus signs that can be copied.
    private static func escaped(_ text: String) -> String {
        var out = ""
        for character in text {
            switch character {
            case "\\": out += "\\e"
            case "-": out += "\\-"
            case "\n": out += " "
            default: out.append(character)
            }
        }
        return out.first == "." || out.first == "'" ? "\\&" + out : out
    }
}
