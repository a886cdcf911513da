import Testing

@testable import Dashboard

struct KeyListTests {
    @Test func everyBindingIsListedWithItsHelp() {
        let listed = KeyList.sections.flatMap(\.keys)
        for binding in Binding.all {
            #expect(listed.contains { $0.name == binding.name && $0.help == binding.help }, "\(binding.name)")
        }
    }

    @Test func aKeyThatDoesTheSameInSeveralPlacesStandsOnce() throws {
        let steals = KeyList.sections.filter { section in section.keys.contains { $0.name == "s" } }
        #expect(steals.count == 1)
        let title = try #require(steals.first?.title)
        #expect(title.contains("shards") && title.contains("one shard"))
    }

    @Test func whatWorksEverywhereComesFirstAndNoLineIsTooLong() {
        let lines = KeyList.text(width: 80).split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.first == "everywhere")
        #expect(lines.allSatisfy { $0.count <= 80 })
        #expect(lines.contains { $0.hasPrefix("  q ") && $0.hasSuffix(" quit") })
    }
}
