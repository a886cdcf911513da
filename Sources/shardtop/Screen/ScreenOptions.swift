import AWSWire
import ArgumentParser
import CurlTransport
import Dashboard

/// How the screen looks.
struct ScreenOptions: ParsableArguments {
    @Option(help: "A theme by name, or a btop .theme file.")
    var theme: String?

    @Flag(inversion: .prefixedNo, exclusivity: .chooseLast, help: "Colours, or none; NO_COLOR does without.")
    var color: Bool?

    @Flag(
        inversion: .prefixedNo, exclusivity: .chooseLast,
        help: "ASCII instead of box drawing and symbols, or those again.")
    var ascii: Bool?

    @Flag(
        inversion: .prefixedNo, exclusivity: .chooseLast,
        help: "Take the mouse, or leave it to the terminal, so that text can be selected.")
    var mouse: Bool?

    @Flag(
        inversion: .prefixedNo, exclusivity: .chooseLast,
        help: "Plain lines that a screen reader reads, and commands as typed lines, or the screen.")
    var accessible: Bool?

    /// Whether there are lines in place of the screen; those need no terminal.
    func isAccessible(_ host: SystemHost) throws -> Bool { try accessible ?? Settings(host).flag(.accessible) }

    /// What is wanted: by flag, else by the settings.
    func look(_ host: SystemHost) throws -> ScreenLook {
        let settings = try Settings(host)
        var shelf = ThemeShelf(host: host)
        if let theme {
            try shelf.choose(theme)
        } else if let name = settings.text(.theme) {
            do { try shelf.choose(name) } catch let failure as Failure {
                throw Failure("\(failure.message) (theme: \(settings.place(of: .theme)))", status: .usage)
            }
        }
        return ScreenLook(
            themes: shelf, depth: color ?? settings.flag(.color) ? nil : .mono,
            isASCII: ascii ?? settings.flag(.ascii), hasMouse: mouse ?? settings.flag(.mouse),
            isAccessible: accessible ?? settings.flag(.accessible))
    }
}

/// How the screen looks, with the settings behind the flags.
struct ScreenLook: Sendable {
    /// By name: the bundled themes, and the one that a file was given for.
    var themes: ThemeShelf
    /// `nil` for what the terminal can do.
    var depth: ColorDepth?
    var isASCII: Bool
    var hasMouse: Bool
    var isAccessible: Bool
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
        let configuration = host.configurationDirectory
        return ["\(configuration)/shardtop/themes", "\(configuration)/btop/themes", "/usr/share/btop/themes"]
    }

    var names: [String] { BundledThemes.names + files.keys.filter { BundledThemes.theme($0) == nil }.sorted() }
}
