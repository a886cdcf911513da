import Dashboard
import Testing

@Suite struct ThemeTests {
    @Test func readsTheFormsThatBtopWrites() {
        let text = """
            # a comment
            theme[main_bg]=""
            theme[main_fg]="#cc"
            theme[title]='#EEDDCC'
            theme[hi_fg]=181 64 64
            theme[cpu_start]="#000000"
            theme[cpu_mid]=""
            theme[cpu_end]="#646464"
            theme[not_a_key]="whatever it says"
            """
        let (theme, problems) = Theme.parse(text, name: "test")
        #expect(problems == [])
        #expect(theme.color(.mainBackground) == .default)
        #expect(theme.color(.mainForeground) == .rgb(0xCC, 0xCC, 0xCC))
        #expect(theme.color(.title) == .rgb(0xEE, 0xDD, 0xCC))
        #expect(theme.color(.hotKey) == .rgb(181, 64, 64))
        #expect(theme.gradient(.cpu).steps.count == 101)
        #expect(theme.gradient(.cpu).color(at: 0.5) == .rgb(50, 50, 50))
        #expect(theme.color(.memoryBox) == .rgb(0x6C, 0x6C, 0x4B), "missing keys come from the default")
    }

    @Test func aBadValueIsReportedWithItsLineAndTreatedAsMissing() {
        let text = "theme[main_fg]=\"#12345\"\n\nnonsense\ntheme[title]=\"300 0 0\"\ntheme[hi_fg]=\"#112233\"\n"
        let (theme, problems) = Theme.parse(text, name: "test")
        #expect(problems.map(\.line) == [1, 3, 4])
        #expect(theme.color(.mainForeground) == .rgb(0xCC, 0xCC, 0xCC))
        #expect(theme.color(.hotKey) == .rgb(0x11, 0x22, 0x33))
    }

    @Test func optionalKeysFallBack() {
        let theme = Theme.parse("theme[inactive_fg]=\"#112233\"\ntheme[cpu_start]=\"#010203\"", name: "test").theme
        #expect(theme.color(.meterBackground) == .rgb(0x11, 0x22, 0x33))
        #expect(theme.color(.graphText) == .rgb(0x11, 0x22, 0x33))
        #expect(theme.gradient(.process) == theme.gradient(.cpu))
        #expect(theme.gradient(.lag) == theme.gradient(.cpu))
    }

    @Test func aForeignThemeWithAWhiteEndStillHasARedForCritical() {
        let text = """
            theme[cpu_start]="#81A1C1"
            theme[cpu_mid]="#88C0D0"
            theme[cpu_end]="#ECEFF4"
            theme[used_end]="#BF616A"
            """
        let theme = Theme.parse(text, name: "test").theme
        #expect(theme.color(.critical) != .rgb(0xEC, 0xEF, 0xF4))
        let critical = theme.color(.critical).components
        #expect((critical?.red ?? 0) > (critical?.green ?? 255) && (critical?.red ?? 0) > (critical?.blue ?? 255))
    }

    @Test(arguments: BundledThemes.names)
    func everyBundledThemeIsCompleteAndReadable(name: String) throws {
        let text = try #require(BundledThemes.text(name))
        let (theme, problems) = Theme.parse(text, name: name)
        #expect(problems == [])
        for key in Theme.Key.allCases {
            #expect(text.contains("theme[\(key.rawValue)]="), "\(name) lacks \(key.rawValue)")
        }
        for gradient in Theme.GradientName.allCases {
            for key in gradient.keys { #expect(text.contains("theme[\(key)]=")) }
        }
        let ground = try #require(lightness(theme.color(.mainBackground)))
        let keys: [Theme.Key] = [.mainForeground, .title, .ok, .warning, .critical, .leaseLive, .leaseExpired]
        for key in keys {
            let ink = try #require(lightness(theme.color(key)))
            let contrast = (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05)
            #expect(contrast > 3, "\(name) \(key.rawValue)")
        }
        #expect(Set((0..<8).map { theme.ownerColor($0) }).count == 8)
    }

    /// Relative luminance as WCAG defines it, on linear light.
    private func lightness(_ color: Color) -> Double? {
        guard let (red, green, blue) = color.components else { return nil }
        func linear(_ part: Int) -> Double {
            let value = Double(part) / 255
            guard value > 0.04045 else { return value / 12.92 }
            // A polynomial near the 2.4th power; no mathematics library is needed for a threshold.
            let base = (value + 0.055) / 1.055
            return base * base * (0.6 * base.squareRoot() + 0.4 * base.squareRoot().squareRoot())
        }
        return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    /// Text is read for hours: WCAG's AA for it, and for what stands on a ground of its own.
    @Test(arguments: BundledThemes.names)
    func textHasTheContrastThatWCAGAsksFor(name: String) throws {
        let theme = try #require(BundledThemes.theme(name))
        let pairs: [(Theme.Key, Theme.Key)] = [
            (.mainForeground, .mainBackground), (.title, .mainBackground), (.selectedForeground, .selectedBackground),
        ]
        for (ink, ground) in pairs {
            let ratio = try #require(contrast(theme.color(ink), theme.color(ground)))
            #expect(ratio >= 4.5, "\(name) \(ink.rawValue)")
        }
    }

    private func contrast(_ a: Color, _ b: Color) -> Double? {
        guard let a = lightness(a), let b = lightness(b) else { return nil }
        return (max(a, b) + 0.05) / (min(a, b) + 0.05)
    }

    /// Ground, text and signals of any two themes are apart by more than a nuance, all together.
    @Test func noTwoThemesLookTheSame() throws {
        let keys: [Theme.Key] = [.mainBackground, .mainForeground, .ok, .warning, .critical, .notice]
        let all = try BundledThemes.names.map { try #require(BundledThemes.theme($0)) }
        for (place, one) in all.enumerated() {
            for other in all.dropFirst(place + 1) {
                var apart = 0.0
                for key in keys { apart += distance(one.color(key), other.color(key)) }
                #expect(apart > 120, "\(one.name) and \(other.name)")
            }
        }
    }

    private func distance(_ a: Color, _ b: Color) -> Double {
        guard let a = a.components, let b = b.components else { return 0 }
        let (red, green, blue) = (a.red - b.red, a.green - b.green, a.blue - b.blue)
        return Double(red * red + green * green + blue * blue).squareRoot()
    }

    /// As the eye sees them that lacks one kind of cone: Machado, Oliveira and Fernandes (2009), severity 1.
    @Test(arguments: [
        ("colorblind", [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881]),
        (
            "colorblind-light",
            [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881]
        ),
        (
            "colorblind-tritan",
            [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900]
        ),
    ])
    func theSignalsOfASafeThemeStayApart(name: String, matrix: [Double]) throws {
        let theme = try #require(BundledThemes.theme(name))
        let seen = try [Theme.Key.ok, .warning, .critical].map { key in
            self.seen(try #require(theme.color(key).components), through: matrix)
        }
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            #expect(distance(seen[a], seen[b]) > 60, "\(name) \(a) \(b)")
        }
    }

    /// A square is near enough to the display's curve for telling colours apart.
    private func seen(_ color: (red: Int, green: Int, blue: Int), through matrix: [Double]) -> Color {
        var light: [Double] = []
        for part in [color.red, color.green, color.blue] { light.append(Double(part * part)) }
        var parts: [Int] = []
        for row in 0..<3 {
            let m = matrix[(row * 3)...].prefix(3)
            var sum = 0.0
            for (factor, part) in zip(m, light) { sum += factor * part }
            parts.append(min(255, Int(max(0, sum).squareRoot())))
        }
        return .rgb(UInt8(parts[0]), UInt8(parts[1]), UInt8(parts[2]))
    }

    @Test func thirtyTwoThemesAreBundledAndTheStandardIsAmongThem() {
        #expect(BundledThemes.names.count == 32)
        #expect(BundledThemes.theme(BundledThemes.standard) != nil)
        #expect(BundledThemes.theme("no such theme") == nil)
    }

    @Test func lightThemesAreKnownAsLight() throws {
        for name in BundledThemes.names {
            let theme = try #require(BundledThemes.theme(name))
            let isLight = ["-light", "-latte", "-dawn", "-day"].contains { name.hasSuffix($0) }
            #expect(theme.isLight == isLight, "\(name)")
        }
    }

    @Test func reducesTo256ColoursAsBtopDoes() {
        #expect(Color.rgb(0, 0, 0).reduced(to: .x256) == .palette(232))
        #expect(Color.rgb(255, 255, 255).reduced(to: .x256) == .palette(255))
        #expect(Color.rgb(255, 0, 0).reduced(to: .x256) == .palette(196))
        #expect(Color.rgb(95, 135, 175).reduced(to: .x256) == .palette(109))
        #expect(Color.default.reduced(to: .x256) == .default)
    }

    @Test func reducesTo16ColoursByHue() {
        #expect(Color.rgb(0xF7, 0x76, 0x8E).reduced(to: .ansi16) == .palette(9))
        #expect(Color.rgb(0x9E, 0xCE, 0x6A).reduced(to: .ansi16) == .palette(10))
        #expect(Color.rgb(0x20, 0x30, 0x80).reduced(to: .ansi16) == .palette(4))
        #expect(Color.rgb(0x80, 0x80, 0x80).reduced(to: .ansi16) == .palette(8))
        #expect(Color.rgb(0, 0, 0).reduced(to: .ansi16) == .palette(0))
    }

    @Test(arguments: BundledThemes.names)
    func withoutColoursOnlyAttributesAreLeft(name: String) throws {
        let theme = try #require(BundledThemes.theme(name)).reduced(to: .mono)
        for role in Theme.Role.allCases {
            let style = theme.style(role)
            #expect(style.foreground == .default && style.background == .default)
        }
        #expect(theme.style(.selected) != theme.style(.text))
        #expect(theme.style(.critical) != theme.style(.warning))
        #expect(theme.ownerStyle(3).foreground == .default)
    }

    @Test(arguments: BundledThemes.names)
    func sixteenColoursLeaveTheGroundToTheTerminal(name: String) throws {
        let theme = try #require(BundledThemes.theme(name)).reduced(to: .ansi16)
        #expect(theme.style(.text) == .plain)
        #expect(theme.style(.selected).attributes.contains(.reverse))
        for role in Theme.Role.allCases {
            if case .rgb = theme.style(role).foreground { Issue.record("\(role) is not reduced") }
            if case .rgb = theme.style(role).background { Issue.record("\(role) is not reduced") }
        }
    }

    @Test(arguments: [
        "theme[", "theme[main_bg", "theme[main_bg]", "theme[main_bg]=\"", "theme[main_bg]=\"#", "=\"#112233\"",
        "theme[main_bg]=#+11223", "theme[main_bg]=1 2 3 4", "\u{FEFF}theme[x]=1", "theme[main_bg]=\"-1 2 3\"",
    ])
    func damagedLinesNeverTrap(line: String) {
        _ = Theme.parse(line, name: "test")
    }
}
