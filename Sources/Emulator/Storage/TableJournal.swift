import AWSWire
import Machine

/// What a table's file has, frame by frame.
enum TableFrame: UInt8 {
    /// The definition, as JSON.
    case definition = 1
    /// Items written and keys deleted, all of one request.
    case rows = 2
    /// The number of a transaction over several tables, then as `rows`.
    case transaction = 3
}

/// One row's change: the whole new item, or the key of a deleted one.
enum RowChange: Sendable {
    case put(Item)
    case delete(Item)

    func append(to out: inout [UInt8]) {
        switch self {
        case .put(let item):
            out.append(1)
            ItemEncoding.append(item, to: &out)
        case .delete(let key):
            out.append(2)
            ItemEncoding.append(key, to: &out)
        }
    }

    static func bytes(_ changes: [RowChange]) -> [UInt8] {
        var bytes: [UInt8] = []
        for change in changes { change.append(to: &bytes) }
        return bytes
    }

    /// The changes that follow in `reader`; `nil` where they are no changes.
    static func read(_ reader: inout ItemReader) -> [RowChange]? {
        var changes: [RowChange] = []
        while !reader.isAtEnd {
            switch (reader.byte(), reader.item()) {
            case (1, let item?): changes.append(.put(item))
            case (2, let key?): changes.append(.delete(key))
            default: return nil
            }
        }
        return changes
    }
}

/// The file of one table: every change is added to it, and when most of it is outdated it is written anew.
struct TableJournal: Sendable {
    /// Files smaller than this are not worth writing anew.
    static let compactionBytesMin = 4 << 20
    private static let frameBytes = 256 << 10

    let directory: StateDirectory
    let id: UInt64
    private var generation: UInt64
    private var file: JournalFile
    /// The file's length when everything in it counted.
    private var compactLength: Int
    /// The last transaction over several tables that this table's file has.
    private(set) var transaction: UInt64 = 0
    /// Rows of a transaction that is kept elsewhere, and that this file could not take yet.
    private var owed: [UInt8] = []
    /// Transactions of which it is owed rows.
    private(set) var unsettled = 0
    /// Transactions whose rows it has got since `takeSettled`.
    private var settled = 0

    /// A table that is new.
    init(in directory: StateDirectory) {
        self.directory = directory
        id = directory.makeID()
        generation = 1
        file = JournalFile(name: StateName.table(id, generation: 1).text)
        compactLength = 0
    }

    /// A table whose file was read: `length` bytes of it are whole.
    init(
        in directory: StateDirectory, id: UInt64, generation: UInt64, length: Int, isTorn: Bool, transaction: UInt64
    ) {
        self.directory = directory
        self.id = id
        self.generation = generation
        self.transaction = transaction
        file = JournalFile(name: StateName.table(id, generation: generation).text, length: length, isTorn: isTorn)
        compactLength = 0
    }

    /// Keeps what the table is now.
    mutating func save(definition: AWSValue) throws(StateError) {
        try append { frames in frames.frame(TableFrame.definition.rawValue) { $0 += JSON.encode(definition) } }
    }

    /// Keeps changes that belong together: after a restart all of them are there or none.
    mutating func save(_ changes: [RowChange]) throws(StateError) {
        guard !changes.isEmpty else { return }
        try append { frames in
            frames.frame(TableFrame.rows.rawValue) { for change in changes { change.append(to: &$0) } }
        }
    }

    /// Notes rows of a transaction that was kept as a whole already, so that this cannot fail: where the file does not
    /// take them they are owed to it.
    mutating func save(transaction number: UInt64, rows: [UInt8]) {
        transaction = number
        var frames = FrameBuffer()
        frames.frame(TableFrame.transaction.rawValue) {
            $0.append(little: number)
            $0 += rows
        }
        owed += frames.bytes
        unsettled += 1
        try? append { _ in }
    }

    /// The number of transactions whose rows the file has got since the last call.
    mutating func takeSettled() -> Int {
        defer { settled = 0 }
        return settled
    }

    /// Nothing is owed to the file any more.
    private mutating func settle() {
        owed = []
        settled += unsettled
        unsettled = 0
    }

    private mutating func append(_ body: (inout FrameBuffer) -> Void) throws(StateError) {
        var frames = file.length == 0 ? FrameBuffer(header: .table) : FrameBuffer()
        body(&frames)
        try directory.append(owed.isEmpty ? frames.bytes : owed + frames.bytes, to: &file)
        settle()
    }

    /// Whether most of the file is outdated; `liveBytes`: what the items take by the service's own count.
    func isWasteful(liveBytes: Int) -> Bool {
        file.length > Self.compactionBytesMin && file.length > 2 * compactLength && file.length > 2 * liveBytes
    }

    /// Writes the file anew with nothing but what counts. Where that fails the old one stays.
    ///
    /// - Parameter items: gives the next item with each call, `nil` at the end.
    mutating func compact(definition: AWSValue, _ items: () -> Item?) {
        let next = StateName.table(id, generation: generation + 1)
        let number = transaction
        do throws(StateError) {
            let length = try directory.replace(next) { (append) throws(StateError) in
                var frames = FrameBuffer(header: .table)
                frames.frame(TableFrame.definition.rawValue) { $0 += JSON.encode(definition) }
                var item = items()
                repeat {
                    frames.frame(TableFrame.transaction.rawValue) { out in
                        out.append(little: number)
                        let end = out.count + Self.frameBytes
                        while let whole = item, out.count < end {
                            RowChange.put(whole).append(to: &out)
                            item = items()
                        }
                    }
                    try append(frames.bytes)
                    frames = FrameBuffer()
                } while item != nil
            }
            directory.discard(.table(id, generation: generation))
            generation += 1
            file = JournalFile(name: next.text, length: length, isTorn: false)
            settle()
            compactLength = length
        } catch {
            // The next attempt comes when the file has doubled.
            compactLength = file.length
        }
    }

    /// Forgets the table.
    func remove() { directory.discard(.table(id, generation: generation)) }
}
