package import AWSWire

/// What is started as a child.
package struct ChildCommand: Hashable, Sendable {
    /// The program, looked up through PATH where it has no slash, and its arguments.
    package var arguments: [String]
    package var environment: [String: String]

    package init(_ arguments: [String], environment: [String: String]) {
        self.arguments = arguments
        self.environment = environment
    }
}

/// How a process ended.
package enum ChildExit: Hashable, Sendable, CustomStringConvertible {
    case exited(Int32)
    case killed(Int32)

    package var description: String {
        switch self {
        case .exited(let status): "exited with status \(status)"
        case .killed(let signal): "was ended by signal \(signal)"
        }
    }
}

package enum ChildSignal: Hashable, Sendable {
    case terminate
    case kill
}

/// What a child does unasked.
package enum ChildNews: Sendable {
    /// A piece of its standard error.
    case errorOutput(Bytes)
    /// The last news. What it had written to standard error came before; standard output may still hold something.
    case exited(ChildExit)
}

/// Something that a child or the system did not do; the text is for people.
package struct ChildError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}

/// What the system says that a process uses.
package struct ChildUsage: Hashable, Sendable {
    package var processorTime: Duration
    package var residentBytes: Int

    package init(processorTime: Duration, residentBytes: Int) {
        self.processorTime = processorTime
        self.residentBytes = residentBytes
    }
}

/// A child with pipes at its standard input, output and error.
package protocol ChildProcess: Sendable {
    var pid: Int32 { get }

    /// Returns once the pipe has taken all of `piece`; one call at a time. Throws `ChildError` where nobody reads
    /// any more, or the input was closed here, and `CancellationError` with an unknown part of it written.
    func write(_ piece: [UInt8]) async throws
    /// The next piece of standard output, nil at its end; one call at a time. A cancelled call throws
    /// `CancellationError` and loses nothing.
    func read() async throws -> Bytes?
    /// Closes the child's standard input; a write that waits fails.
    func closeInput()
    /// Signals the child and everything that it started in its process group; nothing once it ended.
    func signal(_ signal: ChildSignal)
    /// Kills what still runs, and gives up the pipes. Calls that wait fail.
    func abandon()
    /// Nil once it ended, or where nobody knows.
    func usage() -> ChildUsage?
}

/// The door to the system's processes.
package protocol ChildSpawner: Sendable {
    /// Starts a child. `news` is called in order and one at a time, not from the caller's task; it must not wait.
    /// Throws `ChildError` with a sentence where the program cannot be run.
    func spawn(
        _ command: ChildCommand, news: @escaping @Sendable (ChildNews) -> Void
    ) async throws -> any ChildProcess
    /// Ends every child: SIGTERM, and SIGKILL for those that are left after `grace`. Afterwards all are gone.
    func endAll(grace: Duration) async
}
