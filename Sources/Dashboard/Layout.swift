/// A rectangle of cells. Width and height are never negative; an empty rectangle draws nothing.
@frozen public struct Rect: Hashable, Sendable {
    public var x: Int
    public var y: Int
    public var width: Int
    public var height: Int

    @inlinable public init(x: Int, y: Int, width: Int, height: Int) {
        self.x = x
        self.y = y
        self.width = max(0, width)
        self.height = max(0, height)
    }

    @inlinable public var isEmpty: Bool { width <= 0 || height <= 0 }
    /// The first column to the right of the rectangle.
    @inlinable public var endX: Int { x + width }
    /// The first row below the rectangle.
    @inlinable public var endY: Int { y + height }

    @inlinable public func contains(x px: Int, y py: Int) -> Bool {
        px >= x && px < endX && py >= y && py < endY
    }

    @inlinable public func intersection(_ other: Rect) -> Rect {
        let left = max(x, other.x)
        let top = max(y, other.y)
        return Rect(x: left, y: top, width: min(endX, other.endX) - left, height: min(endY, other.endY) - top)
    }
}

extension Rect {
    package static let zero = Rect(x: 0, y: 0, width: 0, height: 0)

    /// The rectangle without `columns` on the left and right and `rows` on the top and bottom.
    package func inset(columns: Int = 0, rows: Int = 0) -> Rect {
        Rect(
            x: x + min(columns, width), y: y + min(rows, height), width: width - 2 * columns,
            height: height - 2 * rows)
    }

    /// The `row`th row as a rectangle of height one; empty outside.
    package func row(_ row: Int) -> Rect {
        guard row >= 0, row < height else { return Rect(x: x, y: y, width: 0, height: 0) }
        return Rect(x: x, y: y + row, width: width, height: 1)
    }

    package func splitTop(_ rows: Int) -> (top: Rect, rest: Rect) {
        let rows = min(max(0, rows), height)
        return (
            Rect(x: x, y: y, width: width, height: rows),
            Rect(x: x, y: y + rows, width: width, height: height - rows)
        )
    }

    package func splitBottom(_ rows: Int) -> (rest: Rect, bottom: Rect) {
        let rows = min(max(0, rows), height)
        let (rest, bottom) = splitTop(height - rows)
        return (rest, bottom)
    }

    package func splitLeft(_ columns: Int) -> (left: Rect, rest: Rect) {
        let columns = min(max(0, columns), width)
        return (
            Rect(x: x, y: y, width: columns, height: height),
            Rect(x: x + columns, y: y, width: width - columns, height: height)
        )
    }

    package func splitRight(_ columns: Int) -> (rest: Rect, right: Rect) {
        let columns = min(max(0, columns), width)
        let (rest, right) = splitLeft(width - columns)
        return (rest, right)
    }

    /// A rectangle of at most the given size in the middle of this one.
    package func centered(width wanted: Int, height wantedHeight: Int) -> Rect {
        let w = min(wanted, width)
        let h = min(wantedHeight, height)
        return Rect(x: x + (width - w) / 2, y: y + (height - h) / 2, width: w, height: h)
    }

    /// One rectangle per length, from top to bottom, filling this one as far as the lengths allow.
    package func rows(_ lengths: [Length]) -> [Rect] {
        var top = y
        return Length.sizes(lengths, total: height).map { size in
            defer { top += size }
            return Rect(x: x, y: top, width: width, height: size)
        }
    }

    /// One rectangle per length, from left to right, filling this one as far as the lengths allow.
    package func columns(_ lengths: [Length]) -> [Rect] {
        var left = x
        return Length.sizes(lengths, total: width).map { size in
            defer { left += size }
            return Rect(x: left, y: y, width: size, height: height)
        }
    }
}

/// How long one part of a split is: exactly so many cells, or a share of what the fixed ones leave.
package enum Length: Hashable, Sendable {
    case fixed(Int)
    case flexible(weight: Int, min: Int, max: Int)

    package static func share(_ weight: Int = 1, min: Int = 0, max: Int = .max) -> Length {
        .flexible(weight: weight, min: min, max: max)
    }

    private var minimum: Int {
        switch self {
        case .fixed(let size): max(0, size)
        case .flexible(_, let min, _): max(0, min)
        }
    }

    /// The sizes of the parts. Too little room is taken from the last parts first; room above every maximum is
    /// left over at the end.
    package static func sizes(_ lengths: [Length], total: Int) -> [Int] {
        var sizes: [Int] = []
        var left = max(0, total)
        for length in lengths {
            let size = min(length.minimum, left)
            sizes.append(size)
            left -= size
        }
        while left > 0 {
            let growing = lengths.indices.filter { lengths[$0].weight > 0 && sizes[$0] < lengths[$0].maximum }
            let weights = growing.reduce(0) { $0 + lengths[$1].weight }
            guard weights > 0 else { break }
            let room = left
            for (position, index) in growing.enumerated() {
                let isLast = position == growing.count - 1
                let share = isLast ? left : max(1, room * lengths[index].weight / weights)
                let grown = min(share, left, lengths[index].maximum - sizes[index])
                sizes[index] += grown
                left -= grown
            }
        }
        return sizes
    }

    private var weight: Int {
        switch self {
        case .fixed: 0
        case .flexible(let weight, _, _): min(max(0, weight), 1000)
        }
    }

    private var maximum: Int {
        switch self {
        case .fixed(let size): max(0, size)
        case .flexible(_, _, let max): max
        }
    }
}
