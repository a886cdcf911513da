import Synchronization

@testable import Emulator

/// A directory in memory that a test can look into, fill up, and set back to what it was after any write.
final class MemoryFiles: StateFiles {
    struct Disk: Sendable {
        var files: [String: [UInt8]] = [:]
        /// Bytes that still fit; the write that does not fit leaves what fits.
        var room = Int.max
        var isLocked = false
        /// What another process writes before it lets go of the lock.
        var late: [String: [UInt8]] = [:]
        /// What the directory was after each step, where asked for.
        var history: [[String: [UInt8]]]?

        mutating func note() { history?.append(files) }
    }

    let path = "memory"
    let isCrowded = false
    let disk: Mutex<Disk>

    init(_ files: [String: [UInt8]] = [:], keepsHistory: Bool = false) {
        disk = Mutex(Disk(files: files, history: keepsHistory ? [] : nil))
    }

    var files: [String: [UInt8]] {
        get { disk.withLock { $0.files } }
        set { disk.withLock { $0.files = newValue } }
    }

    var room: Int {
        get { disk.withLock { $0.room } }
        set { disk.withLock { $0.room = newValue } }
    }

    var history: [[String: [UInt8]]] { disk.withLock { $0.history ?? [] } }

    /// The files whose names begin so, in order.
    func names(of kind: String) -> [String] { files.keys.filter { $0.hasPrefix(kind) }.sorted() }

    func names() throws(StateError) -> [String] { files.keys.sorted() }

    func lock() throws(StateError) {
        let wasLocked = disk.withLock { disk in
            defer { disk.isLocked = true }
            disk.files.merge(disk.late) { $1 }
            return disk.isLocked
        }
        if wasLocked { throw StateError("in use") }
    }

    func open(_ name: String) throws(StateError) -> any StateFile {
        disk.withLock { disk in
            if disk.files[name] == nil { disk.files[name] = [] }
        }
        return MemoryFile(name, in: self)
    }

    func rename(_ name: String, to other: String) throws(StateError) {
        disk.withLock { disk in
            disk.files[other] = disk.files.removeValue(forKey: name)
            disk.note()
        }
    }

    func remove(_ name: String) throws(StateError) {
        disk.withLock { disk in
            disk.files[name] = nil
            disk.note()
        }
    }
}

private final class MemoryFile: StateFile {
    private let name: String
    private let files: MemoryFiles

    init(_ name: String, in files: MemoryFiles) {
        self.name = name
        self.files = files
    }

    func length() throws(StateError) -> Int { files.files[name]?.count ?? 0 }

    func read(at offset: Int, count: Int) throws(StateError) -> [UInt8] {
        Array((files.files[name] ?? []).dropFirst(offset).prefix(count))
    }

    func append(_ bytes: [UInt8]) throws(StateError) {
        let fits = files.disk.withLock { disk in
            let part = bytes.prefix(disk.room)
            disk.files[name, default: []] += part
            if disk.room != .max { disk.room -= part.count }
            disk.note()
            return part.count == bytes.count
        }
        if !fits { throw StateError("cannot write memory/\(name): No space left on device") }
    }

    func truncate(to length: Int) throws(StateError) {
        files.disk.withLock { disk in
            let count = disk.files[name]?.count ?? 0
            if count > length { disk.files[name]?.removeLast(count - length) }
            disk.note()
        }
    }
}

/// What a state directory said, line by line.
final class Said: Sendable {
    private let said = Mutex<[String]>([])

    var lines: [String] { said.withLock { $0 } }

    func callAsFunction(_ line: String) { said.withLock { $0.append(line) } }
}
