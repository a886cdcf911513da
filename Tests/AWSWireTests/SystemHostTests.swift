import AWSWire
import Glibc
import Machine
import Synchronization
import Testing

@testable import CurlTransport

/// Real commands, real files, a real terminal.
@Suite struct SystemHostTests {
    static func run(
        _ line: String, outputBytesMax: Int = 64 << 10, timeout: Duration = .seconds(60)
    ) async throws -> CommandOutput {
        try await SystemHost().run(["/bin/sh", "-c", line], outputBytesMax: outputBytesMax, timeout: timeout)
    }

    @Test func aCommandsOutputErrorsAndStatusComeBack() async throws {
        let result = try await Self.run("echo out; echo err >&2; exit 3")
        #expect(result == CommandOutput(status: 3, output: Array("out\n".utf8), errors: Array("err\n".utf8)))
        #expect(try await Self.run("kill -9 $$").status == 137)
        // It has nothing to read, no terminal, and the environment.
        #expect(try await Self.run("cat").output.isEmpty)
        #expect(try await Self.run("(: < /dev/tty) 2>/dev/null && exit 1; exit 0").status == 0)
        #expect(try await Self.run("test -n \"$PATH\"").status == 0)
        var text = ""
        dump(result, to: &text)
        #expect(!text.contains("111"), "\(text)")
    }

    @Test func aCommandWithMuchToSayIsBounded() async throws {
        let fits = try await Self.run("head -c 65536 /dev/zero; head -c 200000 /dev/zero >&2")
        #expect(fits.output.count == 65536)
        #expect(fits.errors.count == 65536)
        await #expect(throws: HostError("it wrote more than 65536 bytes")) {
            try await Self.run("head -c 65537 /dev/zero")
        }
        await #expect(throws: HostError("it wrote more than 65536 bytes")) { try await Self.run("yes") }
    }

    @Test func aCommandThatHangsIsEndedWithWhatItStarted() async throws {
        // The sleeper holds the pipe of whoever reads it: the read ends only when the sleeper does.
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        let path = "/proc/\(getpid())/fd/\(ends[1])"
        await #expect(throws: HostError("it did not end within 0 s")) {
            try await Self.run("sleep 1000 > \(path) & sleep 1000", timeout: .milliseconds(300))
        }
        close(ends[1])
        var byte: UInt8 = 0
        #expect(read(ends[0], &byte, 1) == 0)
        close(ends[0])
    }

    @Test func aCommandEndsWhenNobodyWaitsForIt() async throws {
        let task = Task { try await Self.run("sleep 1000") }
        task.cancel()
        await #expect(throws: HostError("cancelled")) { try await task.value }
    }

    @Test func whatCannotBeRunSaysWhy() async throws {
        await #expect(throws: HostError("/none/such cannot be run: No such file or directory")) {
            try await SystemHost().run(["/none/such", "secret"], outputBytesMax: 1, timeout: .seconds(1))
        }
        await #expect(throws: HostError.self) {
            try await SystemHost().run([], outputBytesMax: 1, timeout: .seconds(1))
        }
        #expect(try await Self.run("/none/such").status == 127)
    }

    @Test func aCommandInheritsNothingThatIsOpenHere() async throws {
        let file = open("/dev/null", O_RDONLY)
        defer { close(file) }
        #expect(try await Self.run("test -e /proc/self/fd/\(file)").status == 1)
    }

    @Test func aDaemonLeftBehindDoesNotHoldUpItsStarter() async throws {
        #expect(try await Self.run("sleep 5 & echo done").output == Array("done\n".utf8))
    }

    @Test func filesAreWrittenWholeAndForTheUserOnly() throws {
        var name = Array("/tmp/shardtop-test-XXXXXX".utf8CString)
        #expect(mkdtemp(&name) != nil)
        let directory = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let path = directory + "/token.json"
        defer {
            unlink(path)
            rmdir(directory)
        }
        let host = SystemHost()
        for size in [10, 100_000, 0] {
            let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
            try host.writeFile(path, bytes)
            #expect(try host.readFile(path, bytesMax: 100_000) == bytes)
        }
        var info = stat()
        #expect(stat(path, &info) == 0)
        #expect(info.st_mode & 0o777 == 0o600)
        #expect(throws: HostError.self) { try host.writeFile(directory + "/none/x", [1]) }
        // Nothing else is left in the directory: it can be removed.
        unlink(path)
        #expect(rmdir(directory) == 0)
    }

    @Test func anAnswerIsReadFromATerminalWithoutShowingIt() async throws {
        var (main, terminal): (Int32, Int32) = (-1, -1)
        try #require(openpty(&main, &terminal, nil, nil, nil) == 0)
        let (near, far) = (main, terminal)
        defer {
            close(near)
            close(far)
        }
        for (typed, expected) in [("12x\u{7F}3456\r", "123456"), ("a\u{3}", nil), ("\n", "")] as [(String, String?)] {
            let answer = try? await onThread { (isCancelled) throws(HostError) in
                // The person sees the question, then types.
                let isStarted = startThread {
                    var byte: UInt8 = 0
                    while read(near, &byte, 1) == 1, byte != UInt8(ascii: ">") {}
                    _ = write(near, typed, typed.utf8.count)
                }
                #expect(isStarted)
                return try SystemHost.ask("code>", on: far, isCancelled)
            }
            #expect(answer == expected)
        }
        var settings = termios()
        #expect(tcgetattr(far, &settings) == 0)
        #expect(settings.c_lflag & tcflag_t(ECHO) != 0)
        // All that is left to see are line ends: nothing that was typed.
        _ = fcntl(near, F_SETFL, O_NONBLOCK)
        var shown = [UInt8](repeating: 0, count: 1000)
        let count = read(near, &shown, shown.count)
        #expect(shown.prefix(max(0, count)).allSatisfy { $0 == 0x0D || $0 == 0x0A })
    }

    @Test func thePersonWhoIsNotThereIsNoTerminal() throws {
        let file = open("/dev/null", O_RDWR)
        defer { close(file) }
        #expect(try SystemHost.ask("?", on: file) { false } == nil)
    }

    @Test func theEnvironmentIsNotReflected() {
        var text = ""
        dump(SystemHost(), to: &text)
        #expect(!text.contains("PATH"))
    }
}
