import AWSWire
import CurlTransport
import Glibc
import Machine
import Testing

@Suite struct SystemTests {
    @Test func aSleeperWakesNotBeforeItsTime() async throws {
        let time = TimeSource.system
        let start = time.now()
        try await time.sleep(for: .milliseconds(20))
        #expect(time.now() - start >= .milliseconds(20))
        try await time.sleep(start)
        #expect(time.wallClock() > UnixTime(milliseconds: 1_700_000_000_000))
    }

    @Test func aCancelledSleeperThrowsAtOnce() async throws {
        let task = Task { try await TimeSource.system.sleep(.never) }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        let awake = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await TimeSource.system.sleep(.zero)
        }
        await #expect(throws: CancellationError.self) { try await awake.value }
    }

    @Test func aThreadHearsOfNoSignalButOfItsOwnCrash() async {
        let mask = await withCheckedContinuation { (continuation: CheckedContinuation<sigset_t, Never>) in
            let isStarted = startThread {
                var mask = sigset_t()
                pthread_sigmask(SIG_SETMASK, nil, &mask)
                continuation.resume(returning: mask)
            }
            #expect(isStarted)
        }
        withUnsafePointer(to: mask) { mask in
            for signal in [SIGPIPE, SIGTERM, SIGINT, SIGHUP, SIGWINCH] { #expect(sigismember(mask, signal) == 1) }
            for signal in [SIGSEGV, SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGTRAP] {
                #expect(sigismember(mask, signal) == 0)
            }
        }
    }

    @Test func filesAreReadWholeOrNotAtAll() throws {
        var name = Array("/tmp/shardtop-test-XXXXXX".utf8CString)
        let file = mkstemp(&name)
        defer { close(file) }
        let path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { unlink(path) }
        let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
        #expect(write(file, bytes, bytes.count) == bytes.count)
        let host = SystemHost()
        #expect(try host.readFile(path, bytesMax: 100_000) == bytes)
        #expect(throws: HostError.self) { try host.readFile(path, bytesMax: 99_999) }
        #expect(try host.readFile(path + ".none", bytesMax: 1) == nil)
        #expect(try host.readFile(path + "/none", bytesMax: 1) == nil)
        #expect(throws: HostError.self) { try host.readFile("/tmp", bytesMax: 1) }
        #expect(host.homeDirectory?.hasPrefix("/") == true)
        #expect(host.environment["PATH"]?.isEmpty == false)
    }
}
