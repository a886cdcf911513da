import AWSWire
import ArgumentParser
import CurlTransport
import Dashboard

/// How the screen looks.
struct ScreenOptions: ParsableArguments {
    @Option(help: "A theme by name, or a btop .theme file.")
    var theme: String?

    @Flag(help: "No colours; NO_COLOR does the same.")
    var noColor = false

    @Flag(help: "ASCII instead of box drawing and symbols.")
    var ascii = false

    @Flag(help: "Leave the mouse to the terminal, so that text can be selected.")
    var noMouse = false

    /// The colours that are wanted; `nil` for what the terminal can do.
    func depth(_ host: SystemHost) -> ColorDepth? {
        noColor || host.variable("NO_COLOR") != nil ? .mono : nil
    }

    /// Themes by name: the bundled ones, and the one that a file was given for.
    func themes(_ host: SystemHost) throws -> ThemeShelf {
        var shelf = ThemeShelf(host: host)
        if let theme { try shelf.choose(theme) }
        return shelf
    }
}

/// The themes of the binary, and the user's: in shardtop's own directory, then in btop's.
struct ThemeShelf: Sendable {
    private let host: SystemHost
    private(set) var chosen = BundledThemes.standard
    private var files: [String: Theme] = [:]

    init(host: SystemHost) { self.host = host }

    mutating func choose(_ name: String) throws {
        guard let theme = try theme(name) else {
            throw Failure(
                "no theme \(name); there are \(BundledThemes.names.joined(separator: ", ")), or give a btop .theme file",
                status: .usage)
        }
        files[name] = theme
        chosen = name
    }

    /// By bundled name, by file, or by name in one of the user's directories.
    func theme(_ name: String) throws -> Theme? {
        if let known = files[name] { return known }
        if let bundled = BundledThemes.theme(name) { return bundled }
        for path in [name] + directories.map({ "\($0)/\(name).theme" })
        where path.contains("/") || path.hasSuffix(".theme") {
            let bytes: [UInt8]?
            do { bytes = try host.readFile(path, bytesMax: 1 << 20) } catch {
                throw Failure(error.message, status: .usage)
            }
            if let bytes { return Theme.parse(String(decoding: bytes, as: UTF8.self), name: name).theme }
        }
        return nil
    }

    private var directories: [String] {
        let home = host.homeDirectory ?? ""
        let configuration = host.variable("XDG_CONFIG_HOME") ?? "\(home)/.config"
        return ["\(configuration)/shardtop/themes", "\(configuration)/btop/themes", "/usr/share/btop/themes"]
    }

    var names: [String] { BundledThemes.names + files.keys.filter { BundledThemes.theme($0) == nil }.sorted() }
}
