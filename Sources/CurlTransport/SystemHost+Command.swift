public import AWSWire
import CShardtopCurl
import Glibc
import Machine
import Synchronization

extension SystemHost {
    /// The command gets a session of its own, so that it can be ended with all that it started, and so that one which
    /// wants to ask something on the terminal fails with its own words instead of waiting behind the screen.
    public func run(
        _ arguments: [String], outputBytesMax: Int, timeout: Duration
    ) async throws(HostError) -> CommandOutput {
        let command = Command(
            arguments: arguments, environment: environment, outputBytesMax: outputBytesMax, timeout: timeout)
        return try await onThread { (isCancelled) throws(HostError) in try command.run(isCancelled) }
    }
}

/// Runs `body` on a thread of its own, since it blocks; it looks now and then whether the task was cancelled.
func onThread<R: Sendable>(
    _ body: @escaping @Sendable (_ isCancelled: () -> Bool) throws(HostError) -> R
) async throws(HostError) -> R {
    let flag = CancellationFlag()
    let result: Result<R, HostError> = await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
            let isStarted = startThread {
                do throws(HostError) {
                    continuation.resume(returning: .success(try body { flag.isSet }))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
            if !isStarted { continuation.resume(returning: .failure(HostError("the system gives no thread"))) }
        }
    } onCancel: {
        flag.set()
    }
    return try result.get()
}

private final class CancellationFlag: Sendable {
    private let value = Atomic(false)

    var isSet: Bool { value.load(ordering: .relaxed) }

    func set() { value.store(true, ordering: .relaxed) }
}

/// One run of a command, on a thread that blocks for it.
private struct Command: Sendable {
    var arguments: [String]
    var environment: [String: String]
    var outputBytesMax: Int
    var timeout: Duration

    /// glibc's POSIX_SPAWN_SETSID, which its headers show to GNU sources only.
    private static let newSession: Int32 = 0x80
    /// How long it may take to notice that the command ended without closing its output, or that nobody waits.
    private static let pause: Int32 = 20

    func run(_ isCancelled: () -> Bool) throws(HostError) -> CommandOutput {
        guard let program = arguments.first else { throw HostError("there is no command") }
        let output = try Pipe()
        defer { output.close() }
        let errors = try Pipe()
        defer { errors.close() }
        let child = try spawn(program, output.writing, errors.writing)
        output.closeWriting()
        errors.closeWriting()
        do throws(HostError) {
            return try collect(child, output.reading, errors.reading, isCancelled)
        } catch {
            // The session's group: the shell and whatever it started.
            kill(-child, SIGKILL)
            var status: Int32 = 0
            while waitpid(child, &status, 0) < 0, errno == EINTR {}
            throw error
        }
    }

    private func spawn(_ program: String, _ output: Int32, _ errors: Int32) throws(HostError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, errors, 2)
        shardtop_spawn_close_from(&actions, 3)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // This thread blocks all signals and others may ignore some; the command starts with neither.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var all = sigset_t()
        sigemptyset(&all)
        for signal in [
            SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM, SIGTERM, SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
            SIGWINCH,
        ] {
            sigaddset(&all, signal)
        }
        posix_spawnattr_setsigdefault(&attributes, &all)
        let flags = Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF) | Self.newSession
        posix_spawnattr_setflags(&attributes, Int16(flags))
        var child: pid_t = 0
        let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        let failure = Self.withCStrings(arguments) { arguments in
            Self.withCStrings(variables) { variables in
                posix_spawn(&child, program, &actions, &attributes, arguments, variables)
            }
        }
        guard failure == 0 else {
            throw HostError("\(program) cannot be run: \(String(cString: strerror(failure)))")
        }
        return child
    }

    private static func withCStrings<R>(
        _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
    ) -> R {
        var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        pointers.append(nil)
        return pointers.withUnsafeBufferPointer { body($0.baseAddress!) }
    }

    private func collect(
        _ child: pid_t, _ output: Int32, _ errors: Int32, _ isCancelled: () -> Bool
    ) throws(HostError) -> CommandOutput {
        let deadline = ContinuousClock.now + timeout
        var result = CommandOutput(status: 0)
        var waiting = [pollfd(fd: output, events: Int16(POLLIN), revents: 0)]
        waiting.append(pollfd(fd: errors, events: Int16(POLLIN), revents: 0))
        while true {
            if isCancelled() { throw HostError("cancelled") }
            guard ContinuousClock.now < deadline else {
                throw HostError("it did not end within \(timeout.components.seconds) s")
            }
            let ended = try Self.end(of: child)
            if ended == nil { poll(&waiting, nfds_t(waiting.count), Self.pause) }
            let isOutputOpen = Self.read(output, into: &result.output, bytesMax: outputBytesMax + 1)
            let isErrorsOpen = Self.read(errors, into: &result.errors, bytesMax: outputBytesMax)
            // A closed pipe is no longer waited for: poll passes over negative descriptors.
            if !isOutputOpen { waiting[0].fd = -1 }
            if !isErrorsOpen { waiting[1].fd = -1 }
            guard result.output.count <= outputBytesMax else {
                throw HostError("it wrote more than \(outputBytesMax) bytes")
            }
            if let ended {
                result.status = ended
                return result
            }
        }
    }

    /// The exit status as shells say it; `nil` while the command runs.
    private static func end(of child: pid_t) throws(HostError) -> Int? {
        var status: Int32 = 0
        let found = waitpid(child, &status, WNOHANG)
        if found == 0 || found < 0 && errno == EINTR { return nil }
        guard found == child else { throw HostError("its end was not seen") }
        let signal = status & 0x7F
        return Int(signal == 0 ? status >> 8 & 0xFF : 128 + signal)
    }

    /// Reads all there is, keeping at most `bytesMax`; false when the other end is closed.
    private static func read(_ file: Int32, into bytes: inout [UInt8], bytesMax: Int) -> Bool {
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        // A command that never stops writing must not keep us from the clock.
        for _ in 0..<64 {
            let count = Glibc.read(file, &chunk, chunk.count)
            if count == 0 { return false }
            if count < 0 { return errno == EAGAIN || errno == EINTR }
            bytes += chunk[..<min(count, max(0, bytesMax - bytes.count))]
        }
        return true
    }
}

/// Both ends of a pipe; what is read never blocks.
private final class Pipe {
    let reading: Int32
    private(set) var writing: Int32

    init() throws(HostError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw HostError("the system gives no pipe: \(String(cString: strerror(errno)))")
        }
        (reading, writing) = (ends[0], ends[1])
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(reading, F_SETFL, O_NONBLOCK)
    }

    func closeWriting() {
        if writing >= 0 { Glibc.close(writing) }
        writing = -1
    }

    func close() {
        closeWriting()
        Glibc.close(reading)
    }
}
