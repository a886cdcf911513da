import Machine
import Testing

@testable import AWSWire

@Suite struct XMLElementTests {
    @Test func elementsTextsAndEntitiesAreRead() throws {
        let root = try XMLElement(
            Bytes(
                """
                \u{FEFF}<?xml version="1.0"?><!-- a > comment -->
                <ns:A x="1>2" y='"'>
                  <B/><B >b &amp;&lt;&gt;&quot;&apos;&#65;&#x42; & &none; &#xD800;</B>
                  <C><![CDATA[<raw> &amp;]]></C><D></D><!----><E z = "a"/>
                </ns:A > trailing
                """))
        #expect(root.name == "A")
        #expect(root.children.map(\.name) == ["B", "B", "C", "D", "E"])
        #expect(root.children[1].text == "b &<>\"'AB & &none; &#xD800;")
        #expect(root.text("C") == "<raw> &amp;")
        #expect(root.text("B") == "")
        #expect(root.text("F") == nil)
    }

    @Test(
        "What is no document is an error",
        arguments: [
            "", " ", "text", "<", "<a", "<a>", "<a></b>", "</a>", "<a><b></a></b>", "<>x</>", "<a b='></a>",
            "<!-- <a/>",
            "<![CDATA[x]]>", "<a><![CDATA[x]]</a>", "<!DOCTYPE a><a/>", "<?xml", "{}",
        ])
    func malformed(_ text: String) { #expect(throws: MalformedBody.self) { try XMLElement(Bytes(text)) } }

    @Test func depthIsBounded() throws {
        func nested(_ depth: Int) -> Bytes {
            Bytes(String(repeating: "<a>", count: depth) + String(repeating: "</a>", count: depth))
        }
        #expect(try XMLElement(nested(32)).name == "a")
        #expect(throws: MalformedBody.self) { try XMLElement(nested(33)) }
    }

    @Test("Damaged answers are read or refused", arguments: 0..<20 as Range<UInt64>)
    func damaged(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let body = CredentialRoleTests.answer("AssumeRole").body.array
        for _ in 0..<200 { _ = try? XMLElement(Bytes(body.damaged(using: &generator))) }
    }
}
