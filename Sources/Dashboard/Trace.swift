package import Machine

/// One line of the protocol with a child process, as it passed. Record data is left out of it by who posts it.
package struct TraceLine: Hashable, Sendable {
    package enum Direction: Hashable, Sendable {
        case toChild
        case fromChild
    }

    package var shardID: String
    package var pid: Int32
    package var direction: Direction
    /// Without its line end.
    package var line: String
    package var at: UnixTime

    package init(shardID: String, pid: Int32, direction: Direction, line: String, at: UnixTime) {
        self.shardID = shardID
        self.pid = pid
        self.direction = direction
        self.line = line
        self.at = at
    }
}

/// The newest lines of a trace, each with a number that rises and stays.
struct TraceRing: Hashable, Sendable {
    private var lines: [TraceLine] = []
    /// Where the oldest is, once the ring is full.
    private var start = 0
    /// The number that the next line gets.
    private(set) var end = 0

    static let linesMax = 2000
    /// A line is cut there: a picture never needs more.
    static let lengthMax = 4096

    var count: Int { lines.count }
    /// The number of the oldest line that is kept.
    var first: Int { end - lines.count }

    mutating func append(_ line: TraceLine) {
        var line = line
        if line.line.utf8.count > Self.lengthMax {
            line.line = String(decoding: line.line.utf8.prefix(Self.lengthMax), as: UTF8.self) + "…"
        }
        if lines.count < Self.linesMax {
            lines.append(line)
        } else {
            lines[start] = line
            start = (start + 1) % Self.linesMax
        }
        end += 1
    }

    /// The line of a number from `first` to below `end`.
    subscript(number: Int) -> TraceLine? {
        guard number >= first, number < end else { return nil }
        return lines[(start + number - first) % lines.count]
    }
}

/// The view of the protocol with the child of one shard.
struct Trace: Hashable, Sendable {
    /// A row of the picture: which line, and which row of it where lines are wrapped.
    struct Place: Hashable, Comparable, Sendable {
        var line: Int
        var row: Int

        static func < (a: Place, b: Place) -> Bool { (a.line, a.row) < (b.line, b.row) }
    }

    var shardID: String
    var live = TraceRing()
    /// The lines as they were when the picture was frozen.
    var frozen: TraceRing?
    /// What stands in the lowest row; `nil` follows the newest line.
    var bottom: Place?
    var isWrapped = false

    init(shardID: String) { self.shardID = shardID }

    var shown: TraceRing { frozen ?? live }

    /// The rows that a line takes: its text, cut or wrapped to `width` columns.
    func rows(_ line: TraceLine, width: Int) -> [String] {
        guard isWrapped else {
            // Only what could be seen is measured: most of a long line is out of view.
            let head = line.line.utf8.count > 8 * width ? String(line.line.prefix(2 * width + 16)) : line.line
            return [head]
        }
        let rows = line.line.wrapped(to: max(1, width))
        return rows.isEmpty ? [""] : rows
    }

    private func rowCount(_ number: Int, width: Int) -> Int {
        guard isWrapped, let line = shown[number] else { return 1 }
        return rows(line, width: width).count
    }

    /// The newest row; `nil` where there is no line.
    func newest(width: Int) -> Place? {
        let ring = shown
        guard ring.count > 0 else { return nil }
        return Place(line: ring.end - 1, row: rowCount(ring.end - 1, width: width) - 1)
    }

    /// The row `count` rows above, or below where it is negative; no farther than there are lines.
    func place(_ count: Int, above place: Place, width: Int) -> Place {
        let ring = shown
        var place = place
        if place.line < ring.first { place = Place(line: ring.first, row: 0) }
        for _ in 0..<abs(count) {
            if count > 0 {
                if place.row > 0 {
                    place.row -= 1
                } else if place.line > ring.first {
                    place.line -= 1
                    place.row = rowCount(place.line, width: width) - 1
                } else {
                    break
                }
            } else if place.row + 1 < rowCount(place.line, width: width) {
                place.row += 1
            } else if place.line + 1 < ring.end {
                place = Place(line: place.line + 1, row: 0)
            } else {
                break
            }
        }
        return place
    }

    /// The lowest row in view: never so far up that rows stay empty below the oldest line.
    func lowest(width: Int, height: Int) -> Place? {
        guard let newest = newest(width: width) else { return nil }
        guard var bottom else { return newest }
        // The line may take fewer rows than when it was chosen: wrapping and widths change.
        bottom.row = min(bottom.row, rowCount(bottom.line, width: width) - 1)
        let oldest = place(-(max(1, height) - 1), above: Place(line: shown.first, row: 0), width: width)
        return min(newest, max(bottom, oldest))
    }

    /// Moves the picture up by so many rows; down where it is negative. At the newest line it follows again.
    mutating func scroll(up count: Int, width: Int, height: Int) {
        guard let lowest = lowest(width: width, height: height), let newest = newest(width: width) else { return }
        let next = place(count, above: lowest, width: width)
        bottom = next >= newest ? nil : next
        if bottom != nil { bottom = self.lowest(width: width, height: height) }
        if bottom == newest { bottom = nil }
    }
}
