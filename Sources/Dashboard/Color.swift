/// A colour as a cell holds it: the terminal's own, one of its palette, or 24 bits.
@frozen public enum Color: Hashable, Sendable {
    case `default`
    case palette(UInt8)
    case rgb(UInt8, UInt8, UInt8)
}

/// How many colours the terminal shows.
package enum ColorDepth: Hashable, Sendable, CaseIterable {
    case truecolor
    case x256
    case ansi16
    case mono
}

extension Color {
    package static func rgb(hex: UInt32) -> Color {
        .rgb(UInt8(hex >> 16 & 0xFF), UInt8(hex >> 8 & 0xFF), UInt8(hex & 0xFF))
    }

    /// Red, green and blue, where they are known.
    package var components: (red: Int, green: Int, blue: Int)? {
        switch self {
        case .default: nil
        case .palette(let index): Self.paletteComponents(Int(index))
        case .rgb(let red, let green, let blue): (Int(red), Int(green), Int(blue))
        }
    }

    /// The nearest colour that a terminal of this depth can show.
    package func reduced(to depth: ColorDepth) -> Color {
        switch depth {
        case .truecolor: self
        case .x256: reducedTo256
        case .ansi16: reducedTo16
        case .mono: .default
        }
    }

    /// btop's reduction: near-greys go to the 24 grey steps, the rest to the 6×6×6 cube.
    private var reducedTo256: Color {
        guard case .rgb(let red, let green, let blue) = self else { return self }
        let (r, g, b) = (Double(red), Double(green), Double(blue))
        let grey = (r / 11).rounded()
        if grey == (g / 11).rounded() && grey == (b / 11).rounded() {
            return .palette(UInt8(min(255, 232 + Int(grey))))
        }
        func level(_ part: Double) -> Int { Int((part / 51).rounded()) }
        let index = 16 + 36 * level(r) + 6 * level(g) + level(b)
        return .palette(UInt8(index))
    }

    /// By hue rather than distance, since pastel colours lie nearest to white and would lose their meaning.
    private var reducedTo16: Color {
        if case .palette(let index) = self, index < 16 { return self }
        guard let (red, green, blue) = components else { return self }
        let (hue, saturation, value) = Self.hsv(red, green, blue)
        if saturation < 0.2 || value < 0.15 {
            if value < 0.2 { return .palette(0) }
            if value < 0.55 { return .palette(8) }
            return .palette(value < 0.85 ? 7 : 15)
        }
        let index: UInt8 =
            switch hue {
            case 20..<70: 3
            case 70..<165: 2
            case 165..<200: 6
            case 200..<265: 4
            case 265..<335: 5
            default: 1
            }
        return .palette(value > 0.8 ? index + 8 : index)
    }

    /// Hue in degrees, saturation and value in 0...1.
    static func hsv(_ red: Int, _ green: Int, _ blue: Int) -> (hue: Double, saturation: Double, value: Double) {
        let (r, g, b) = (Double(red) / 255, Double(green) / 255, Double(blue) / 255)
        let high = max(r, g, b)
        let span = high - min(r, g, b)
        guard span > 0 else { return (0, 0, high) }
        var hue: Double
        if high == r {
            hue = (g - b) / span
        } else if high == g {
            hue = (b - r) / span + 2
        } else {
            hue = (r - g) / span + 4
        }
        if hue < 0 { hue += 6 }
        return (hue * 60, span / high, high)
    }

    /// Perceived brightness, 0 for black to 1 for white; nil for the terminal's own colour.
    package var luminance: Double? {
        guard let (red, green, blue) = components else { return nil }
        return (0.2126 * Double(red) + 0.7152 * Double(green) + 0.0722 * Double(blue)) / 255
    }

    /// A colour between two; the nearer one where either is the terminal's own.
    package func mixed(with other: Color, by fraction: Double) -> Color {
        guard let a = components, let b = other.components else { return fraction < 0.5 ? self : other }
        let f = fraction.isNaN ? 0 : min(1, max(0, fraction))
        func part(_ x: Int, _ y: Int) -> UInt8 { UInt8(min(255, max(0, (Double(x) + Double(y - x) * f).rounded()))) }
        return .rgb(part(a.red, b.red), part(a.green, b.green), part(a.blue, b.blue))
    }

    private static func paletteComponents(_ index: Int) -> (Int, Int, Int) {
        if index < 16 {
            let hex = ansiColors[index]
            return (hex >> 16 & 0xFF, hex >> 8 & 0xFF, hex & 0xFF)
        }
        if index >= 232 {
            let grey = 8 + 10 * (index - 232)
            return (grey, grey, grey)
        }
        let cube = index - 16
        func level(_ step: Int) -> Int { step == 0 ? 0 : 55 + 40 * step }
        return (level(cube / 36), level(cube / 6 % 6), level(cube % 6))
    }

    /// xterm's defaults for the 16 named colours.
    private static let ansiColors = [
        0x000000, 0xCD0000, 0x00CD00, 0xCDCD00, 0x0000EE, 0xCD00CD, 0x00CDCD, 0xE5E5E5, 0x7F7F7F, 0xFF0000, 0x00FF00,
        0xFFFF00, 0x5C5CFF, 0xFF00FF, 0x00FFFF, 0xFFFFFF,
    ]
}

/// 101 colours from 0 to 100 per cent.
package struct Gradient: Hashable, Sendable {
    package let steps: [Color]

    /// Two or three stops; with three, the middle one is step 50. A missing end makes it one colour, as in btop.
    package init(start: Color, middle: Color? = nil, end: Color? = nil) {
        guard let end else {
            steps = Array(repeating: start, count: 101)
            return
        }
        steps = (0...100).map { step in
            guard let middle else { return start.mixed(with: end, by: Double(step) / 100) }
            return step <= 50
                ? start.mixed(with: middle, by: Double(step) / 50)
                : middle.mixed(with: end, by: Double(step - 50) / 50)
        }
    }

    private init(steps: [Color]) {
        self.steps = steps
    }

    /// The colour for a fraction of the full scale; outside 0...1 the nearest end.
    package func color(at fraction: Double) -> Color {
        guard !fraction.isNaN else { return steps[0] }
        return steps[Int((min(1, max(0, fraction)) * 100).rounded())]
    }

    /// With 16 colours the legs become steps, as interpolated colours have no neighbours to go to.
    package func reduced(to depth: ColorDepth) -> Gradient {
        Gradient(steps: steps.map { $0.reduced(to: depth) })
    }
}
