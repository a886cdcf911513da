import Synchronization

/// Where an emulator keeps its streams and tables over a restart.
///
/// What a client was told is done has been handed to the operating system before; the end of the process, `kill -9`
/// among its ways, loses none of it. Only what the machine itself loses in a power cut may be missing afterwards.
package final class StateDirectory: Sendable {
    let files: any StateFiles
    private let onEvent: @Sendable (String) -> Void
    private let nextID: Mutex<UInt64>
    /// What stands in the way of writing, as long as it does.
    private let trouble = Mutex<StateError?>(nil)
    /// What lay there at the start, by its name.
    let found: [StateName]

    private static let marker = "version"

    /// Opens `path`, which is made where there is nothing, and keeps others out of it.
    ///
    /// - Parameter onEvent: called with a line for people when writing fails or works again; must not block.
    /// - Throws: StateError where the directory is in use, of a newer version or somebody else's.
    package convenience init(path: String, onEvent: @escaping @Sendable (String) -> Void) throws(StateError) {
        try self.init(files: try PosixStateFiles(path: path), onEvent: onEvent)
    }

    init(files: any StateFiles, onEvent: @escaping @Sendable (String) -> Void) throws(StateError) {
        self.files = files
        self.onEvent = onEvent
        // Before it is touched, and again because whoever had the lock until now may have written.
        _ = try Self.ownNames(files)
        try files.lock()
        let names = try Self.ownNames(files)
        var found: [StateName] = []
        for name in names where name != Self.marker && name != "lock" {
            if name.hasSuffix(Self.unfinished) {
                try files.remove(name)
            } else if let name = StateName(name) {
                found.append(name)
            } else {
                throw StateError(
                    "\(files.path)/\(name) is not an emulator's file; take it away or name another directory")
            }
        }
        self.found = found
        nextID = Mutex((found.map(\.id).max() ?? 0) + 1)
        if !names.contains(Self.marker) {
            try files.open(Self.marker + Self.unfinished)
                .append(Array("shardtop emulate \(StateFormat.version)\n".utf8))
            try files.rename(Self.marker + Self.unfinished, to: Self.marker)
        }
    }

    /// The names of all files of a directory that is an emulator's, or empty.
    private static func ownNames(_ files: any StateFiles) throws(StateError) -> [String] {
        let names = try files.names()
        let begun: Set = ["lock", marker + unfinished]
        guard names.allSatisfy(begun.contains) || names.contains(marker) else {
            throw StateError("\(files.path) holds files that are not an emulator's; name an empty or a new directory")
        }
        if names.contains(marker) { try checkVersion(files) }
        return names
    }

    private static func checkVersion(_ files: any StateFiles) throws(StateError) {
        let text = String(decoding: try files.open(marker).read(at: 0, count: 64), as: UTF8.self)
        let words = text.split(whereSeparator: \.isWhitespace)
        guard words.count == 3, words[0] == "shardtop", words[1] == "emulate", let version = UInt32(words[2]) else {
            throw StateError("\(files.path)/\(marker) is not an emulator's file; name another directory")
        }
        guard version <= StateFormat.version else {
            throw StateError(
                "\(files.path) was written by a newer shardtop (format \(version), this one reads "
                    + "\(StateFormat.version))")
        }
    }

    /// The number of a new stream or table.
    func makeID() -> UInt64 {
        nextID.withLock { id in
            defer { id += 1 }
            return id
        }
    }

    /// Gives no new stream or table this number: some file names it still.
    func passOver(_ id: UInt64) { nextID.withLock { $0 = max($0, id &+ 1) } }

    private static let unfinished = ".new"

    /// Puts a file with these bytes in the place of whatever has the name, in one step.
    func replace(_ name: StateName, with bytes: [UInt8]) throws(StateError) {
        try replace(name) { (append) throws(StateError) in try append(bytes) }
    }

    /// Puts the file that `write` fills piece by piece in the place of whatever has the name, in one step.
    @discardableResult
    func replace(
        _ name: StateName, _ write: ((([UInt8]) throws(StateError) -> Void)) throws(StateError) -> Void
    ) throws(StateError) -> Int {
        let temporary = name.text + Self.unfinished
        var length = 0
        do throws(StateError) {
            let file = try files.open(temporary)
            // Left there by an attempt that failed.
            try file.truncate(to: 0)
            try write { (bytes) throws(StateError) in
                try file.append(bytes)
                length += bytes.count
            }
            try files.rename(temporary, to: name.text)
        } catch {
            try? files.remove(temporary)
            failed(error)
            throw error
        }
        succeeded()
        return length
    }

    /// Adds `bytes` to a journal.
    func append(_ bytes: [UInt8], to file: inout JournalFile) throws(StateError) {
        do throws(StateError) { try file.append(bytes, in: files) } catch {
            failed(error)
            throw error
        }
        succeeded()
    }

    /// Takes a file away that is not needed any more; where that fails it is in nobody's way.
    func discard(_ name: StateName) { try? files.remove(name.text) }

    // MARK: Reading

    func reader(_ name: StateName, _ kind: StateFileKind) throws(StateError) -> FrameReader {
        try FrameReader(try files.open(name.text), kind, name: "\(files.path)/\(name.text)")
    }

    func damaged(_ name: String, at offset: Int) -> StateError {
        StateError("\(files.path)/\(name) is damaged at byte \(offset); take it away to start without it")
    }

    /// Fails where a file that was read to its end is damaged, and says what was cut off one that is torn.
    func check(_ reader: FrameReader, _ name: String) throws(StateError) {
        switch reader.end {
        case .whole: break
        case .torn:
            onEvent("\(files.path)/\(name) ends in an unfinished write, which is cut off at byte \(reader.offset)")
        case .damaged: throw damaged(name, at: reader.offset)
        }
    }

    // MARK: Trouble

    /// Says once that writing does not work.
    private func failed(_ error: StateError) {
        let isNew = trouble.withLock { trouble in
            defer { trouble = error }
            return trouble == nil
        }
        if isNew { onEvent("\(error); what cannot be kept is answered with status 500") }
    }

    /// Says once that writing works again.
    private func succeeded() {
        let wasTroubled = trouble.withLock { trouble in
            defer { trouble = nil }
            return trouble != nil
        }
        if wasTroubled { onEvent("\(files.path) can be written again") }
    }
}

/// A file of the state directory.
enum StateName: Hashable, Sendable {
    /// What a stream is: its attributes and shards.
    case stream(UInt64)
    /// Records of a shard from `first` on.
    case records(stream: UInt64, shard: Int, first: UInt64)
    /// A table and its items. Of two generations the later one holds everything.
    case table(UInt64, generation: UInt64)
    /// Transactions over more than one table.
    case transactions
    /// What is set for the whole account.
    case account

    var id: UInt64 {
        switch self {
        case .stream(let id), .records(let id, _, _), .table(let id, _): id
        case .transactions, .account: 0
        }
    }

    var text: String {
        switch self {
        case .stream(let id): "stream-\(id)"
        case .records(let stream, let shard, let first): "records-\(stream)-\(shard)-\(first)"
        case .table(let id, let generation): "table-\(id)-\(generation)"
        case .transactions: "transactions"
        case .account: "account"
        }
    }

    init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        let numbers = parts.dropFirst().compactMap { UInt64($0) }
        guard numbers.count == parts.count - 1, numbers.allSatisfy({ $0 < UInt64(Int64.max) }) else { return nil }
        switch (parts.first, numbers.count) {
        case ("stream", 1): self = .stream(numbers[0])
        case ("records", 3): self = .records(stream: numbers[0], shard: Int(numbers[1]), first: numbers[2])
        case ("table", 2): self = .table(numbers[0], generation: numbers[1])
        case ("transactions", 0): self = .transactions
        case ("account", 0): self = .account
        default: return nil
        }
        guard self.text == text else { return nil }
    }
}
