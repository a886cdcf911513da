package import AWSWire
import Glibc

/// Cuts what comes out of a pipe into lines, within a bound: the other side may never write a line feed.
package struct ProtocolLines: Sendable {
    /// What becomes of a line that is longer than the bound.
    package enum Excess: Sendable {
        /// It is forgotten, and said to be too long.
        case drop
        /// It becomes several.
        case cut
    }

    package enum Line: Hashable, Sendable {
        /// Without its line end.
        case text(Bytes)
        case tooLong
    }

    private let bytesMax: Int
    private let excess: Excess
    private var partial: [UInt8] = []
    private var isSkipping = false

    package init(bytesMax: Int, excess: Excess) {
        self.bytesMax = max(1, bytesMax)
        self.excess = excess
    }

    /// The lines that end within `piece`.
    package mutating func append(_ piece: Bytes) -> [Line] {
        var lines: [Line] = []
        var start = 0
        while start < piece.count {
            let end = piece.withUnsafeBytes { buffer -> Int? in
                guard let base = buffer.baseAddress, let found = memchr(base + start, 0x0A, buffer.count - start)
                else { return nil }
                return base.distance(to: UnsafeRawPointer(found))
            }
            take(piece.slice(start..<(end ?? piece.count)), isEnded: end != nil, &lines)
            start = (end ?? piece.count) + 1
        }
        return lines
    }

    /// What came after the last line end, once nothing more will.
    package mutating func finish() -> [Line] {
        defer {
            partial = []
            isSkipping = false
        }
        if isSkipping { return [.tooLong] }
        return partial.isEmpty ? [] : [.text(Bytes(partial))]
    }

    private mutating func take(_ part: Bytes, isEnded: Bool, _ lines: inout [Line]) {
        var part = part
        if excess == .cut {
            while partial.count + part.count > bytesMax {
                let room = bytesMax - partial.count
                lines.append(.text(joined(part.slice(0..<room))))
                part = part.slice(room..<part.count)
            }
        } else if isSkipping || partial.count + part.count > bytesMax {
            // What was kept so far goes at once.
            partial = []
            isSkipping = !isEnded
            if isEnded { lines.append(.tooLong) }
            return
        }
        if isEnded {
            let line = joined(part)
            let endsInReturn = !line.isEmpty && line[line.count - 1] == 0x0D
            lines.append(.text(endsInReturn ? line.slice(0..<line.count - 1) : line))
        } else if !part.isEmpty {
            part.withUnsafeBytes { partial.append(contentsOf: $0) }
        }
    }

    /// `partial`, which ends here, and `part`.
    private mutating func joined(_ part: Bytes) -> Bytes {
        guard !partial.isEmpty else { return part }
        defer { partial = [] }
        part.withUnsafeBytes { partial.append(contentsOf: $0) }
        return Bytes(partial)
    }
}

/// `line` for people and terminals: no control character and nothing that turns the writing direction is left in it.
package func harmless(_ line: Bytes) -> String {
    let text = line.text
    guard text.unicodeScalars.contains(where: isHarmful) else { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
        result.append(scalar == "\t" ? " " : isHarmful(scalar) ? "\u{FFFD}" : scalar)
    }
    return String(result)
}

private func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F..<0xA0, 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x2069: true
    default: false
    }
}
