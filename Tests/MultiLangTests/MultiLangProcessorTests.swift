import AWSWire
import Leases
import Machine
import OrderedCollections
import Synchronization
import Testing

@testable import KinesisConsumer
@testable import MultiLang

/// A child of a few lines of Swift: it answers each line that it reads.
final class ScriptedChild: ChildProcess {
    let pid: Int32 = 4711
    private let script: @Sendable (String) -> [Say]
    private let news: @Sendable (ChildNews) -> Void
    private let state = Mutex(State())

    enum Say: Sendable {
        case line(String)
        case error(String)
        case exit(Int32)
    }

    private struct State: Sendable {
        var lines = ProtocolLines(bytesMax: 1 << 24, excess: .drop)
        var heard: [String] = []
        var output: [Bytes] = []
        var isOver = false
        var reader: CheckedContinuation<Bytes?, any Error>?
        var signals: [ChildSignal] = []
        var isAbandoned = false
    }

    init(_ news: @escaping @Sendable (ChildNews) -> Void, _ script: @escaping @Sendable (String) -> [Say]) {
        self.news = news
        self.script = script
    }

    var heard: [String] { state.withLock { $0.heard } }
    var signals: [ChildSignal] { state.withLock { $0.signals } }
    var isAbandoned: Bool { state.withLock { $0.isAbandoned } }

    private func say(_ what: Say) {
        switch what {
        case .line(let line):
            let reader = state.withLock { state in
                let reader = state.reader
                state.reader = nil
                if reader == nil { state.output.append(Bytes(line + "\n")) }
                return reader
            }
            reader?.resume(returning: Bytes(line + "\n"))
        case .error(let text): news(.errorOutput(Bytes(text)))
        case .exit(let status):
            let (reader, isFirst) = state.withLock { state in
                let result = (state.reader, !state.isOver)
                state.reader = nil
                state.isOver = true
                return result
            }
            guard isFirst else { return }
            news(.exited(.exited(status)))
            reader?.resume(returning: nil)
        }
    }

    func write(_ piece: [UInt8]) async throws {
        let lines = try state.withLock { state in
            guard !state.isOver else { throw ChildError("Broken pipe") }
            return state.lines.append(Bytes(piece))
        }
        for case .text(let line) in lines {
            state.withLock { $0.heard.append(line.text) }
            script(line.text).forEach(say)
        }
    }

    func read() async throws -> Bytes? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let ready: Result<Bytes?, any Error>? = state.withLock { state in
                    if !state.output.isEmpty { return .success(state.output.removeFirst()) }
                    if state.isOver { return .success(nil) }
                    if Task.isCancelled { return .failure(CancellationError()) }
                    state.reader = continuation
                    return nil
                }
                if let ready { continuation.resume(with: ready) }
            }
        } onCancel: {
            let reader = state.withLock { state in
                defer { state.reader = nil }
                return state.reader
            }
            reader?.resume(throwing: CancellationError())
        }
    }

    func closeInput() { script("EOF").forEach(say) }
    func signal(_ signal: ChildSignal) {
        state.withLock { $0.signals.append(signal) }
        if signal == .kill { say(.exit(9)) }
    }
    func abandon() {
        state.withLock { $0.isAbandoned = true }
        say(.exit(9))
    }
    func usage() -> ChildUsage? { nil }
}

/// Starts the same script each time.
final class ScriptedChildren: ChildSpawner {
    private let script: @Sendable (String) -> [ScriptedChild.Say]
    private let started = Mutex<[ScriptedChild]>([])

    init(_ script: @escaping @Sendable (String) -> [ScriptedChild.Say]) { self.script = script }

    var children: [ScriptedChild] { started.withLock { $0 } }

    func spawn(
        _ command: ChildCommand, news: @escaping @Sendable (ChildNews) -> Void
    ) async throws -> any ChildProcess {
        guard command.arguments.first != "missing" else { throw ChildError("missing is not found in PATH") }
        let child = ScriptedChild(news, script)
        started.withLock { $0.append(child) }
        return child
    }

    func endAll(grace: Duration) async { for child in children { child.abandon() } }
}

/// Answers as a good child does; `extra` says something before the status.
func obedient(
    _ line: String, extra: [String: [ScriptedChild.Say]] = [:], exitsAtEnd: Bool = true
) -> [ScriptedChild.Say] {
    if line == "EOF" { return exitsAtEnd ? [.exit(0)] : [] }
    guard case .map(let members)? = try? JSON.decode(Bytes(line)), case .string(let action)? = members["action"]
    else { return [.exit(99)] }
    if action == "checkpoint" { return [] }
    return (extra[action] ?? []) + [.line(""), .line(#"{"action":"status","responseFor":"\#(action)"}"#)]
}

/// A clock that stands; who sleeps does so until cancelled.
let standing = TimeSource(
    now: { .zero }, wallClock: { UnixTime(milliseconds: 0) },
    sleep: { _ in
        let (stream, _) = AsyncStream.makeStream(of: Void.self)
        for await _ in stream {}
        throw CancellationError()
    })

/// A clock that jumps to where the first sleeper wants it.
private func jumping() -> TimeSource {
    let now = SharedTime()
    return TimeSource(
        now: { now.value.withLock { $0 } }, wallClock: { UnixTime(milliseconds: 0) },
        sleep: { until in now.value.withLock { $0 = max($0, until) } })
}

private final class SharedTime: Sendable {
    let value = Mutex(Timestamp.zero)
}

/// Keeps what is said to it.
private final class Kept<Value: Sendable>: Sendable {
    private let kept = Mutex<[Value]>([])
    var values: [Value] { kept.withLock { $0 } }
    func append(_ value: Value) { kept.withLock { $0.append(value) } }
}

private func number(_ value: UInt128) -> Checkpoint { Checkpoint(.sequenceNumber(SequenceNumber(high: 0, low: value))) }

private func record(_ value: UInt128) -> Record {
    Record(sequenceNumber: SequenceNumber(high: 0, low: value), partitionKey: Bytes("k"), data: Bytes("d"))
}

@Suite struct MultiLangProcessorTests {
    private let asked = Kept<CheckpointRequest>()

    private func checkpointer(_ error: CheckpointError? = nil) -> Checkpointer {
        Checkpointer(shardID: "s1") { [asked] request in
            asked.append(request)
            return error.map { .failure($0) } ?? .success(number(1))
        }
    }

    private func processor(
        _ spawner: ScriptedChildren, time: TimeSource = standing, observer: ChildObserver = ChildObserver(),
        limits: ChildLimits = ChildLimits(), program: String = "app"
    ) -> MultiLangProcessor {
        MultiLangProcessor(
            shardID: "s1", command: ChildCommand([program], environment: [:]), limits: limits, spawner: spawner,
            time: time, observer: observer)
    }

    private func batch(_ records: Record..., checkpointer: Checkpointer) -> ProcessRecordsInput {
        ProcessRecordsInput(shardID: "s1", records: records, millisBehindLatest: 7, checkpointer: checkpointer)
    }

    private let beginning = InitializationInput(shardID: "s1", checkpoint: .trimHorizon)

    @Test func `a tenure from initialize to leaseLost is told to one child, which then ends`() async throws {
        let children = ScriptedChildren { obedient($0) }
        let processor = processor(children)
        try await processor.initialize(beginning)
        try await processor.processRecords(batch(record(5), checkpointer: checkpointer()))
        try await processor.shutdownRequested(checkpointer())
        await processor.leaseLost()
        let child = try #require(children.children.first)
        #expect(children.children.count == 1)
        #expect(
            child.heard == [
                #"{"action":"initialize","shardId":"s1","sequenceNumber":"TRIM_HORIZON","subSequenceNumber":0}"#,
                #"{"action":"processRecords","records":[{"data":"ZA==","partitionKey":"k","sequenceNumber":"5","#
                    + #""approximateArrivalTimestamp":null,"subSequenceNumber":0,"action":"record"}],"#
                    + #""millisBehindLatest":7}"#,
                #"{"action":"shutdownRequested"}"#, #"{"action":"leaseLost"}"#,
            ])
        #expect(child.isAbandoned)
        #expect(processor.status?.state == .ended)
        #expect(processor.status?.bytesWritten == child.heard.reduce(0) { $0 + $1.utf8.count + 1 })
        // Nobody is there any more.
        await processor.leaseLost()
    }

    @Test func `checkpoints go to the checkpointer as they are meant, and the answers back`() async throws {
        let children = ScriptedChildren {
            obedient(
                $0,
                extra: [
                    "processRecords": [
                        .line(#"{"action":"checkpoint","sequenceNumber":null}"#),
                        .line(#"{"action":"checkpoint","sequenceNumber":"4"}"#),
                        .line(#"{"action":"checkpoint","sequenceNumber":"4","subSequenceNumber":2}"#),
                        .line(#"{"action":"checkpoint","sequenceNumber":"LATEST","subSequenceNumber":null}"#),
                    ]
                ])
        }
        let processor = processor(children)
        try await processor.initialize(beginning)
        try await processor.processRecords(batch(record(5), checkpointer: checkpointer()))
        let four = SequenceNumber(high: 0, low: 4)
        #expect(
            asked.values == [
                .commit(nil), .commit(number(4)),
                .commit(Checkpoint(.sequenceNumber(four), subSequenceNumber: 2)),
            ])
        let child = try #require(children.children.first)
        #expect(
            child.heard.suffix(4) == [
                #"{"action":"checkpoint","sequenceNumber":null,"subSequenceNumber":null,"error":null}"#,
                #"{"action":"checkpoint","sequenceNumber":"4","subSequenceNumber":null,"error":null}"#,
                #"{"action":"checkpoint","sequenceNumber":"4","subSequenceNumber":2,"error":null}"#,
                #"{"action":"checkpoint","sequenceNumber":"LATEST","subSequenceNumber":null,"#
                    + #""error":"IllegalArgumentException"}"#,
            ])
    }

    @Test(arguments: [
        (CheckpointError.shutdown, "ShutdownException"), (.throttling, "ThrottlingException"),
        (.invalidState("x"), "InvalidStateException"), (.dependency("x"), "KinesisClientLibDependencyException"),
        (.illegalArgument("x"), "IllegalArgumentException"),
    ])
    func `a refused checkpoint has the name of Java's exception`(error: CheckpointError, name: String) async throws {
        let children = ScriptedChildren {
            obedient($0, extra: ["processRecords": [.line(#"{"action":"checkpoint","sequenceNumber":"4"}"#)]])
        }
        let processor = processor(children)
        try await processor.initialize(beginning)
        try await processor.processRecords(batch(record(5), checkpointer: checkpointer(error)))
        #expect(children.children.first?.heard.last?.contains(#""error":"\#(name)""#) == true)
    }

    @Test(arguments: [nil, "SHARD_END", "5"])
    func `after SHARD_END is stored the child is let go`(asks sequenceNumber: String?) async throws {
        let text = sequenceNumber.map { "\"\($0)\"" } ?? "null"
        let children = ScriptedChildren {
            obedient($0, extra: ["shardEnded": [.line(#"{"action":"checkpoint","sequenceNumber":\#(text)}"#)]])
        }
        let processor = processor(children)
        try await processor.initialize(beginning)
        try await processor.processRecords(batch(record(5), checkpointer: checkpointer()))
        // Throttled: the same child is asked again.
        try await processor.shardEnded(checkpointer(.throttling))
        #expect(processor.status?.state == .idle)
        try await processor.shardEnded(checkpointer())
        #expect(processor.status?.state == .ended)
        #expect(children.children.count == 1)
        #expect(children.children.first?.heard.filter { $0.contains("shardEnded") }.count == 2)
    }

    @Test func `a shardEnded without a checkpoint leaves the child alive`() async throws {
        let children = ScriptedChildren { obedient($0) }
        let processor = processor(children)
        try await processor.initialize(beginning)
        try await processor.shardEnded(checkpointer())
        #expect(processor.status?.state == .idle)
        #expect(children.children.first?.isAbandoned == false)
    }

    @Test func `a program that cannot be started is a reason to restart, with the sentence`() async throws {
        let processor = processor(ScriptedChildren { obedient($0) }, program: "missing")
        let error = await #expect(throws: RestartFromCheckpoint.self) { try await processor.initialize(beginning) }
        #expect(error?.message == "the child cannot be started: missing is not found in PATH")
        #expect(processor.status?.state == .failed("the child cannot be started: missing is not found in PATH"))
    }

    @Test func `a child that dies in a batch is cleaned up, and the processor is finished`() async throws {
        let children = ScriptedChildren { $0.contains("processRecords") ? [.exit(3)] : obedient($0) }
        let processor = processor(children)
        try await processor.initialize(beginning)
        let error = await #expect(throws: RestartFromCheckpoint.self) {
            try await processor.processRecords(batch(record(5), checkpointer: checkpointer()))
        }
        #expect(error?.message == "the child (pid 4711) failed: it exited with status 3 during processRecords")
        #expect(children.children.first?.isAbandoned == true)
        await processor.leaseLost()
        await #expect(throws: RestartFromCheckpoint.self) { try await processor.shardEnded(checkpointer()) }
    }

    @Test func `a child that died at rest shows it before anybody asks`() async throws {
        let children = ScriptedChildren { line in
            obedient(line) + (line.contains("processRecords") ? [.exit(1)] : [])
        }
        let processor = processor(children)
        try await processor.initialize(beginning)
        try await processor.processRecords(batch(record(5), checkpointer: checkpointer()))
        #expect(processor.status?.state == .failed("it exited with status 1"))
        await #expect(throws: RestartFromCheckpoint.self) {
            try await processor.processRecords(batch(record(6), checkpointer: checkpointer()))
        }
    }

    @Test func `a child that hangs past its time is killed, step by step`() async throws {
        let children = ScriptedChildren { line in
            line == "EOF" || line.contains("processRecords") ? [] : obedient(line)
        }
        var limits = ChildLimits()
        limits.responseTimeout = .seconds(5)
        let processor = processor(children, time: jumping(), limits: limits)
        // Its clock jumps as soon as anybody sleeps, so the first request may be late as well.
        let error = await #expect(throws: RestartFromCheckpoint.self) {
            try await processor.initialize(beginning)
            try await processor.processRecords(batch(record(5), checkpointer: checkpointer()))
        }
        #expect(error?.message.contains("within 5 s") == true)
        #expect(children.children.first?.signals == [.terminate, .kill])
    }

    @Test func `standard error and strays are seen, harmless and with the shard's id`() async throws {
        let lines = Kept<String>()
        let traces = Kept<ChildTrace>()
        let observer = ChildObserver(
            onLine: { lines.append("\($0) \($1)") }, onTrace: { traces.append($0) })
        let children = ScriptedChildren {
            obedient(
                $0,
                extra: [
                    "initialize": [.error("Trace\u{1B}[31mback\npart"), .line("secret"), .error("ial\nlast")],
                    "processRecords": [.line("x")],
                ])
        }
        let processor = processor(children, observer: observer)
        try await processor.initialize(beginning)
        try await processor.processRecords(batch(record(5), checkpointer: checkpointer()))
        await processor.leaseLost()
        #expect(lines.values == ["s1 Trace\u{FFFD}[31mback", "s1 partial", "s1 last"])
        #expect(processor.status?.stray == 2)
        let shown = traces.values
        #expect(shown.contains { $0.direction == .toChild && $0.line.contains(#""data":"(1 bytes)""#) })
        #expect(shown.contains { $0.direction == .fromChild && $0.line.contains("responseFor") })
        #expect(!shown.contains { $0.line.contains("secret") || $0.line.contains("ZA==") })
    }

    @Test func `a cancelled call kills the child`() async throws {
        let children = ScriptedChildren { line in line.contains("processRecords") ? [] : obedient(line) }
        let processor = processor(children)
        try await processor.initialize(beginning)
        let input = batch(record(5), checkpointer: checkpointer())
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                do {
                    try await processor.processRecords(input)
                    return false
                } catch { return error is CancellationError }
            }
            group.cancelAll()
            #expect(await group.next() == true)
        }
        #expect(children.children.first?.isAbandoned == true)
        await processor.leaseLost()
        await #expect(throws: RestartFromCheckpoint.self) { try await processor.processRecords(input) }
    }

    @Test func `an application counts the restarts of a shard and lists its children`() async throws {
        let children = ScriptedChildren { $0.contains("processRecords") ? [.exit(3)] : obedient($0) }
        let application = MultiLangApplication(
            command: ChildCommand(["app"], environment: [:]), spawner: children, time: standing)
        var processors: [any RecordProcessor] = []
        for _ in 0..<3 {
            let processor = application.makeProcessor("s1")
            processors.append(processor)
            try await processor.initialize(beginning)
            try? await processor.processRecords(batch(record(5), checkpointer: checkpointer()))
        }
        let other = application.makeProcessor("s0")
        try await other.initialize(beginning)
        #expect(application.statuses.map(\.shardID) == ["s0", "s1"])
        #expect(application.statuses.map(\.restarts) == [0, 2])
        await application.endAll()
    }
}
