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
        ("ayu-dark", { PackageResources.ayu_dark_theme }),
        ("catppuccin-latte", { PackageResources.catppuccin_latte_theme }),
        ("catppuccin-mocha", { PackageResources.catppuccin_mocha_theme }),
        ("colorblind", { PackageResources.colorblind_theme }),
        ("dracula", { PackageResources.dracula_theme }),
        ("everforest-dark", { PackageResources.everforest_dark_theme }),
        ("gruvbox-dark", { PackageResources.gruvbox_dark_theme }),
        ("gruvbox-light", { PackageResources.gruvbox_light_theme }),
        ("kanagawa", { PackageResources.kanagawa_theme }),
        ("monochrome", { PackageResources.monochrome_theme }),
        ("nord", { PackageResources.nord_theme }),
        ("one-dark", { PackageResources.one_dark_theme }),
        ("rose-pine", { PackageResources.rose_pine_theme }),
        ("solarized-dark", { PackageResources.solarized_dark_theme }),
        ("solarized-light", { PackageResources.solarized_light_theme }),
        ("tokyo-night", { PackageResources.tokyo_night_theme }),
    ]
}
