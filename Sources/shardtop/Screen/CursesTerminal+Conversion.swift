import CTerminal
import Dashboard

extension Key {
    init(_ scalar: Unicode.Scalar) {
        switch scalar.value {
        case 0x1B: self = .escape
        case 0x0D, 0x0A: self = .enter
        case 0x09: self = .tab
        case 0x7F, 0x08: self = .backspace
        case 0: self = .control(" ")
        case 1...26: self = .control(Character(Unicode.Scalar(UInt8(scalar.value) + 0x60)))
        case 28...31: self = .control(Character(Unicode.Scalar(UInt8(scalar.value) + 0x40)))
        default: self = .character(Character(scalar))
        }
    }

    init?(code: Int32) {
        switch code {
        case SHARDTOP_KEY_UP: self = .up
        case SHARDTOP_KEY_DOWN: self = .down
        case SHARDTOP_KEY_LEFT: self = .left
        case SHARDTOP_KEY_RIGHT: self = .right
        case SHARDTOP_KEY_PAGE_UP: self = .pageUp
        case SHARDTOP_KEY_PAGE_DOWN: self = .pageDown
        case SHARDTOP_KEY_HOME: self = .home
        case SHARDTOP_KEY_END: self = .end
        case SHARDTOP_KEY_INSERT: self = .insert
        case SHARDTOP_KEY_DELETE: self = .delete
        case SHARDTOP_KEY_BACKSPACE: self = .backspace
        case SHARDTOP_KEY_BACK_TAB: self = .backTab
        case SHARDTOP_KEY_ENTER: self = .enter
        case SHARDTOP_KEY_SHIFT_UP: self = .shiftUp
        case SHARDTOP_KEY_SHIFT_DOWN: self = .shiftDown
        case SHARDTOP_KEY_FUNCTION + 1...SHARDTOP_KEY_FUNCTION + 24:
            self = .function(Int(code - SHARDTOP_KEY_FUNCTION))
        default: return nil
        }
    }
}

extension Mouse {
    init?(_ input: shardtop_input) {
        let button: MouseButton
        switch input.code {
        case SHARDTOP_MOUSE_WHEEL_UP:
            self = .wheelUp
            return
        case SHARDTOP_MOUSE_WHEEL_DOWN:
            self = .wheelDown
            return
        case SHARDTOP_MOUSE_LEFT: button = .left
        case SHARDTOP_MOUSE_MIDDLE: button = .middle
        case SHARDTOP_MOUSE_RIGHT: button = .right
        default: return nil
        }
        self = input.is_double_click != 0 ? .doubleClick(button) : .press(button)
    }
}

extension ColorDepth {
    var code: Int32 {
        switch self {
        case .mono: SHARDTOP_DEPTH_MONO
        case .ansi16: SHARDTOP_DEPTH_16
        case .x256: SHARDTOP_DEPTH_256
        case .truecolor: SHARDTOP_DEPTH_TRUECOLOR
        }
    }

    init?(code: Int32) {
        switch code {
        case SHARDTOP_DEPTH_MONO: self = .mono
        case SHARDTOP_DEPTH_16: self = .ansi16
        case SHARDTOP_DEPTH_256: self = .x256
        case SHARDTOP_DEPTH_TRUECOLOR: self = .truecolor
        default: return nil
        }
    }
}

extension shardtop_cell {
    init(_ cell: Cell, isWide: Bool, depth: ColorDepth) {
        self.init(
            scalars: (cell.base, cell.mark, cell.secondMark), foreground: Self.packed(cell.style.foreground, depth),
            background: Self.packed(cell.style.background, depth), attributes: cell.style.attributes.rawValue,
            columns: cell.isContinuation ? 0 : isWide ? 2 : 1)
    }

    /// A colour the terminal has. Themes are reduced already; this keeps a stray colour from being lost.
    private static func packed(_ color: Color, _ depth: ColorDepth) -> UInt32 {
        switch color {
        case .default: return 0
        case .palette(let index) where depth != .truecolor: return SHARDTOP_PALETTE | UInt32(index)
        case .rgb(let red, let green, let blue) where depth == .truecolor:
            return SHARDTOP_RGB | UInt32(red) << 16 | UInt32(green) << 8 | UInt32(blue)
        case .palette:
            guard let (red, green, blue) = color.components else { return 0 }
            return SHARDTOP_RGB | UInt32(red) << 16 | UInt32(green) << 8 | UInt32(blue)
        case .rgb: return depth == .mono ? 0 : packed(color.reduced(to: depth), depth)
        }
    }
}
