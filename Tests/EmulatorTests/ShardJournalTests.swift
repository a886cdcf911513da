import AWSWire
import Machine
import Testing

@testable import Emulator

/// A shard's records in files.
struct ShardJournalTests {
    private let files = MemoryFiles()

    private func directory(_ files: MemoryFiles? = nil) throws -> StateDirectory {
        try StateDirectory(files: files ?? self.files) { _ in }
    }

    private func append(_ texts: [String], to log: inout ShardLog, at milliseconds: Int64) {
        for text in texts {
            _ = log.append(data: Bytes(text), key: "key of \(text.prefix(9))", at: UnixTime(milliseconds: milliseconds))
        }
    }

    private func texts(_ log: ShardLog) -> [String] {
        log.runs(from: log.first).flatMap { run in
            let start = Int(run.entries.first?.offset ?? 0)
            return run.entries.map { entry in
                let offset = run.bytes.startIndex + Int(entry.offset) - start
                let data = run.bytes[offset..<offset + Int(entry.dataCount)]
                let key = run.bytes[offset + Int(entry.dataCount)..<offset + Int(entry.dataCount) + Int(entry.keyCount)]
                return String(decoding: data, as: UTF8.self) + "|" + String(decoding: key, as: UTF8.self)
            }
        }
    }

    /// What a new process finds in the files.
    private func reloaded(_ files: [String: [UInt8]]) throws -> (log: ShardLog, journal: ShardJournal) {
        let state = try directory(MemoryFiles(files))
        var firsts: [UInt64] = []
        for case .records(1, 0, let first) in state.found { firsts.append(first) }
        var log = ShardLog()
        let journal = try ShardJournal(stream: 1, shard: 0, firsts: firsts, from: state, into: &log)
        return (log, journal)
    }

    @Test func recordsComeBackWithTheirNumbersAndTimes() throws {
        let state = try directory()
        var log = ShardLog()
        var journal = ShardJournal(stream: 1, shard: 0)
        append(["a", "b"], to: &log, at: 1000)
        try journal.append(log, in: state)
        append(["", "long " + String(repeating: "x", count: 9000), "\"quoted\""], to: &log, at: 2000)
        try journal.append(log, in: state)
        let (found, after) = try reloaded(files.files)
        #expect(texts(found) == texts(log))
        #expect(found.end == 5 && found.lastArrival == 2000 && after.end == 5)
        #expect(found.ordinal(atOrAfter: UnixTime(milliseconds: 1500)) == 2)
        #expect(found.entry(4).isKeyEscaped && !found.entry(3).isKeyEscaped)
    }

    @Test func aWriteThatWasCutOffIsNoMoreThanThat() throws {
        let state = try directory()
        var log = ShardLog()
        var journal = ShardJournal(stream: 1, shard: 0)
        append(["a"], to: &log, at: 1000)
        try journal.append(log, in: state)
        let name = "records-1-0-0"
        let whole = try #require(files.files[name]?.count)
        let before = texts(log)
        append(["b", "c"], to: &log, at: 2000)
        try journal.append(log, in: state)
        let bytes = try #require(files.files[name])
        for count in 0..<bytes.count {
            var cut = files.files
            cut[name] = Array(bytes[..<count])
            var (found, after) = try reloaded(cut)
            #expect(texts(found) == (count < whole ? [] : before))
            append(["d"], to: &found, at: 3000)
            let left = MemoryFiles(cut)
            try after.append(found, in: try directory(left))
            #expect(try texts(reloaded(left.files).log) == texts(found))
        }
    }

    @Test func aFullDiskLeavesTheFileAsItWas() throws {
        let state = try directory()
        var log = ShardLog()
        var journal = ShardJournal(stream: 1, shard: 0)
        append(["a", "b"], to: &log, at: 1000)
        try journal.append(log, in: state)
        let before = texts(log)
        for room in [0, 5, 50] {
            files.room = room
            append(["c", "d"], to: &log, at: 2000)
            #expect(throws: StateError.self) { try journal.append(log, in: state) }
            log.takeBack(from: journal.end)
            #expect(texts(log) == before)
            #expect(try texts(reloaded(files.files).log) == before)
        }
        files.room = .max
        append(["e"], to: &log, at: 3000)
        try journal.append(log, in: state)
        #expect(try texts(reloaded(files.files).log) == texts(log))
        #expect(texts(log).count == 3)
    }

    @Test func recordsAreTakenBackAcrossChunks() {
        var log = ShardLog()
        for index in 0..<50 { append(["\(index)" + String(repeating: "y", count: 1000)], to: &log, at: Int64(index)) }
        let all = texts(log)
        for kept in [49, 30, 5, 0] {
            log.takeBack(from: UInt64(kept))
            #expect(texts(log) == Array(all[..<kept]))
            #expect(log.end == UInt64(kept))
        }
    }

    @Test func filesOfExpiredRecordsGoAndNumbersGoOn() throws {
        let state = try directory()
        var log = ShardLog()
        var journal = ShardJournal(stream: 1, shard: 0)
        journal.segmentBytesMax = 64 << 10
        let large = String(repeating: "z", count: 1 << 10)
        for index in 0..<70 {
            append([large], to: &log, at: Int64(index))
            try journal.append(log, in: state)
        }
        #expect(files.names(of: "records").count == 2)
        log.trim(before: UnixTime(milliseconds: 69))
        journal.trim(before: log.first, lastArrival: log.lastArrival, in: state)
        #expect(files.names(of: "records").count == 1)
        #expect(try reloaded(files.files).log.end == 70)
        log.trim(before: UnixTime(milliseconds: 1000))
        journal.trim(before: log.first, lastArrival: log.lastArrival, in: state)
        #expect(files.names(of: "records") == ["records-1-0-70"])
        var (found, after) = try reloaded(files.files)
        #expect(found.end == 70 && found.first == 70 && found.lastArrival == 69)
        append(["next"], to: &found, at: 2000)
        let left = MemoryFiles(files.files)
        try after.append(found, in: try directory(left))
        #expect(try reloaded(left.files).log.end == 71)
    }

    @Test func aFullDiskWhileRecordsExpireLeavesFilesThatCanBeRead() throws {
        for room in [0, 10, 30] {
            let files = MemoryFiles()
            let state = try directory(files)
            var log = ShardLog()
            var journal = ShardJournal(stream: 1, shard: 0)
            append(["a", "b"], to: &log, at: 1000)
            try journal.append(log, in: state)
            files.room = room
            log.trim(before: UnixTime(milliseconds: 5000))
            journal.trim(before: log.first, lastArrival: log.lastArrival, in: state)
            #expect(files.names(of: "records") == ["records-1-0-0"])
            files.room = .max
            append(["c"], to: &log, at: 6000)
            try journal.append(log, in: state)
            var (found, _) = try reloaded(files.files)
            found.trim(before: UnixTime(milliseconds: 5000))
            #expect(found.end == 3 && texts(found) == ["c|key of c"])
        }
    }

    @Test func aSegmentThatIsMissingIsNoticed() throws {
        let state = try directory()
        var log = ShardLog()
        var journal = ShardJournal(stream: 1, shard: 0)
        journal.segmentBytesMax = 64 << 10
        let large = String(repeating: "z", count: 40 << 10)
        for index in 0..<6 {
            append([large], to: &log, at: Int64(index))
            try journal.append(log, in: state)
        }
        var left = files.files
        #expect(left.removeValue(forKey: "records-1-0-2") != nil)
        #expect(throws: StateError.self) { try reloaded(left) }
    }
}
