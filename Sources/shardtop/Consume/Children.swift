import AWSWire
import ChildProcesses
import CurlTransport
import Glibc
import Machine
import MultiLang
import Synchronization

/// The children of a `consume`: one process for each shard, what they write, and the protocol for whoever looks.
final class Children: Sendable {
    let application: MultiLangApplication
    private let log: ChildLog

    /// - Parameters:
    ///   - trace: a directory that gets the protocol, a file for each shard.
    ///   - onFailure: a child of a shard failed, with the reason.
    init(
        _ daemon: DaemonConfiguration, host: SystemHost, time: TimeSource, trace: String?, withData: Bool,
        onLine: @escaping @Sendable (_ shardID: String, _ line: String) -> Void,
        onFailure: @escaping @Sendable (_ shardID: String, _ reason: String) -> Void
    ) throws {
        var limits = ChildLimits()
        limits.responseTimeout = daemon.child.answerTimeout
        if let after = daemon.logWarningForTaskAfter { limits.warnAfter = after }
        let log = ChildLog(try trace.map { try TraceDirectory($0, time: time) })
        self.log = log
        application = MultiLangApplication(
            command: ChildCommand(daemon.child.arguments, environment: host.environment), limits: limits,
            spawner: PosixChildren(time: time), time: time,
            observer: ChildObserver(
                onLine: onLine, onWarning: { onLine($0, $1) }, onTrace: { log.note($0) }, traceHasData: withData,
                isTraced: { log.wants($0) }),
            onFailure: onFailure)
    }

    /// Shows the protocol of one shard from now on; `nil` for none.
    func follow(_ shardID: String?, _ listener: @escaping @Sendable (ChildTrace) -> Void) {
        log.follow(shardID, listener)
    }

    /// Every child is gone afterwards.
    func end() async { await application.endAll() }
}

/// Where the lines of the protocol go.
private final class ChildLog: Sendable {
    private let directory: TraceDirectory?
    private let followed = Mutex<(shardID: String, listener: @Sendable (ChildTrace) -> Void)?>(nil)

    init(_ directory: TraceDirectory?) { self.directory = directory }

    func follow(_ shardID: String?, _ listener: @escaping @Sendable (ChildTrace) -> Void) {
        followed.withLock { $0 = shardID.map { ($0, listener) } }
    }

    func wants(_ shardID: String) -> Bool {
        directory != nil || followed.withLock { $0?.shardID == shardID }
    }

    func note(_ trace: ChildTrace) {
        directory?.note(trace)
        if let followed = followed.withLock({ $0 }), followed.shardID == trace.shardID { followed.listener(trace) }
    }
}

/// The protocol in files that only their owner reads, one for each shard.
private final class TraceDirectory: Sendable {
    private let path: String
    private let time: TimeSource
    private let files = Mutex<[String: LineFile]>([:])

    init(_ path: String, time: TimeSource) throws {
        self.path = path
        self.time = time
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw Failure("--trace \(path): \(String(cString: strerror(errno)))", status: .usage)
        }
        guard access(path, W_OK | X_OK) == 0 else {
            throw Failure("--trace \(path): \(String(cString: strerror(errno)))", status: .usage)
        }
    }

    func note(_ trace: ChildTrace) {
        let line = JSON.text(
            .members([
                "at": .string(CivilTime(time.wallClock()).iso8601), "shardId": .string(trace.shardID),
                "pid": .int(Int64(trace.pid)), "direction": .string(trace.direction.rawValue),
                "line": .string(trace.line),
            ]))
        let file = files.withLock { files -> LineFile? in
            if let file = files[trace.shardID] { return file }
            // Shard ids come from the service; as names of files they must stay in the directory.
            let name = trace.shardID.map { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" ? $0 : "_" }
            guard let file = try? LineFile("\(path)/\(String(name)).ndjson") else { return nil }
            files[trace.shardID] = file
            return file
        }
        try? file?.append(line)
    }
}
