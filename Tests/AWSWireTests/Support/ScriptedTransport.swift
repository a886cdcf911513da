import AWSWire
import Synchronization

/// Answers each request by a closure, which also gets the number of the request, from 1.
final class ScriptedTransport: Transport {
    private let log = Mutex<[Request]>([])
    private let answer: @Sendable (Request, Int) async throws(TransportError) -> Response

    init(_ answer: @escaping @Sendable (Request, Int) async throws(TransportError) -> Response) {
        self.answer = answer
    }

    /// Gives one answer after the other, the last one for ever.
    convenience init(_ answers: [Result<Response, TransportError>]) {
        self.init { (_, number) throws(TransportError) in try answers[min(number, answers.count) - 1].get() }
    }

    var requests: [Request] { log.withLock { $0 } }

    func send(_ request: Request) async throws(TransportError) -> Response {
        let number = log.withLock { log in
            log.append(request)
            return log.count
        }
        return try await answer(request, number)
    }
}

extension Response {
    static func json(_ text: String, status: Int = 200, headers: [Header] = []) -> Response {
        Response(status: status, headers: headers, body: Bytes(text))
    }
}

/// An environment and files as a test writes them, commands that print what it says, and a person who types it.
struct ScriptedHost: Host {
    var environment: [String: String] = [:]
    var files: [String: String] = [:]
    var homeDirectory: String? = "/home/me"
    var command: @Sendable ([String]) throws(HostError) -> CommandOutput = { (_) throws(HostError) in
        throw HostError("no commands are run here")
    }
    /// What is typed at the terminal; without it there is no terminal.
    var typed: String?
    var refusesWrites = false
    let log = Log()

    /// What was asked of the host.
    final class Log: Sendable {
        let written = Mutex<[String: String]>([:])
        let questions = Mutex<[String]>([])
        let commands = Mutex<[[String]]>([])
    }

    func readFile(_ path: String, bytesMax: Int) throws(HostError) -> [UInt8]? {
        if path.hasSuffix("/unreadable") { throw HostError("cannot read \(path): Permission denied") }
        return (log.written.withLock { $0[path] } ?? files[path]).map { Array($0.utf8) }
    }

    func writeFile(_ path: String, _ bytes: [UInt8]) throws(HostError) {
        if refusesWrites { throw HostError("cannot write \(path): Read-only file system") }
        log.written.withLock { $0[path] = String(decoding: bytes, as: UTF8.self) }
    }

    func run(
        _ arguments: [String], outputBytesMax: Int, timeout: Duration
    ) async throws(HostError) -> CommandOutput {
        log.commands.withLock { $0.append(arguments) }
        return try command(arguments)
    }

    func prompt(_ question: String) async throws(HostError) -> String? {
        log.questions.withLock { $0.append(question) }
        return typed
    }
}
