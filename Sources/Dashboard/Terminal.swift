/// A key as the person pressed it.
package enum Key: Hashable, Sendable {
    case character(Character)
    case control(Character)
    case alt(Character)
    case function(Int)
    case up
    case down
    case left
    case right
    case pageUp
    case pageDown
    case home
    case end
    case insert
    case delete
    case backspace
    case tab
    case backTab
    case enter
    case escape
    case shiftUp
    case shiftDown
}

/// Something that came from the terminal, or a signal that concerns it.
package enum TerminalEvent: Hashable, Sendable {
    case key(Key)
    /// Text that was pasted, not typed: it must never be taken for commands.
    case paste(String)
    case mouse(x: Int, y: Int, Mouse)
    case resized(width: Int, height: Int)
    /// The program was stopped (Ctrl-Z) and the terminal given back; nothing is drawn until `resumed`.
    case suspended
    case resumed
    /// SIGINT, SIGTERM or SIGHUP, by its number.
    case interrupted(signal: Int32)
    /// The terminal is gone: its input ended.
    case closed
}

package enum Mouse: Hashable, Sendable {
    case press(MouseButton)
    case doubleClick(MouseButton)
    case wheelUp
    case wheelDown
}

package enum MouseButton: Hashable, Sendable {
    case left
    case middle
    case right
}

/// Shows cells and yields input. `present` never waits for the terminal: a frame that could not be shown yet is
/// replaced by the next.
package protocol Terminal: Sendable {
    var events: AsyncStream<TerminalEvent> { get }
    /// Colours this terminal can show.
    var depth: ColorDepth { get }
    /// Shows a frame, soon. Only cells that differ from what is on the screen are sent.
    func present(_ frame: CellBuffer)
    /// Turns mouse reports on or off; off lets the terminal select text.
    func setMouse(_ isOn: Bool)
    /// Puts a text on the clipboard of the person's own machine (OSC 52), where the terminal allows it.
    func copy(_ text: String)
    /// Gives the terminal back, stops this process and comes back on SIGCONT.
    func suspend()
    /// Draws everything again, whatever the terminal is thought to show.
    func redraw()
    /// Gives the terminal back for good.
    func close()
}

extension Key {
    /// Reads keys in the manner of `jj<enter>/shard<esc>`, for tests and for key bindings in settings. nil where a
    /// name between angle brackets is unknown; a literal `<` is `<lt>`.
    package static func sequence(_ text: String) -> [Key]? {
        var keys: [Key] = []
        var rest = Substring(text)
        while let first = rest.first {
            guard first == "<" else {
                keys.append(.character(first))
                rest.removeFirst()
                continue
            }
            guard let close = rest.firstIndex(of: ">"), let key = named(rest[..<close].dropFirst()) else { return nil }
            keys.append(key)
            rest = rest[rest.index(after: close)...]
        }
        return keys
    }

    private static func named(_ name: Substring) -> Key? {
        let lower = name.lowercased()
        if let key = names[lower] { return key }
        if lower.hasPrefix("f"), let number = Int(lower.dropFirst()), (1...24).contains(number) {
            return .function(number)
        }
        let parts = name.split(separator: "-", maxSplits: 1)
        guard parts.count == 2, parts[1].count == 1, let character = parts[1].first else { return nil }
        switch parts[0].lowercased() {
        case "c": return .control(character)
        case "a", "m": return .alt(character)
        default: return nil
        }
    }

    private static let names: [String: Key] = [
        "lt": .character("<"), "space": .character(" "), "up": .up, "down": .down, "left": .left, "right": .right,
        "pageup": .pageUp, "pagedown": .pageDown, "home": .home, "end": .end, "insert": .insert, "ins": .insert,
        "delete": .delete, "del": .delete, "backspace": .backspace, "bs": .backspace, "tab": .tab,
        "backtab": .backTab, "s-tab": .backTab, "enter": .enter, "cr": .enter, "esc": .escape, "escape": .escape,
        "s-up": .shiftUp, "s-down": .shiftDown,
    ]
}
