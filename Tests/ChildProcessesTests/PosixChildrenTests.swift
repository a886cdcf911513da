import AWSWire
import Glibc
import Machine
import MultiLang
import Synchronization
import Testing

@testable import ChildProcesses

/// The real clock, for what is only a bound here.
let realTime = TimeSource(
    now: {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Timestamp(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }, wallClock: { UnixTime(milliseconds: 0) },
    sleep: { until in
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        let now = Timestamp(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
        try await Task.sleep(for: until - now)
    })

let environment = ["PATH": "/usr/local/bin:/usr/bin:/bin"]

/// What a child says unasked, for whoever waits.
final class News: Sendable {
    private let state = Mutex(State())

    private struct State: Sendable {
        var errorOutput: [UInt8] = []
        var errorBytes = 0
        var exit: ChildExit?
        var waiting: [CheckedContinuation<ChildExit, Never>] = []
    }

    /// The end of it: tests of megabytes need no more.
    var errorOutput: String { state.withLock { String(decoding: $0.errorOutput.suffix(1000), as: UTF8.self) } }
    var errorBytes: Int { state.withLock { $0.errorBytes } }
    var exit: ChildExit? { state.withLock { $0.exit } }

    func take(_ news: ChildNews) {
        switch news {
        case .errorOutput(let piece):
            state.withLock { state in
                state.errorBytes += piece.count
                state.errorOutput = Array((state.errorOutput + piece.array).suffix(1000))
            }
        case .exited(let exit):
            let waiting = state.withLock { state in
                state.exit = exit
                defer { state.waiting = [] }
                return state.waiting
            }
            for one in waiting { one.resume(returning: exit) }
        }
    }

    func ended() async -> ChildExit {
        await withCheckedContinuation { continuation in
            let exit = state.withLock { state in
                if state.exit == nil { state.waiting.append(continuation) }
                return state.exit
            }
            if let exit { continuation.resume(returning: exit) }
        }
    }
}

func start(
    _ children: PosixChildren, _ arguments: [String], environment: [String: String] = environment
) async throws -> (any ChildProcess, News) {
    let news = News()
    let child = try await children.spawn(ChildCommand(arguments, environment: environment)) { news.take($0) }
    return (child, news)
}

extension ChildProcess {
    func readAll() async throws -> [UInt8] {
        var all: [UInt8] = []
        while let piece = try await read() { all += piece.array }
        return all
    }

    func readLine() async throws -> String {
        var all: [UInt8] = []
        while all.last != 0x0A, let piece = try await read() { all += piece.array }
        return String(decoding: all, as: UTF8.self)
    }
}

/// Whether a process is there and no zombie.
func isRunning(_ pid: Int32) -> Bool {
    guard let file = fopen("/proc/\(pid)/stat", "r") else { return false }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 1024)
    guard fgets(&line, 1024, file) != nil else { return false }
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return text.split(separator: ")").last?.split(separator: " ").first != "Z"
}

@Suite(.timeLimit(.minutes(2))) struct PosixChildrenTests {
    private let children = PosixChildren(time: realTime)

    @Test func `what is written comes back, and the end of the input ends the child`() async throws {
        let (child, news) = try await start(children, ["cat"])
        try await child.write(Array("hello\n".utf8))
        #expect(try await child.readLine() == "hello\n")
        #expect(isRunning(child.pid))
        #expect(child.usage() != nil)
        child.closeInput()
        #expect(try await child.read() == nil)
        #expect(await news.ended() == .exited(0))
        #expect(child.usage() == nil)
        child.signal(.kill)
    }

    @Test func `megabytes go both ways at once without a deadlock`() async throws {
        let (child, _) = try await start(children, ["cat"])
        let piece = [UInt8](repeating: 0x61, count: 1 << 20)
        let count = try await withThrowingTaskGroup(of: Int.self) { group in
            group.addTask {
                for _ in 0..<32 { try await child.write(piece) }
                child.closeInput()
                return 0
            }
            group.addTask {
                var count = 0
                while let piece = try await child.read() { count += piece.count }
                return count
            }
            return try await group.reduce(0, +)
        }
        #expect(count == 32 << 20)
    }

    @Test func `a child that never reads holds the write up, and closing ends the wait`() async throws {
        let (child, news) = try await start(children, ["sleep", "600"])
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                do {
                    try await child.write([UInt8](repeating: 0x61, count: 8 << 20))
                    return false
                } catch { return error is ChildError }
            }
            // A cancelled read changes nothing.
            group.addTask {
                await withTaskGroup(of: Bool.self) { inner in
                    inner.addTask {
                        do { return try await child.read() == nil } catch { return error is CancellationError }
                    }
                    inner.cancelAll()
                    return await inner.next() ?? false
                }
            }
            #expect(await group.next() == true)
            child.closeInput()
            #expect(await group.next() == true)
        }
        child.signal(.terminate)
        #expect(await news.ended() == .killed(SIGTERM))
    }

    @Test func `fifty megabytes on standard error pass while nobody reads anything else`() async throws {
        let (child, news) = try await start(
            children, ["sh", "-c", "head -c 52428800 /dev/zero >&2; echo last words >&2; exit 3"])
        #expect(await news.ended() == .exited(3))
        #expect(news.errorBytes == 52_428_800 + 11)
        #expect(news.errorOutput.hasSuffix("last words\n"))
        withExtendedLifetime(child) {}
    }

    @Test func `a child that exits at once leaves its words; writing to it is an error and no signal`() async throws {
        let (child, news) = try await start(children, ["sh", "-c", "echo out; echo err >&2; exit 7"])
        #expect(await news.ended() == .exited(7))
        #expect(news.errorOutput == "err\n")
        await #expect(throws: ChildError.self) { try await child.write([UInt8](repeating: 1, count: 1 << 20)) }
        #expect(try await child.readAll() == Array("out\n".utf8))
    }

    @Test func `a child that closes only its output is seen to`() async throws {
        let (child, news) = try await start(children, ["sh", "-c", "printf part; exec >&-; read line; exit 5"])
        #expect(try await child.readAll() == Array("part".utf8))
        #expect(news.exit == nil)
        try await child.write(Array("on\n".utf8))
        #expect(await news.ended() == .exited(5))
    }

    @Test(arguments: [
        (["shardtop-no-such-program"], "shardtop-no-such-program is not found in PATH"),
        (["/nowhere/app"], "/nowhere/app does not exist"),
        (["/etc/passwd"], "/etc/passwd is not executable: chmod +x makes it so"),
        (["/tmp"], "/tmp is not executable: chmod +x makes it so"), ([], "no program is named"),
        ([""], "no program is named"),
    ])
    func `a program that cannot be run is named with the reason`(arguments: [String], sentence: String) async throws {
        let error = await #expect(throws: ChildError.self) { try await start(children, arguments) }
        #expect(error?.description == sentence)
    }

    @Test func `a script without an interpreter line runs, one with a missing interpreter says so`() async throws {
        var template = Array("/tmp/shardtop-test-XXXXXX".utf8CString)
        let made = mkdtemp(&template)
        let directory = String(cString: try #require(made))
        defer {
            for name in ["plain", "bad"] { unlink("\(directory)/\(name)") }
            rmdir(directory)
        }
        for (name, text) in [("plain", "echo $1 $2\n"), ("bad", "#!/nowhere/interpreter\n")] {
            let file = try #require(fopen("\(directory)/\(name)", "w"))
            fputs(text, file)
            fclose(file)
            chmod("\(directory)/\(name)", 0o755)
        }
        let path = ["PATH": "/nowhere:\(directory)"]
        let (child, _) = try await start(children, ["plain", "a b", "c"], environment: path)
        #expect(try await child.readAll() == Array("a b c\n".utf8))
        let error = await #expect(throws: ChildError.self) { try await start(children, ["\(directory)/bad"]) }
        #expect(error?.description.hasSuffix("the interpreter in its first line is missing") == true)
    }

    @Test func `a child has a session of its own, three descriptors, signals as new, and dies with us`()
        async throws
    {
        let script = """
            import ctypes, os
            print(os.getsid(0) == os.getpid() == os.getpgid(0), sorted(map(int, os.listdir('/proc/self/fd')))[:4][:3])
            status = dict(l.split(':\\t') for l in open('/proc/self/status').read().splitlines() if ':\\t' in l)
            # Python itself ignores SIGPIPE and SIGXFSZ, and two signals are glibc's own.
            print(int(status['SigBlk'], 16), int(status['SigIgn'], 16) & ~0x181001000)
            death = ctypes.c_int()
            print(ctypes.CDLL(None).prctl(2, ctypes.byref(death)), death.value)
            print(len([f for f in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + f)]))
            print(sorted(k for k in os.environ if k != 'LC_CTYPE'))
            """
        let (child, _) = try await start(
            children, ["python3", "-c", script], environment: ["PATH": "/usr/bin:/bin:/usr/local/bin", "A": "b"])
        let text = String(decoding: try await child.readAll(), as: UTF8.self)
        #expect(text == "True [0, 1, 2]\n0 0\n0 9\n3\n['A', 'PATH']\n")
    }

    @Test func `killing takes everything that the child started, and so does its own end`() async throws {
        let (child, news) = try await start(children, ["sh", "-c", "sleep 600 & echo $!; wait"])
        let line = try await child.readLine()
        let grandchild = try #require(Int32(line.dropLast()))
        #expect(isRunning(grandchild))
        child.signal(.kill)
        #expect(await news.ended() == .killed(SIGKILL))
        // It held the pipe: its end is the pipe's.
        #expect(try await child.read() == nil)

        let (leaver, _) = try await start(children, ["sh", "-c", "sleep 600 & echo $!"])
        let abandoned = try #require(Int32(try await leaver.readLine().dropLast()))
        #expect(try await leaver.read() == nil)
        // The pipe is closed a moment before it is gone.
        while isRunning(abandoned) { await Task.yield() }
    }

    @Test func `an abandoned child is gone, and its calls fail`() async throws {
        let (child, news) = try await start(children, ["sleep", "600"])
        child.abandon()
        #expect(await news.ended() == .killed(SIGKILL))
        await #expect(throws: ChildError.self) { try await child.read() }
        await #expect(throws: ChildError.self) { try await child.write([1]) }
    }

    @Test func `a child whose handle is forgotten is gone`() async throws {
        let news = try await start(children, ["sleep", "600"]).1
        #expect(await news.ended() == .killed(SIGKILL))
    }

    @Test func `sixty-four children talk at once, and endAll leaves none, not even the stubborn`() async throws {
        let children = PosixChildren(time: realTime)
        var all: [any ChildProcess] = []
        for index in 0..<64 {
            let stubborn = "trap '' TERM; echo ready; while read line; do echo $line; done; sleep 600"
            let (child, _) = try await start(children, index % 16 == 0 ? ["sh", "-c", stubborn] : ["cat"])
            if index % 16 == 0 { #expect(try await child.readLine() == "ready\n") }
            all.append(child)
        }
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for (index, child) in all.enumerated() {
                group.addTask {
                    for round in 0..<20 {
                        try await child.write(Array("\(index) \(round)\n".utf8))
                        guard try await child.readLine() == "\(index) \(round)\n" else { return false }
                    }
                    return true
                }
            }
            for try await isRight in group { #expect(isRight) }
        }
        await children.endAll(grace: .milliseconds(200))
        #expect(all.allSatisfy { !isRunning($0.pid) && $0.usage() == nil })
    }

    @Test func `processor time and memory are read from the line of proc`() throws {
        let line =
            "12 (a) b (c) S 1 12 12 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 100 1000000 300 18446744073709551615"
        let usage = try #require(ChildUsage(stat: line, ticksPerSecond: 100, pageBytes: 4096))
        #expect(usage == ChildUsage(processorTime: .seconds(3), residentBytes: 300 * 4096))
        #expect(ChildUsage(stat: "12 (cat) S 1 2") == nil)
        #expect(ChildUsage(stat: "nonsense") == nil)
        #expect(ChildUsage(process: getpid()) != nil)
    }
}
