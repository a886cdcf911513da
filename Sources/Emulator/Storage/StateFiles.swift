/// Why the state directory cannot be read or written: one sentence for people.
package struct StateError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}

/// The files of one directory; the seam at which tests let a disk fail.
package protocol StateFiles: Sendable {
    /// The directory, for messages.
    var path: String { get }
    /// Whether so many files are open that one should be closed as soon as it was written.
    var isCrowded: Bool { get }
    func names() throws(StateError) -> [String]
    /// Keeps every other process out until this one ends, however it ends.
    func lock() throws(StateError)
    /// Opens a file, which is made, readable by its owner alone, where there is none.
    func open(_ name: String) throws(StateError) -> any StateFile
    /// Gives the file another name in one step; what had that name is gone.
    func rename(_ name: String, to other: String) throws(StateError)
    func remove(_ name: String) throws(StateError)
}

/// An open file, closed when nobody holds it any more.
package protocol StateFile: AnyObject, Sendable {
    func length() throws(StateError) -> Int
    /// Up to `count` bytes from `offset` on; fewer only at the end.
    func read(at offset: Int, count: Int) throws(StateError) -> [UInt8]
    /// Adds `bytes` to the end. When it fails, some of them may be there.
    func append(_ bytes: [UInt8]) throws(StateError)
    func truncate(to length: Int) throws(StateError)
}
