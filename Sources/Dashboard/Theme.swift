/// The colours of the screen. Loads btop's `.theme` files as they are: 48 keys, of which missing ones come from the
/// default, plus keys of our own that other files need not have, since each falls back to btop's.
///
/// A theme decides which style each *role* on the screen has; it knows no widget. Reduced to fewer colours it stays
/// readable: with 16 the background is the terminal's own, with none the roles differ by bold, dim and reverse.
package struct Theme: Hashable, Sendable {
    package let name: String
    package let depth: ColorDepth
    /// Whether dark text stands on a light ground.
    package let isLight: Bool
    private let colors: [Key: Color]
    private let gradients: [GradientName: Gradient]

    /// The keys of a theme file. The raw value is the key's name in the file.
    package enum Key: String, CaseIterable, Hashable, Sendable {
        case mainBackground = "main_bg"
        case mainForeground = "main_fg"
        case title
        case hotKey = "hi_fg"
        case selectedBackground = "selected_bg"
        case selectedForeground = "selected_fg"
        case inactive = "inactive_fg"
        case graphText = "graph_text"
        case meterBackground = "meter_bg"
        case miscellaneous = "proc_misc"
        case cpuBox = "cpu_box"
        case memoryBox = "mem_box"
        case networkBox = "net_box"
        case processBox = "proc_box"
        case divider = "div_line"
        case pauseBackground = "proc_pause_bg"
        case followBackground = "proc_follow_bg"
        case bannerBackground = "proc_banner_bg"
        case bannerForeground = "proc_banner_fg"
        case followedBackground = "followed_bg"
        case followedForeground = "followed_fg"
        // Ours, all optional.
        case ok
        case notice
        case warning
        case critical
        case leaseLearning = "lease_learning"
        case leaseLive = "lease_live"
        case leaseLate = "lease_late"
        case leaseExpired = "lease_expired"
        case leaseFree = "lease_free"
        case leaseHandoff = "lease_handoff"
        case leasePending = "lease_pending"
        case leaseBlocked = "lease_blocked"
        case leaseDrain = "lease_drain"
        case leaseEnded = "lease_ended"
        case leaseOrphan = "lease_orphan"
        case leaseMissing = "lease_missing"
        case leaseHole = "lease_hole"
        case owner1 = "owner_1"
        case owner2 = "owner_2"
        case owner3 = "owner_3"
        case owner4 = "owner_4"
        case owner5 = "owner_5"
        case owner6 = "owner_6"
        case owner7 = "owner_7"
        case owner8 = "owner_8"
    }

    /// Each stands for the three keys `NAME_start`, `NAME_mid`, `NAME_end`. `lag` is ours and falls back to `cpu`.
    package enum GradientName: String, CaseIterable, Hashable, Sendable {
        case temperature = "temp"
        case cpu
        case free
        case cached
        case available
        case used
        case download
        case upload
        case process
        case lag
    }

    init(
        name: String, depth: ColorDepth, isLight: Bool, colors: [Key: Color], gradients: [GradientName: Gradient]
    ) {
        self.name = name
        self.depth = depth
        self.isLight = isLight
        self.colors = colors
        self.gradients = gradients
    }

    package func color(_ key: Key) -> Color {
        colors[key] ?? .default
    }

    package func gradient(_ name: GradientName) -> Gradient {
        gradients[name] ?? Gradient(start: color(.mainForeground))
    }

    /// The same theme in the colours that a terminal of this depth can show.
    package func reduced(to depth: ColorDepth) -> Theme {
        guard depth != .truecolor else { return self }
        var reduced = colors.mapValues { $0.reduced(to: depth) }
        if depth == .ansi16 {
            for key in [Key.mainBackground, .mainForeground, .selectedBackground, .selectedForeground] {
                reduced[key] = .default
            }
            for key in [Key.inactive, .divider, .meterBackground, .graphText] { reduced[key] = .palette(8) }
        }
        return Theme(
            name: name, depth: depth, isLight: isLight, colors: reduced,
            gradients: gradients.mapValues { $0.reduced(to: depth) })
    }
}

extension Theme {
    /// What a piece of the screen is for.
    package enum Role: Hashable, Sendable, CaseIterable {
        case text
        case dim
        case title
        case hotKey
        case selected
        case selectedInactive
        case header
        case graphText
        case meterBackground
        case divider
        case miscellaneous
        case shardsBorder
        case hashKeysBorder
        case workersBorder
        case logBorder
        case dialogBorder
        case ok
        case notice
        case warning
        case critical
        case banner
        case paused
        case demo
        case readOnly
        case writable
        case match
        case leaseLearning
        case leaseLive
        case leaseLate
        case leaseExpired
        case leaseFree
        case leaseHandoff
        case leasePending
        case leaseBlocked
        case leaseDrain
        case leaseEnded
        case leaseOrphan
        case leaseMissing
        case leaseHole
    }

    /// The style of a role, on the theme's own background unless the role brings its own.
    package func style(_ role: Role) -> Style {
        depth == .mono ? Style(attributes: role.monoAttributes) : coloredStyle(role)
    }

    /// A colour for the `index`th worker, so that an owner looks the same in every pane. They repeat after eight.
    package func ownerColor(_ index: Int) -> Color {
        let keys: [Key] = [.owner1, .owner2, .owner3, .owner4, .owner5, .owner6, .owner7, .owner8]
        return color(keys[((index % keys.count) + keys.count) % keys.count])
    }

    package func ownerStyle(_ index: Int) -> Style {
        style(.text).with(foreground: ownerColor(index))
    }

    private func coloredStyle(_ role: Role) -> Style {
        switch role {
        case .selected where depth == .ansi16: return Style(attributes: .reverse)
        case .selectedInactive where depth == .ansi16: return Style(attributes: .underline)
        case .selected:
            return Style(
                foreground: color(.selectedForeground), background: color(.selectedBackground), attributes: .bold)
        case .selectedInactive:
            let ground = color(.mainBackground).mixed(with: color(.selectedBackground), by: 0.5)
                .reduced(to: depth)
            return Style(foreground: color(.selectedForeground), background: ground)
        case .banner: return solid(.bannerForeground, on: .bannerBackground)
        case .paused: return solid(.bannerForeground, on: .pauseBackground)
        case .demo: return solid(.followedForeground, on: .followedBackground)
        case .writable: return signal(.warning)
        case .critical: return signal(.critical)
        case .title, .header: return text(role.key).bold
        case .hotKey, .warning, .leaseExpired, .leaseMissing, .leaseHole: return text(role.key).bold
        case .match: return text(role.key).underlined
        default: return text(role.key)
        }
    }

    private func text(_ key: Key) -> Style {
        Style(foreground: color(key), background: color(.mainBackground))
    }

    private func signal(_ key: Key) -> Style {
        text(key).bold
    }

    private func solid(_ foreground: Key, on background: Key) -> Style {
        Style(foreground: color(foreground), background: color(background), attributes: .bold)
    }
}

extension Theme.Role {
    fileprivate var key: Theme.Key {
        switch self {
        case .text: .mainForeground
        case .dim: .inactive
        case .title, .header: .title
        case .hotKey, .match: .hotKey
        case .selected, .selectedInactive: .selectedForeground
        case .graphText: .graphText
        case .meterBackground: .meterBackground
        case .divider: .divider
        case .miscellaneous: .miscellaneous
        case .shardsBorder: .cpuBox
        case .hashKeysBorder: .memoryBox
        case .workersBorder: .networkBox
        case .logBorder: .processBox
        case .dialogBorder: .hotKey
        case .ok, .readOnly: .ok
        case .notice: .notice
        case .warning, .writable: .warning
        case .critical: .critical
        case .banner: .bannerForeground
        case .paused: .bannerForeground
        case .demo: .followedForeground
        case .leaseLearning: .leaseLearning
        case .leaseLive: .leaseLive
        case .leaseLate: .leaseLate
        case .leaseExpired: .leaseExpired
        case .leaseFree: .leaseFree
        case .leaseHandoff: .leaseHandoff
        case .leasePending: .leasePending
        case .leaseBlocked: .leaseBlocked
        case .leaseDrain: .leaseDrain
        case .leaseEnded: .leaseEnded
        case .leaseOrphan: .leaseOrphan
        case .leaseMissing: .leaseMissing
        case .leaseHole: .leaseHole
        }
    }

    /// How the role stands out without any colour.
    fileprivate var monoAttributes: Attributes {
        switch self {
        case .selected, .banner, .paused, .demo: .reverse
        case .critical, .leaseExpired, .leaseMissing, .leaseHole: [.bold, .reverse]
        case .title, .header, .hotKey, .warning, .writable, .leaseLate, .leaseOrphan, .dialogBorder: .bold
        case .dim, .divider, .meterBackground, .graphText, .leaseEnded, .leasePending, .leaseLearning: .dim
        case .match, .selectedInactive: .underline
        case .text, .miscellaneous, .shardsBorder, .hashKeysBorder, .workersBorder, .logBorder, .ok, .notice,
            .readOnly, .leaseLive, .leaseFree, .leaseHandoff, .leaseBlocked, .leaseDrain:
            []
        }
    }
}
