/// The keys of the screen as text, for `shardtop help keys` and the manual page. It is made of the bindings themselves.
package enum KeyList {
    package struct Section: Sendable {
        package var title: String
        /// Names of keys, and what they do.
        package var keys: [(name: String, help: String)]
    }

    /// A key that does the same in several places stands once, under all of their names.
    package static var sections: [Section] {
        var entries: [(binding: Binding, scopes: [Binding.Scope])] = []
        for binding in Binding.all {
            if let place = entries.firstIndex(where: {
                $0.binding.name == binding.name && $0.binding.help == binding.help
                    && $0.binding.action == binding.action
            }) {
                entries[place].scopes.append(binding.scope)
            } else {
                entries.append((binding, [binding.scope]))
            }
        }
        var sections: [Section] = []
        // What works everywhere comes first, then the order of the bindings.
        for isEverywhere in [true, false] {
            for (binding, scopes) in entries where scopes.contains(.everywhere) == isEverywhere {
                let title = scopes.map(title).joined(separator: "; ")
                if let place = sections.firstIndex(where: { $0.title == title }) {
                    sections[place].keys.append((binding.name, binding.help))
                } else {
                    sections.append(Section(title: title, keys: [(binding.name, binding.help)]))
                }
            }
        }
        return sections
    }

    package static func text(width: Int = 100) -> String {
        let keyWidth = 2 + (sections.flatMap(\.keys).map(\.name.columns).max() ?? 0)
        let blocks = sections.map { section in
            let lines = section.keys.flatMap { name, help in
                help.wrapped(to: max(20, width - keyWidth - 2)).enumerated().map { index, line in
                    "  " + (index == 0 ? name : "").padded(to: keyWidth) + line
                }
            }
            return ([section.title] + lines).joined(separator: "\n")
        }
        return blocks.joined(separator: "\n\n") + "\n"
    }

    private static func title(_ scope: Binding.Scope) -> String {
        switch scope {
        case .everywhere: return "everywhere"
        case .panes(let panes):
            let names = Pane.allCases.filter { panes.contains($0) }.map(\.title)
            return (names.count == 1 ? "pane " : "panes ") + names.joined(separator: ", ")
        case .detail: return "one shard (Enter)"
        case .trace: return "the protocol with a child (:trace SHARD)"
        case .demo: return "the demo's workers and producer"
        case .past: return "in the past"
        }
    }
}
