import AWSWire
import Glibc
import Synchronization
import Testing

@testable import Emulator

/// The directory as a whole: whose it is, and who may use it.
struct StateDirectoryTests {
    private func refusal(_ files: MemoryFiles) -> String? {
        do throws(StateError) {
            _ = try StateDirectory(files: files) { _ in }
            return nil
        } catch {
            return error.description
        }
    }

    @Test func anEmptyDirectoryIsTakenAndKnownAgain() throws {
        let files = MemoryFiles()
        _ = try StateDirectory(files: files) { _ in }
        #expect(files.files["version"] == Array("shardtop emulate 1\n".utf8))
        #expect(refusal(MemoryFiles(files.files)) == nil)
    }

    @Test func aDirectoryInUseIsRefused() throws {
        let files = MemoryFiles()
        _ = try StateDirectory(files: files) { _ in }
        #expect(refusal(files) == "in use")
    }

    @Test func whatIsWrittenBeforeTheLockIsFreeIsFound() throws {
        let files = MemoryFiles()
        files.disk.withLock { $0.late = ["version": Array("shardtop emulate 1\n".utf8), "stream-3": []] }
        let state = try StateDirectory(files: files) { _ in }
        #expect(state.found == [.stream(3)])
        #expect(state.makeID() == 4)
    }

    @Test func aDirectoryOfSomebodyElsesIsRefusedAndLeftAsItIs() {
        let files = MemoryFiles(["thesis.tex": [1, 2, 3]])
        #expect(
            refusal(files)
                == "memory holds files that are not an emulator's; name an empty or a new directory")
        #expect(files.files == ["thesis.tex": [1, 2, 3]])
    }

    @Test func aForeignFileAmongOursIsRefused() {
        let files = MemoryFiles(["version": Array("shardtop emulate 1\n".utf8), "stream-01": []])
        #expect(
            refusal(files) == "memory/stream-01 is not an emulator's file; take it away or name another directory")
    }

    @Test func aNewerVersionIsRefused() {
        let files = MemoryFiles(["version": Array("shardtop emulate 2\n".utf8)])
        #expect(refusal(files) == "memory was written by a newer shardtop (format 2, this one reads 1)")
    }

    @Test func aFileOfANewerVersionIsRefused() throws {
        var header = StateFormat.header(.table)
        header[12] = 9
        let files = MemoryFiles(["version": Array("shardtop emulate 1\n".utf8), "table-1-1": header])
        let state = try StateDirectory(files: files) { _ in }
        #expect(
            throws: StateError("memory/table-1-1 was written by a newer shardtop (format 9, this one reads 1)")
        ) { try state.reader(.table(1, generation: 1), .table) }
    }

    @Test func whatWasBeingWrittenWhenTheProcessEndedIsTakenAway() throws {
        let files = MemoryFiles(["version": Array("shardtop emulate 1\n".utf8), "stream-4.new": [1]])
        let state = try StateDirectory(files: files) { _ in }
        #expect(files.files["stream-4.new"] == nil)
        #expect(state.found.isEmpty)
    }

    @Test(arguments: [
        StateName.stream(7), .records(stream: 7, shard: 12, first: 99), .table(3, generation: 2), .transactions,
        .account,
    ])
    func aFilesNameIsReadAsItIsWritten(name: StateName) { #expect(StateName(name.text) == name) }

    @Test func filesAreReadableByTheirOwnerAlone() throws {
        var template = Array("/tmp/shardtop-state-XXXXXX".utf8CString)
        let base = String(cString: try #require(mkdtemp(&template)))
        let path = base + "/state"
        var state: StateDirectory? = try StateDirectory(path: path) { _ in }
        try state?.replace(.stream(1), with: StateFormat.header(.stream))
        func mode(_ path: String) -> mode_t {
            var status = stat()
            return stat(path, &status) == 0 ? status.st_mode & 0o777 : 0
        }
        #expect(mode(path) == 0o700)
        #expect(mode(path + "/stream-1") == 0o600)
        #expect(mode(path + "/version") == 0o600)
        #expect(throws: StateError("\(path) is in use by another emulator")) {
            try StateDirectory(path: path) { _ in }
        }
        state = nil
        #expect(try StateDirectory(path: path) { _ in }.found == [.stream(1)])
        for name in ["stream-1", "version", "lock"] { unlink(path + "/" + name) }
        rmdir(path)
        rmdir(base)
    }
}

/// Items in bytes and back.
struct ItemEncodingTests {
    @Test func everyTypeComesBackAsItWas() {
        let item: Item = [
            "s": .s("grün"), "n": .n("-1.5"), "b": .b(Bytes([0, 255])), "yes": .bool(true), "no": .bool(false),
            "null": .null, "l": .l([.s(""), .m(["deep": .n("1")])]), "ss": .ss(["a", "b"]), "ns": .ns(["1"]),
            "bs": .bs([Bytes([1]), Bytes([])]), "long": .s(String(repeating: "x", count: 300)),
        ]
        var bytes: [UInt8] = []
        ItemEncoding.append(item, to: &bytes)
        var reader = ItemReader(Bytes(bytes))
        #expect(reader.item() == item)
        #expect(reader.isAtEnd)
    }

    @Test func bytesThatEndEarlyAreNoItem() {
        var bytes: [UInt8] = []
        ItemEncoding.append(["key": .s("value"), "list": .l([.n("1"), .n("2")])], to: &bytes)
        for count in 0..<bytes.count {
            var reader = ItemReader(Bytes(Array(bytes[..<count])))
            #expect(reader.item() == nil)
        }
    }
}
