import AWSWire
import Machine
import Synchronization

extension KinesisService {
    /// Reads the streams that the state directory holds.
    func restore() throws(StateError) {
        guard let state else { return }
        let moment = moment
        try restoreAccount(from: state)
        var files: [UInt64: [Int: [UInt64]]] = [:]
        for case .records(let stream, let shard, let first) in state.found {
            files[stream, default: [:]][shard, default: []].append(first)
        }
        var latest: [String: KinesisStream] = [:]
        for case .stream(let id) in state.found {
            guard var stream = try load(id, files.removeValue(forKey: id) ?? [:], from: state, at: moment) else {
                continue
            }
            stream.settle(at: moment)
            // The process ended before the files of an earlier stream of this name were gone.
            if var other = latest[stream.name], other.created > stream.created {
                swap(&other, &stream)
                other.journal?.remove()
            } else {
                latest[stream.name]?.journal?.remove()
            }
            latest[stream.name] = stream
        }
        // Records of streams that are gone.
        for (id, shards) in files.sorted(by: { $0.key < $1.key }) { discard(id, shards, in: state) }
        for (_, stream) in latest.sorted(by: { $0.key < $1.key }) {
            var stream = stream
            if stream.status == .deleted { stream.journal?.remove() } else { restore(stream) }
        }
    }

    private func restoreAccount(from state: StateDirectory) throws(StateError) {
        guard state.found.contains(.account) else { return }
        var reader = try state.reader(.account, .account)
        guard let payload = try reader.next(), let tree = try? JSON.decode(payload.slice(1..<payload.count)),
            let settings = AccountSettings(stored: tree)
        else { throw state.damaged(StateName.account.text, at: reader.offset) }
        accountSettings.withLock { $0 = settings }
    }

    /// Keeps what is set for the account.
    func keep(_ settings: AccountSettings) throws(ServiceError) {
        guard let state else { return }
        var frames = FrameBuffer(header: .account)
        frames.frame(1) { $0 += JSON.encode(settings.stored) }
        do throws(StateError) { try state.replace(.account, with: frames.bytes) } catch { throw .notKept(error) }
    }

    private func discard(_ id: UInt64, _ shards: [Int: [UInt64]], in state: StateDirectory) {
        for (shard, firsts) in shards.sorted(by: { $0.key < $1.key }) {
            for first in firsts { state.discard(.records(stream: id, shard: shard, first: first)) }
        }
    }

    /// `nil` where the process ended before the stream was made.
    private func load(
        _ id: UInt64, _ files: [Int: [UInt64]], from state: StateDirectory, at moment: Moment
    ) throws(StateError) -> KinesisStream? {
        let name = StateName.stream(id)
        var reader = try state.reader(name, .stream)
        guard let payload = try reader.next() else {
            try state.check(reader, name.text)
            state.discard(name)
            discard(id, files, in: state)
            return nil
        }
        let definition = payload.slice(1..<payload.count)
        guard let tree = try? JSON.decode(definition),
            var stream = KinesisStream(stored: tree, configuration: configuration, at: moment)
        else { throw state.damaged(name.text, at: StateFormat.headerCount) }
        var files = files
        var shards: [Int: ShardJournal] = [:]
        for position in stream.shards.indices {
            let index = stream.shards[position].index
            guard let firsts = files.removeValue(forKey: index) else { continue }
            shards[index] = try ShardJournal(
                stream: id, shard: index, firsts: firsts, from: state, into: &stream.shards[position].log)
        }
        // Of shards that expired.
        discard(id, files, in: state)
        stream.journal = StreamJournal(in: state, id: id, definition: definition.array, shards: shards)
        return stream
    }
}
