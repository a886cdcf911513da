import Glibc
import Synchronization

/// Data on stdout, messages on stderr. A closed pipe ends the program quietly.
enum Output {
    static func print(_ line: String) { write(line + "\n", to: STDOUT_FILENO) }

    /// Text of several lines, whose last line break is ours.
    static func printBlock(_ text: String) {
        var scalars = text.unicodeScalars
        while let last = scalars.last, last == "\n" || last == "\r" { scalars.removeLast() }
        print(String(scalars))
    }

    static func error(_ line: String) { write(line + "\n", to: STDERR_FILENO) }

    static func exit(_ status: ExitStatus) -> Never { Glibc.exit(status.rawValue) }

    private static func write(_ text: String, to descriptor: Int32) {
        var text = text
        let failure = text.withUTF8 { bytes in
            writeAll(UnsafeRawBufferPointer(bytes), to: descriptor)
        }
        // Whoever read our output is gone: there is nobody left to tell.
        if failure == EPIPE { Glibc.exit(ExitStatus.done.rawValue) }
    }

    /// Writes everything; returns the `errno` of a failure.
    static func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Int32? {
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
            if count < 0 {
                if errno == EINTR { continue }
                return errno
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        return nil
    }

    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 && isatty(STDIN_FILENO) == 1 }
}

/// A file that lines are appended to, whole lines only: events, audits, recordings.
final class LineFile: Sendable {
    private let descriptor: Int32
    private let path: String
    private let seq = Mutex(0)

    /// Opens `path` for appending, readable by its owner only; `-` is stdout.
    init(_ path: String, truncating: Bool = false) throws {
        self.path = path
        if path == "-" {
            descriptor = STDOUT_FILENO
            return
        }
        descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (truncating ? O_TRUNC : O_APPEND), 0o600)
        guard descriptor >= 0 else { throw Failure("cannot write \(path): \(String(cString: strerror(errno)))") }
    }

    /// Appends the line that `make` builds from its number, from 1 on.
    func append(_ make: (_ seq: Int) -> String) throws {
        try seq.withLock { seq in
            seq += 1
            var line = make(seq) + "\n"
            let failure = line.withUTF8 { Output.writeAll(UnsafeRawBufferPointer($0), to: descriptor) }
            if failure == EPIPE, descriptor == STDOUT_FILENO { Output.exit(.done) }
            if let failure { throw Failure("cannot write \(path): \(String(cString: strerror(failure)))") }
        }
    }

    func append(_ line: String) throws { try append { _ in line } }

    /// Takes the lines of a recording. One that cannot be written is no reason to stop watching.
    var recorder: @Sendable ([String]) -> Void { { lines in for line in lines { try? self.append(line) } } }

    deinit {
        if descriptor != STDOUT_FILENO { close(descriptor) }
    }
}
