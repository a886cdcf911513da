import AWSWire
import Synchronization

/// Transactions over several tables are kept here as a whole before each table's file gets its rows, because the
/// process may end between two files.
///
/// A table's file names the last such transaction it has; at the start the ones it lacks are taken from here.
final class TransactionJournal: Sendable {
    private struct State {
        var file: JournalFile
        var next: UInt64
        /// Transactions that tables' files lack, summed over the tables.
        var unfinished = 0
    }

    private static let lengthMax = 1 << 20

    private let directory: StateDirectory
    private let state: Mutex<State>

    /// - Parameters:
    ///   - length: how much of the file is whole; 0 where there is none.
    ///   - last: the highest number that any table's file has.
    ///   - unfinished: transactions that tables' files lack, summed over the tables.
    init(in directory: StateDirectory, length: Int, last: UInt64, unfinished: Int) {
        self.directory = directory
        state = Mutex(
            State(
                file: JournalFile(name: StateName.transactions.text, length: length, isTorn: true), next: last + 1,
                unfinished: unfinished))
    }

    /// Keeps a transaction; `rows` are its changes by table. The answer is its number; each table is to be told by
    /// `finish` once.
    func begin(_ rows: [(table: UInt64, rows: [UInt8])]) throws(StateError) -> UInt64 {
        try state.withLock { (state) throws(StateError) in
            if state.unfinished == 0, state.file.length > Self.lengthMax { state.file.clear() }
            var frames = state.file.length == 0 ? FrameBuffer(header: .transactions) : FrameBuffer()
            let number = state.next
            frames.frame(1) { out in
                out.append(little: number)
                ItemEncoding.append(count: rows.count, to: &out)
                for entry in rows {
                    out.append(little: entry.table)
                    ItemEncoding.append(count: entry.rows.count, to: &out)
                    out += entry.rows
                }
            }
            try directory.append(frames.bytes, to: &state.file)
            state.next += 1
            state.unfinished += rows.count
            return number
        }
    }

    /// A table's file has its rows of that many transactions.
    func finish(_ count: Int) { state.withLock { $0.unfinished -= count } }

    /// A transaction as it was kept.
    struct Kept: Sendable {
        var number: UInt64
        var rows: [(table: UInt64, rows: [RowChange])]
    }

    /// Reads what was kept, oldest first, and how much of the file that is.
    static func load(from directory: StateDirectory) throws(StateError) -> (kept: [Kept], length: Int) {
        guard directory.found.contains(.transactions) else { return ([], 0) }
        let name = StateName.transactions.text
        var reader = try directory.reader(.transactions, .transactions)
        var kept: [Kept] = []
        while let payload = try reader.next() {
            guard let transaction = Kept(payload) else { throw directory.damaged(name, at: reader.offset) }
            kept.append(transaction)
        }
        try directory.check(reader, name)
        return (kept, reader.offset)
    }
}

extension TransactionJournal.Kept {
    fileprivate init?(_ payload: Bytes) {
        var reader = ItemReader(payload, from: 1)
        guard let number = reader.number(), let count = reader.count() else { return nil }
        self.number = number
        rows = []
        for _ in 0..<count {
            guard let table = reader.number(), let bytes = reader.blob() else { return nil }
            var changes = ItemReader(bytes)
            guard let read = RowChange.read(&changes) else { return nil }
            rows.append((table, read))
        }
    }
}
