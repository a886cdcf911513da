import AWSWire
import Machine

/// What a segment's file has, frame by frame.
enum SegmentFrame: UInt8 {
    /// Always the first: the number of the first record that follows, and the arrival of the last one before it.
    case start = 1
    /// Records that were written at once: their entries, then all data and keys as they lie in the log.
    case records = 2
}

/// The files of one shard's records. Records are added to the last one; whole files go as their records expire.
struct ShardJournal: Sendable {
    /// A file larger than this is followed by another one.
    var segmentBytesMax = 64 << 20
    /// Arrival, data count, key count, escapes.
    static let entryBytes = 15

    private struct Segment: Sendable {
        var first: UInt64
        var file: JournalFile
    }

    let stream: UInt64
    let shard: Int
    private var segments: [Segment] = []
    /// The number of the first record that no file has.
    private(set) var end: UInt64 = 0

    init(stream: UInt64, shard: Int) {
        self.stream = stream
        self.shard = shard
    }

    private func name(_ first: UInt64) -> StateName { .records(stream: stream, shard: shard, first: first) }

    /// Adds the records of `log` that no file has yet. Where that fails none of them are added.
    mutating func append(_ log: ShardLog, in directory: StateDirectory) throws(StateError) {
        guard end < log.end else { return }
        var frames = FrameBuffer()
        if segments.isEmpty || segments[segments.count - 1].file.length > segmentBytesMax {
            if let last = segments.indices.last { segments[last].file.close() }
            let file = JournalFile(name: name(end).text)
            segments.append(Segment(first: end, file: file))
        }
        let last = segments.count - 1
        if segments[last].file.length == 0 {
            frames = FrameBuffer(header: .records)
            frames.start(at: segments[last].first, after: log.arrival(before: end))
        }
        for run in log.runs(from: end) { frames.append(run) }
        try directory.append(frames.bytes, to: &segments[last].file)
        end = log.end
    }

    /// Takes files away whose records are all before `first`. The number of the next record outlives the last of them.
    mutating func trim(before first: UInt64, lastArrival: Int64, in directory: StateDirectory) {
        while segments.count > 1, segments[1].first <= first {
            directory.discard(name(segments.removeFirst().first))
        }
        guard let only = segments.first, segments.count == 1, only.first < end, end <= first else { return }
        var frames = FrameBuffer(header: .records)
        frames.start(at: end, after: lastArrival)
        // Where the small one cannot be written as a whole the large one stays.
        guard (try? directory.replace(name(end), with: frames.bytes)) != nil else { return }
        let file = JournalFile(name: name(end).text, length: frames.bytes.count, isTorn: false)
        segments = [Segment(first: end, file: file)]
        directory.discard(name(only.first))
    }

    /// Takes all files away.
    mutating func remove(in directory: StateDirectory) {
        for segment in segments { directory.discard(name(segment.first)) }
        segments = []
    }

    /// Reads the records of a shard into a log.
    ///
    /// - Parameter firsts: the numbers that the shard's files begin with.
    init(
        stream: UInt64, shard: Int, firsts: [UInt64], from directory: StateDirectory, into log: inout ShardLog
    ) throws(StateError) {
        self.init(stream: stream, shard: shard)
        for first in firsts.sorted() {
            let isLast = first == firsts.max()
            let text = name(first).text
            var reader = try directory.reader(name(first), .records)
            var isStarted = false
            while let payload = try reader.next() {
                guard log.restore(payload, isFirst: !isStarted, of: first) else {
                    throw directory.damaged(text, at: reader.offset)
                }
                isStarted = true
            }
            guard isLast || reader.end == .whole else { throw directory.damaged(text, at: reader.offset) }
            try directory.check(reader, text)
            // Without its start a file says nothing: it is written from its beginning again.
            let length = isStarted ? reader.offset : 0
            if !isStarted, log.end == 0 { log = ShardLog(first: first, lastArrival: .min) }
            guard isStarted || log.end == first else { throw directory.damaged(text, at: 0) }
            let file = JournalFile(name: text, length: length, isTorn: reader.end != .whole || !isStarted)
            segments.append(Segment(first: first, file: file))
        }
        end = log.end
    }
}

extension FrameBuffer {
    fileprivate mutating func start(at first: UInt64, after arrival: Int64) {
        frame(SegmentFrame.start.rawValue) {
            $0.append(little: first)
            $0.append(little: arrival)
        }
    }

    fileprivate mutating func append(_ run: ShardLog.Run) {
        let entryBytes = run.entries.count * ShardJournal.entryBytes
        frame(SegmentFrame.records.rawValue, reserving: 4 + entryBytes + run.bytes.count) { out in
            out.append(little: UInt32(run.entries.count))
            for entry in run.entries {
                out.append(little: entry.arrival)
                out.append(little: entry.dataCount)
                out.append(little: entry.keyCount)
                out.append(entry.isKeyEscaped ? 1 : 0)
            }
            out.append(contentsOf: run.bytes)
        }
    }
}

extension ShardLog {
    /// Takes one frame of a segment in; false where it does not fit.
    fileprivate mutating func restore(_ payload: Bytes, isFirst: Bool, of segmentFirst: UInt64) -> Bool {
        switch (SegmentFrame(rawValue: payload[0]), isFirst) {
        case (.start, true):
            guard payload.count == 17 else { return false }
            let first = payload.little(at: 1, byteCount: 8)
            guard first == segmentFirst else { return false }
            if end == 0 {
                self = ShardLog(first: first, lastArrival: Int64(bitPattern: payload.little(at: 9, byteCount: 8)))
            }
            return end == first
        case (.records, false):
            guard payload.count >= 5 else { return false }
            let count = Int(payload.little(at: 1, byteCount: 4))
            let start = 5 + count * ShardJournal.entryBytes
            guard start <= payload.count else { return false }
            var entries: [Entry] = []
            entries.reserveCapacity(count)
            var offset = 0
            for index in 0..<count {
                let position = 5 + index * ShardJournal.entryBytes
                let entry = Entry(
                    arrival: Int64(bitPattern: payload.little(at: position, byteCount: 8)), offset: UInt32(offset),
                    dataCount: UInt32(payload.little(at: position + 8, byteCount: 4)),
                    keyCount: UInt16(payload.little(at: position + 12, byteCount: 2)),
                    isKeyEscaped: payload[position + 14] != 0)
                offset += Int(entry.dataCount) + Int(entry.keyCount)
                guard offset <= payload.count - start else { return false }
                entries.append(entry)
            }
            guard offset == payload.count - start else { return false }
            payload.slice(start..<payload.count).withUnsafeBytes { append(entries, $0) }
            return true
        default: return false
        }
    }
}
