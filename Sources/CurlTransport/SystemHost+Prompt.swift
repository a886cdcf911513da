public import AWSWire
import Glibc

extension SystemHost {
    /// Asks on the terminal that controls the program, whatever its input and output are; nobody there is no terminal.
    public func prompt(_ question: String) async throws(HostError) -> String? {
        try await onThread { (isCancelled) throws(HostError) in
            let terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)
            guard terminal >= 0 else { return nil }
            defer { close(terminal) }
            return try Self.ask(question, on: terminal, isCancelled)
        }
    }

    private static let answerBytesMax = 256
    private static let patience = Duration.seconds(120)

    /// Writes the question and reads a line without showing it. Control-C and Control-D give up, since the terminal
    /// sends no signal while it is read this way; it is left as it was in any case.
    static func ask(
        _ question: String, on terminal: Int32, _ isCancelled: () -> Bool
    ) throws(HostError) -> String? {
        var before = termios()
        guard tcgetattr(terminal, &before) == 0 else { return nil }
        var silent = before
        silent.c_lflag &= ~tcflag_t(ECHO | ICANON | ISIG)
        // What was typed before the question is no answer to it.
        guard tcsetattr(terminal, TCSAFLUSH, &silent) == 0 else { return nil }
        defer {
            tcsetattr(terminal, TCSAFLUSH, &before)
            write("\n", to: terminal)
        }
        write(question, to: terminal)
        let deadline = ContinuousClock.now + patience
        var answer: [UInt8] = []
        while true {
            if isCancelled() { throw HostError("cancelled") }
            guard ContinuousClock.now < deadline else { throw HostError("nobody answered at the terminal") }
            var waiting = pollfd(fd: terminal, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, 50) > 0 else { continue }
            var byte: UInt8 = 0
            let count = read(terminal, &byte, 1)
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            // In the background the terminal may not be read, and a closed one is nobody's.
            guard count == 1 else { return nil }
            switch byte {
            case 0x0A, 0x0D: return String(decoding: answer, as: UTF8.self)
            case 0x03, 0x04: throw HostError("the question at the terminal was not answered")
            case 0x08, 0x7F: _ = answer.popLast()
            default: if answer.count < answerBytesMax { answer.append(byte) }
            }
        }
    }

    private static func write(_ text: String, to file: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if count > 0 { rest = rest.dropFirst(count) } else if count == 0 || errno != EINTR { return }
        }
    }
}
