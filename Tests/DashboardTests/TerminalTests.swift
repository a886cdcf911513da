import Dashboard
import Testing

@Suite struct TerminalTests {
    @Test func readsKeySequences() {
        let keys: [Key] = [
            .character("j"), .enter, .character("/"), .escape, .control("c"), .function(5), .character("<"),
            .alt("x"), .backTab,
        ]
        #expect(Key.sequence("j<enter>/<esc><C-c><F5><lt><A-x><S-Tab>") == keys)
        #expect(Key.sequence("<nonsense>") == nil)
        #expect(Key.sequence("<enter") == nil)
        #expect(Key.sequence("<F99>") == nil)
        #expect(Key.sequence("") == [])
    }

    @Test(arguments: [
        ("abc", "abc", 3), ("abc<left>X", "abXc", 3), ("abc<home>X", "Xabc", 1), ("ab cd<C-w>", "ab ", 3),
        ("ab cd  <C-w>e", "ab e", 4), ("abc<C-u>", "", 0), ("abc<left><left><C-k>", "a", 1),
        ("abc<left><backspace>", "ac", 1), ("abc<home><del>", "bc", 0), ("<backspace><del><left>", "", 0),
        ("äö日<left><backspace>", "ä日", 1),
    ])
    func editsText(keys: String, text: String, cursor: Int) throws {
        var input = TextInput()
        for key in try #require(Key.sequence(keys)) { _ = input.handle(key) }
        #expect(input.text == text)
        #expect(input.cursor == cursor)
    }

    @Test func otherKeysAreLeftToTheCaller() {
        var input = TextInput("abc")
        for key in [Key.enter, .escape, .tab, .up, .function(1), .control("c")] {
            let isHandled = input.handle(key)
            #expect(!isHandled)
        }
        #expect(input.text == "abc")
    }

    @Test func pastedControlsBecomeBlanksAndLengthIsLimited() {
        var input = TextInput("ab")
        input.insert("c\u{1B}[31m\nd")
        #expect(input.text == "abc [31m d")
        input.insert(String(repeating: "x", count: 5000))
        #expect(input.text.count == TextInput.lengthMax)
        #expect(input.cursor == TextInput.lengthMax)
    }
}
