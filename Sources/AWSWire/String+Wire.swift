extension StringProtocol {
    /// Without the white space around it.
    var trimmed: String {
        var text = self[...]
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}

extension String {
    /// Percent-encoded but for the unreserved characters of RFC 3986: a value of a form or a query.
    var formEncoded: String {
        let digits = Array("0123456789ABCDEF".utf8)
        var text: [UInt8] = []
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
                UInt8(ascii: "~"):
                text.append(byte)
            default: text += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Foreign words, fit for a line of ours: one line of bounded length without any of `secrets`, and without the
    /// canonical request, which has the session token in it and which services quote where a signature is wrong.
    func quoted(without secrets: [String?], max: Int = 300) -> String {
        var text = self
        if let canonical = text.firstRange(of: "The Canonical String") {
            text = String(text[..<canonical.lowerBound]).trimmed
        }
        // Whatever is shorter is no secret, and would garble the words.
        for secret in secrets.compactMap(\.self) where secret.utf8.count >= 4 {
            text = text.replacing(secret, with: "…")
        }
        let scalars = text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : Character($0) }
        let line = String(scalars).split(separator: " ").joined(separator: " ")
        return line.count > max ? "\(line.prefix(max))…" : line
    }
}
