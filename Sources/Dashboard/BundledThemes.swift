/// The themes that come with the program; their files are embedded, so it needs none beside it.
package enum BundledThemes {
    /// The name that is used where none is given.
    package static let standard = "shardtop"

    package static var names: [String] { files.map(\.name) }

    package static func theme(_ name: String) -> Theme? {
        guard let file = files.first(where: { $0.name == name }) else { return nil }
        return Theme.parse(String(decoding: file.bytes(), as: UTF8.self), name: name).theme
    }

    /// The text of a bundled theme file, to start one's own from.
    package static func text(_ name: String) -> String? {
        files.first { $0.name == name }.map { String(decoding: $0.bytes(), as: UTF8.self) }
    }

    private static let files: [(name: String, bytes: @Sendable () -> [UInt8])] = [
        ("shardtop", { PackageResources.shardtop_theme }),
        ("amber", { PackageResources.amber_theme }),
        ("ayu-dark", { PackageResources.ayu_dark_theme }),
        ("catppuccin-latte", { PackageResources.catppuccin_latte_theme }),
        ("catppuccin-mocha", { PackageResources.catppuccin_mocha_theme }),
        ("cobalt", { PackageResources.cobalt_theme }),
        ("colorblind", { PackageResources.colorblind_theme }),
        ("colorblind-light", { PackageResources.colorblind_light_theme }),
        ("colorblind-tritan", { PackageResources.colorblind_tritan_theme }),
        ("dracula", { PackageResources.dracula_theme }),
        ("everforest-dark", { PackageResources.everforest_dark_theme }),
        ("everforest-light", { PackageResources.everforest_light_theme }),
        ("github-dark", { PackageResources.github_dark_theme }),
        ("github-light", { PackageResources.github_light_theme }),
        ("gruvbox-dark", { PackageResources.gruvbox_dark_theme }),
        ("gruvbox-light", { PackageResources.gruvbox_light_theme }),
        ("high-contrast", { PackageResources.high_contrast_theme }),
        ("kanagawa", { PackageResources.kanagawa_theme }),
        ("monochrome", { PackageResources.monochrome_theme }),
        ("monokai", { PackageResources.monokai_theme }),
        ("night-owl", { PackageResources.night_owl_theme }),
        ("nord", { PackageResources.nord_theme }),
        ("one-dark", { PackageResources.one_dark_theme }),
        ("one-light", { PackageResources.one_light_theme }),
        ("phosphor", { PackageResources.phosphor_theme }),
        ("rose-pine", { PackageResources.rose_pine_theme }),
        ("rose-pine-dawn", { PackageResources.rose_pine_dawn_theme }),
        ("solarized-dark", { PackageResources.solarized_dark_theme }),
        ("solarized-light", { PackageResources.solarized_light_theme }),
        ("synthwave", { PackageResources.synthwave_theme }),
        ("tokyo-day", { PackageResources.tokyo_day_theme }),
        ("tokyo-night", { PackageResources.tokyo_night_theme }),
    ]
}
