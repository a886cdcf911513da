/// The machine around the program: what the environment and the files say, the commands that may be run on it, and
/// the person in front of it. A seam, so that tests and the simulation bring their own.
public protocol Host: Sendable {
    /// The environment, read once at the start.
    var environment: [String: String] { get }
    /// Where `~` points to; `nil` where the user has no home.
    var homeDirectory: String? { get }
    /// The whole file; `nil` where there is none. Throws where there is one that cannot be read or is too large.
    func readFile(_ path: String, bytesMax: Int) throws(HostError) -> [UInt8]?
    /// Puts a file that only the user can read in the place of `path`, whole or not at all; its directory exists.
    func writeFile(_ path: String, _ bytes: [UInt8]) throws(HostError)
    /// Runs a program to its end, with nothing to read and no terminal, and returns what it wrote.
    ///
    /// - Parameters:
    ///   - arguments: the path of the program and its arguments; no error names them, because they may hold secrets.
    ///   - outputBytesMax: of the output; more is an error. Of the error output as much is kept, from its start.
    ///   - timeout: after which it is killed, which is an error, with everything it started.
    func run(
        _ arguments: [String], outputBytesMax: Int, timeout: Duration
    ) async throws(HostError) -> CommandOutput
    /// Asks the person at the terminal, without showing what is typed; `nil` where there is no terminal.
    func prompt(_ question: String) async throws(HostError) -> String?
}

extension Host {
    /// The value of the variable `name`; `nil` where it is not set or empty, which means the same to AWS's tools.
    public func variable(_ name: String) -> String? {
        guard let value = environment[name], !value.isEmpty else { return nil }
        return value
    }

    /// Hosts that only read refuse.
    public func writeFile(_ path: String, _ bytes: [UInt8]) throws(HostError) {
        throw HostError("cannot write \(path): nothing is written here")
    }

    public func run(
        _ arguments: [String], outputBytesMax: Int, timeout: Duration
    ) async throws(HostError) -> CommandOutput {
        throw HostError("no commands are run here")
    }

    public func prompt(_ question: String) async throws(HostError) -> String? { nil }
}

/// What a command left behind. Reflection shows its exit status only: what it wrote may be secret.
public struct CommandOutput: Hashable, Sendable, CustomReflectable {
    /// The exit code; 128 and the signal's number where a signal ended it, as shells say it.
    public var status: Int
    public var output: [UInt8]
    public var errors: [UInt8]

    public init(status: Int, output: [UInt8] = [], errors: [UInt8] = []) {
        self.status = status
        self.output = output
        self.errors = errors
    }

    public var customMirror: Mirror { Mirror(self, children: ["status": status]) }
}

public struct HostError: Error, Hashable, CustomStringConvertible {
    public var message: String

    public init(_ message: String) { self.message = message }

    public var description: String { message }
}
