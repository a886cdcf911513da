import AWSWire
import Machine
import Synchronization

/// What the service keeps in the state directory, and how it comes back.
extension DynamoDBService {
    /// What a client hears when something could not be kept, and was therefore not done.
    static func notKept(_ error: StateError) -> ServiceError {
        ServiceError("InternalServerError", "The request was not carried out: \(error)", status: 500)
    }

    /// Reads the tables that the state directory holds.
    func restore() throws(StateError) {
        guard let state else { return }
        let moment = Moment(now: time.now(), wall: time.wallClock())
        var generations: [UInt64: [UInt64]] = [:]
        for case .table(let id, let generation) in state.found { generations[id, default: []].append(generation) }
        var tables: [UInt64: DynamoDBTable] = [:]
        for (id, found) in generations.sorted(by: { $0.key < $1.key }) {
            let newest = found.max() ?? 0
            // The process ended between the writing of the new file and the removal of the old one.
            for old in found where old != newest { state.discard(.table(id, generation: old)) }
            tables[id] = try load(id, newest, from: state, at: moment)
        }
        let (kept, length) = try TransactionJournal.load(from: state)
        // A deleted table's rows stand there still, and must not come back in a new one.
        for entry in kept.flatMap(\.rows) { state.passOver(entry.table) }
        for transaction in kept { Self.catchUp(&tables, with: transaction, at: moment.now) }
        let last = tables.values.compactMap { $0.journal?.transaction }.max() ?? 0
        var unfinished = 0
        for (_, table) in tables.sorted(by: { $0.key < $1.key }) {
            if table.status.isGone(at: moment.now) || !insert(table, at: moment.now) {
                table.journal?.remove()
            } else {
                unfinished += table.journal?.unsettled ?? 0
            }
        }
        multiTableJournal.withLock {
            $0 = TransactionJournal(
                in: state, length: length, last: max(last, kept.last?.number ?? 0), unfinished: unfinished)
        }
    }

    private static func catchUp(
        _ tables: inout [UInt64: DynamoDBTable], with transaction: TransactionJournal.Kept, at now: Timestamp
    ) {
        for (id, rows) in transaction.rows {
            guard let before = tables[id]?.journal?.transaction, before < transaction.number else { continue }
            for change in rows { _ = tables[id]?.restore(change, at: now) }
            tables[id]?.journal?.save(transaction: transaction.number, rows: RowChange.bytes(rows))
            _ = tables[id]?.journal?.takeSettled()
        }
    }

    /// Writes the table's file anew where most of it is outdated, and notes which transactions it has caught up with.
    func tidyJournal(of table: inout DynamoDBTable, at now: Timestamp) {
        if table.isJournalWasteful { table.compactJournal(at: Moment(now: now, wall: time.wallClock())) }
        settleJournal(of: &table)
    }

    /// Lets the journal of transactions forget what the table's file has got by now.
    func settleJournal(of table: inout DynamoDBTable) {
        guard let count = table.journal?.takeSettled(), count > 0 else { return }
        multiTableJournal.withLock { $0?.finish(count) }
    }

    /// `nil` where the process ended before the table was made.
    private func load(
        _ id: UInt64, _ generation: UInt64, from state: StateDirectory, at moment: Moment
    ) throws(StateError) -> DynamoDBTable? {
        let name = StateName.table(id, generation: generation)
        var reader = try state.reader(name, .table)
        var table: DynamoDBTable?
        var last: UInt64 = 0
        while let payload = try reader.next() {
            guard let number = restore(payload, into: &table, at: moment) else {
                throw state.damaged(name.text, at: reader.offset)
            }
            last = max(last, number)
        }
        try state.check(reader, name.text)
        guard table != nil else {
            state.discard(name)
            return nil
        }
        table?.journal = TableJournal(
            in: state, id: id, generation: generation, length: reader.offset, isTorn: reader.end != .whole,
            transaction: last)
        return table
    }

    /// Takes one frame in, in place; the answer is the number of the transaction that the frame is of, or 0, and `nil`
    /// where the frame does not fit.
    private func restore(_ payload: Bytes, into table: inout DynamoDBTable?, at moment: Moment) -> UInt64? {
        var reader = ItemReader(payload)
        switch reader.byte().flatMap(TableFrame.init) {
        case .definition:
            guard let tree = try? JSON.decode(payload.slice(1..<payload.count)),
                let new = DynamoDBTable(stored: tree, at: moment, in: self)
            else { return nil }
            if table == nil { table = new } else { table?.redefine(new) }
            return 0
        case .rows: return restore(&reader, into: &table, at: moment.now) ? 0 : nil
        case .transaction:
            guard let number = reader.number() else { return nil }
            return restore(&reader, into: &table, at: moment.now) ? number : nil
        case nil: return nil
        }
    }

    private func restore(_ reader: inout ItemReader, into table: inout DynamoDBTable?, at now: Timestamp) -> Bool {
        guard let changes = RowChange.read(&reader) else { return false }
        for change in changes where table?.restore(change, at: now) != true { return false }
        return true
    }
}

extension DynamoDBTable {
    /// Keeps what `outcomes` change; to be called before they are carried out, which then cannot fail.
    mutating func keep(_ outcomes: [WriteOutcome]) throws(ServiceError) {
        guard journal != nil else { return }
        let changes = outcomes.compactMap { $0.change(keys) }
        do throws(StateError) { try journal?.save(changes) } catch { throw DynamoDBService.notKept(error) }
    }

    /// Keeps what the table is.
    mutating func keepDefinition(at moment: Moment) throws(ServiceError) {
        guard journal != nil else { return }
        let definition = stored(at: moment)
        do throws(StateError) { try journal?.save(definition: definition) } catch {
            throw DynamoDBService.notKept(error)
        }
    }

    /// Whether most of the table's file is outdated.
    fileprivate var isJournalWasteful: Bool { journal?.isWasteful(liveBytes: sizeBytes) ?? false }

    /// Writes the table's file anew.
    fileprivate mutating func compactJournal(at moment: Moment) {
        guard var journal else { return }
        var position = rows.start
        journal.compact(definition: stored(at: moment)) {
            while position < rows.end {
                let item = rows[position].value.item
                position = rows.after(position)
                if let item { return item }
            }
            return nil
        }
        self.journal = journal
    }
}
