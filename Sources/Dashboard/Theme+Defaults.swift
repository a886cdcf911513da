extension Theme {
    /// btop's default theme: what a theme file that leaves a key away was made to look right with.
    static let defaults: [String: String] = [
        "main_bg": "#00", "main_fg": "#cc", "title": "#ee", "hi_fg": "#b54040", "selected_bg": "#6a2f2f",
        "selected_fg": "#ee", "inactive_fg": "#40", "graph_text": "#60", "meter_bg": "#40", "proc_misc": "#0de756",
        "cpu_box": "#556d59", "mem_box": "#6c6c4b", "net_box": "#5c588d", "proc_box": "#805252", "div_line": "#30",
        "temp_start": "#4897d4", "temp_mid": "#5474e8", "temp_end": "#ff40b6",
        "cpu_start": "#77ca9b", "cpu_mid": "#cbc06c", "cpu_end": "#dc4c4c",
        "free_start": "#384f21", "free_mid": "#b5e685", "free_end": "#dcff85",
        "cached_start": "#163350", "cached_mid": "#74e6fc", "cached_end": "#26c5ff",
        "available_start": "#4e3f0e", "available_mid": "#ffd77a", "available_end": "#ffb814",
        "used_start": "#592b26", "used_mid": "#d9626d", "used_end": "#ff4769",
        "download_start": "#291f75", "download_mid": "#4f43a3", "download_end": "#b0a9de",
        "upload_start": "#620665", "upload_mid": "#7d4180", "upload_end": "#dcafde",
        "process_start": "#80d0a3", "process_mid": "#dcd179", "process_end": "#d45454",
        "proc_pause_bg": "#b54040", "proc_follow_bg": "#4040b5", "proc_banner_bg": "#7b407b",
        "proc_banner_fg": "#ee", "followed_bg": "#4040b5", "followed_fg": "#ee",
    ]

    /// Gives each key of our own that a file left away a colour from btop's keys. For the three signal colours the
    /// first of the theme's own colours with the right hue is taken: "cpu_end" is red in one theme and white in
    /// another, and a critical problem must not be white.
    static func addOwnKeys(
        to colors: inout [Key: Color], gradients: [GradientName: Gradient], isLight: Bool
    ) {
        var candidates: [Color] = []
        for name in [GradientName.cpu, .process, .used, .temperature, .available, .free, .upload, .download, .cached] {
            guard let steps = gradients[name]?.steps else { continue }
            candidates += [steps[100], steps[50], steps[0]]
        }
        candidates += [Key.hotKey, .miscellaneous, .processBox, .memoryBox, .cpuBox, .networkBox].compactMap {
            colors[$0]
        }
        func signal(_ hues: [ClosedRange<Double>], otherwise: UInt32, onLight: UInt32) -> Color {
            candidates.first { $0.isVivid(in: hues, onLight: isLight) } ?? .rgb(hex: isLight ? onLight : otherwise)
        }
        let text = colors[.mainForeground] ?? .default
        let inactive = colors[.inactive] ?? text
        fill(&colors, [.critical], signal([0...18, 335...360], otherwise: 0xF7768E, onLight: 0xB3261E))
        fill(&colors, [.warning], signal([25...58], otherwise: 0xE0AF68, onLight: 0x8F5E15))
        fill(&colors, [.ok], signal([80...165], otherwise: 0x9ECE6A, onLight: 0x33635C))
        fill(&colors, [.notice], signal([180...250], otherwise: 0x7AA2F7, onLight: 0x34548A))
        fill(&colors, [.leaseLive], colors[.ok] ?? text)
        fill(&colors, [.leaseLate, .leaseOrphan], colors[.warning] ?? text)
        fill(&colors, [.leaseExpired, .leaseMissing, .leaseHole], colors[.critical] ?? text)
        fill(&colors, [.leaseFree], colors[.title] ?? text)
        fill(&colors, [.leaseHandoff, .leaseDrain, .leasePending], colors[.notice] ?? text)
        fill(&colors, [.leaseBlocked], colors[.miscellaneous] ?? text)
        fill(&colors, [.leaseEnded, .leaseLearning], inactive.mixed(with: text, by: 0.35))
        addOwnerColors(to: &colors, isLight: isLight, candidates: candidates)
    }

    private static func fill(_ colors: inout [Key: Color], _ keys: [Key], _ color: Color) {
        for key in keys where colors[key] == nil { colors[key] = color }
    }

    /// Eight of the theme's colours that can be told apart and from the background, then fixed ones if it has fewer.
    private static func addOwnerColors(to colors: inout [Key: Color], isLight: Bool, candidates: [Color]) {
        let spare: [UInt32] =
            isLight
            ? [0x1F77B4, 0xB35900, 0x2C7A2C, 0x8E44AD, 0x8C564B, 0xC2185B, 0x17808A, 0x7F7F00]
            : [0x7AA2F7, 0xFF9E64, 0x9ECE6A, 0xBB9AF7, 0x7DCFFF, 0xE0AF68, 0xF7A8C8, 0x73DACA]
        var chosen: [Color] = []
        for color in candidates.reversed() + spare.map({ Color.rgb(hex: $0) }) {
            let isReadable = color.isVivid(in: [0...360], onLight: isLight)
            guard isReadable, chosen.allSatisfy({ $0.distance(to: color) > 80 }) else { continue }
            chosen.append(color)
        }
        for color in spare.map({ Color.rgb(hex: $0) }) where chosen.count < 8 { chosen.append(color) }
        let keys: [Key] = [.owner1, .owner2, .owner3, .owner4, .owner5, .owner6, .owner7, .owner8]
        for (key, color) in zip(keys, chosen) where colors[key] == nil { colors[key] = color }
    }
}

extension Color {
    /// Whether the colour has one of these hues, strongly enough to be read as that, and stands out from the ground.
    fileprivate func isVivid(in hues: [ClosedRange<Double>], onLight: Bool) -> Bool {
        guard let (red, green, blue) = components, let luminance else { return false }
        let (hue, saturation, value) = Color.hsv(red, green, blue)
        guard hues.contains(where: { $0.contains(hue) }), saturation > 0.25 else { return false }
        return onLight ? luminance < 0.6 : value > 0.55 && luminance > 0.25
    }

    fileprivate func distance(to other: Color) -> Double {
        guard let a = components, let b = other.components else { return 0 }
        let (r, g, bl) = (Double(a.red - b.red), Double(a.green - b.green), Double(a.blue - b.blue))
        return (r * r + g * g + bl * bl).squareRoot()
    }
}
