import AWSWire
import Machine

/// One stream in the state directory: a file that says what it is, and its shards' records.
struct StreamJournal: Sendable {
    let directory: StateDirectory
    let id: UInt64
    /// The definition as the file has it.
    private var definition: [UInt8] = []
    /// What the definition was like when it was last compared; `nil` when it must be compared.
    fileprivate var compared: StreamRevision?
    /// Shards, by index, that may have records which no file has.
    private var touched: [Int] = []
    private var shards: [Int: ShardJournal] = [:]

    /// A stream that is new.
    init(in directory: StateDirectory) {
        self.directory = directory
        id = directory.makeID()
    }

    init(in directory: StateDirectory, id: UInt64, definition: [UInt8], shards: [Int: ShardJournal]) {
        self.directory = directory
        self.id = id
        self.definition = definition
        self.shards = shards
    }

    /// Notes that the shard has a new record.
    mutating func touch(_ shard: Int) {
        if touched.last != shard { touched.append(shard) }
    }

    fileprivate mutating func save(definition new: [UInt8], existing: Set<Int>) throws(StateError) {
        guard new != definition else { return }
        var frames = FrameBuffer(header: .stream)
        frames.frame(1) { $0 += new }
        try directory.replace(.stream(id), with: frames.bytes)
        definition = new
        for index in shards.keys.filter({ !existing.contains($0) }).sorted() {
            shards[index]?.remove(in: directory)
            shards[index] = nil
        }
    }

    /// A shard with new records; `nil` where all are kept.
    fileprivate var next: Int? { touched.last }

    /// Adds the new records of `next`, whose log this is.
    fileprivate mutating func saveNext(_ log: ShardLog?) throws(StateError) {
        guard let index = touched.last else { return }
        if let log {
            try shards[index, default: ShardJournal(stream: id, shard: index)].append(log, in: directory)
        }
        touched.removeLast()
    }

    /// The shards whose new records are not kept, and what of each is.
    fileprivate mutating func giveUp() -> [(shard: Int, end: UInt64?)] {
        defer { touched = [] }
        return touched.map { ($0, shards[$0]?.end) }
    }

    /// Takes away files whose records have all expired.
    mutating func trim(_ shard: Int, _ log: ShardLog) {
        shards[shard]?.trim(before: log.first, lastArrival: log.lastArrival, in: directory)
    }

    /// Forgets the stream.
    mutating func remove() {
        directory.discard(.stream(id))
        for index in shards.keys.sorted() { shards[index]?.remove(in: directory) }
        shards = [:]
    }
}

/// What of a definition changes by itself, without a request.
struct StreamRevision: Hashable, Sendable {
    var status: KinesisStream.Status
    var nextIndex: Int
    var shardCount: Int
    var consumerCount: Int
    var consumersSettleAt: Timestamp
}

extension KinesisStream {
    private var revision: StreamRevision {
        StreamRevision(
            status: status, nextIndex: nextIndex, shardCount: shards.count, consumerCount: consumers.count,
            consumersSettleAt: consumersSettleAt)
    }

    /// Runs `body`, and keeps what it changed before anybody is told; where that fails, it has changed nothing.
    ///
    /// - Parameter onlyRecords: whether `body` changes nothing but records, if that.
    mutating func keeping<T>(
        at moment: Moment, onlyRecords: Bool, _ body: (inout KinesisStream) throws(ServiceError) -> T
    ) throws(ServiceError) -> T {
        let before = onlyRecords ? nil : self
        if !onlyRecords { journal?.compared = nil }
        do throws(ServiceError) {
            let result = try body(&self)
            do throws(StateError) { try keep(at: moment, onlyRecords: onlyRecords) } catch {
                if let before {
                    let journal = journal
                    self = before
                    self.journal = journal
                }
                throw .notKept(error)
            }
            return result
        } catch {
            takeBack()
            throw error
        }
    }

    /// Writes what is not kept yet: first the definition, because records of a shard that it does not name are lost.
    private mutating func keep(at moment: Moment, onlyRecords: Bool) throws(StateError) {
        guard journal != nil else { return }
        let revision = revision
        if journal?.compared != revision {
            let definition = JSON.encode(stored(at: moment))
            do throws(StateError) {
                try journal?.save(definition: definition, existing: Set(shards.map(\.index)))
                journal?.compared = revision
            } catch {
                // What the stream did by itself it would do again after a restart: reads go on.
                guard onlyRecords, journal?.next == nil else { throw error }
            }
        }
        while let index = journal?.next {
            let log = position(ofIndex: index).map { shards[$0].log }
            try journal?.saveNext(log)
        }
    }

    private mutating func takeBack() {
        for (index, end) in journal?.giveUp() ?? [] {
            guard let position = position(ofIndex: index) else { continue }
            shards[position].log.takeBack(from: end ?? 0)
        }
    }

    /// Keeps a stream that is new.
    mutating func keepFirst(in directory: StateDirectory, at moment: Moment) throws(ServiceError) {
        journal = StreamJournal(in: directory)
        do throws(StateError) { try keep(at: moment, onlyRecords: false) } catch { throw .notKept(error) }
    }
}

extension ServiceError {
    /// What a client hears when something could not be kept.
    static func notKept(_ error: StateError) -> ServiceError {
        ServiceError("InternalFailure", "The request was not carried out: \(error)", status: 500)
    }
}
