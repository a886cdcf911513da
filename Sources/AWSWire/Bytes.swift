/// A range of bytes inside a shared arena: a record's data stays where the answer that carried it lies.
///
/// Copying a `Bytes` never copies the bytes. It keeps the whole arena alive; `copied()` is for what outlives a batch.
@frozen
public struct Bytes: Sendable {
    @usableFromInline let arena: [UInt8]
    @usableFromInline let offset: Int
    public let count: Int

    @inlinable
    public init(_ array: [UInt8]) {
        arena = array
        offset = 0
        count = array.count
    }

    /// The bytes `range` of `array`, without a copy.
    @inlinable
    public init(_ array: [UInt8], _ range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= array.count)
        arena = array
        offset = range.lowerBound
        count = range.count
    }

    @inlinable
    public init() { self.init([]) }

    @inlinable
    public init(_ text: String) { self.init(Array(text.utf8)) }

    @inlinable
    public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        var result: Result<R, E>?
        arena.withUnsafeBytes { whole in
            do throws(E) {
                result = .success(try body(UnsafeRawBufferPointer(rebasing: whole[offset..<offset + count])))
            } catch {
                result = .failure(error)
            }
        }
        return try result!.get()
    }

    @inlinable
    public subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < count)
        return arena[offset + index]
    }

    /// The part `range`, in the same arena.
    @inlinable
    public func slice(_ range: Range<Int>) -> Bytes {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        return Bytes(arena, offset + range.lowerBound..<offset + range.upperBound)
    }

    /// The same bytes in an arena of their own, so that the big one can go.
    @inlinable
    public func copied() -> Bytes { Bytes(Array(arena[offset..<offset + count])) }

    @inlinable
    public var array: [UInt8] {
        offset == 0 && count == arena.count ? arena : Array(arena[offset..<offset + count])
    }

    /// The whole arena as an array of the caller's own where nobody else holds it, and where in it the bytes lie.
    @inlinable
    public consuming func takeArena() -> (arena: [UInt8], range: Range<Int>) { (arena, offset..<offset + count) }

    /// The bytes as UTF-8, with U+FFFD for what is not.
    @inlinable
    public var text: String { String(decoding: arena[offset..<offset + count], as: UTF8.self) }

    @inlinable
    public var isEmpty: Bool { count == 0 }
}

extension Bytes: Hashable {
    @inlinable
    public static func == (a: Bytes, b: Bytes) -> Bool {
        a.count == b.count && a.arena[a.offset..<a.offset + a.count] == b.arena[b.offset..<b.offset + b.count]
    }

    @inlinable
    public func hash(into hasher: inout Hasher) {
        withUnsafeBytes { hasher.combine(bytes: $0) }
    }
}
