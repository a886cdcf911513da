import AWSWire
import Glibc
import Leases
import Machine
import MultiLang
import Synchronization
import Testing

@testable import ChildProcesses
@testable import KinesisConsumer

/// A program as kclpy makes one: a line feed before and after each message, statuses even after exceptions.
private let program = """
    import sys, json, base64
    def say(m):
        sys.stdout.write('\\n' + json.dumps(m) + '\\n'); sys.stdout.flush()
    def checkpoint(n=None, sub=None):
        say({'action': 'checkpoint', 'sequenceNumber': n, 'subSequenceNumber': sub})
        return json.loads(sys.stdin.readline())['error']
    total = 0
    for line in iter(sys.stdin.readline, ''):
        m = json.loads(line)
        a = m['action']
        if a == 'processRecords':
            print('just printing', flush=True)
            for r in m['records']:
                total += len(base64.b64decode(r['data']))
                assert r['action'] == 'record' and r['approximateArrivalTimestamp'] is None
            last = m['records'][-1]
            error = checkpoint(last['sequenceNumber'], last['subSequenceNumber'])
            sys.stderr.write('%d %s %s\\n' % (total, last['partitionKey'], error))
            sys.stderr.flush()
        elif a == 'shardEnded':
            checkpoint()
        say({'action': 'status', 'responseFor': a})
    """

private final class Kept<Value: Sendable>: Sendable {
    private let kept = Mutex<[Value]>([])
    var values: [Value] { kept.withLock { $0 } }
    func append(_ value: Value) { kept.withLock { $0.append(value) } }
}

private func record(_ number: UInt128, bytes: Int) -> Record {
    Record(
        sequenceNumber: SequenceNumber(high: 0, low: number), partitionKey: Bytes("ключ\u{1F511}"),
        data: Bytes([UInt8](repeating: UInt8(truncatingIfNeeded: number), count: bytes)))
}

@Suite(.timeLimit(.minutes(2))) struct ChildProgramTests {
    private let children = PosixChildren(time: realTime)
    private let asked = Kept<CheckpointRequest>()
    private let lines = Kept<String>()

    private var checkpointer: Checkpointer {
        Checkpointer(shardID: "s1") { [asked] request in
            asked.append(request)
            return .success(.trimHorizon)
        }
    }

    private func processor(_ source: String, limits: ChildLimits = ChildLimits()) -> MultiLangProcessor {
        MultiLangProcessor(
            shardID: "s1", command: ChildCommand(["python3", "-c", source], environment: environment), limits: limits,
            spawner: children, time: realTime, observer: ChildObserver(onLine: { [lines] in lines.append($1) }))
    }

    private func batch(_ records: [Record]) -> ProcessRecordsInput {
        ProcessRecordsInput(shardID: "s1", records: records, millisBehindLatest: 0, checkpointer: checkpointer)
    }

    private let beginning = InitializationInput(shardID: "s1", checkpoint: .trimHorizon)

    @Test func `a program in Python gets batches small and large, checkpoints and ends its shard`() async throws {
        let processor = processor(program)
        try await processor.initialize(beginning)
        let pid = try #require(processor.status?.pid)
        #expect(isRunning(pid))
        try await processor.processRecords(batch([record(1, bytes: 3), record(2, bytes: 0)]))
        try await processor.processRecords(batch([record(3, bytes: 10 << 20)]))
        try await processor.processRecords(batch((4..<2004).map { record($0, bytes: 1000) }))
        try await processor.shutdownRequested(checkpointer)
        try await processor.shardEnded(checkpointer)
        #expect(!isRunning(pid))
        #expect(
            asked.values == [
                .commit(Checkpoint(.sequenceNumber(SequenceNumber(high: 0, low: 2)))),
                .commit(Checkpoint(.sequenceNumber(SequenceNumber(high: 0, low: 3)))),
                .commit(Checkpoint(.sequenceNumber(SequenceNumber(high: 0, low: 2003)))), .commit(nil),
            ])
        #expect(
            lines.values == [
                "3 ключ\u{1F511} None", "10485763 ключ\u{1F511} None", "12485763 ключ\u{1F511} None",
            ])
        let status = try #require(processor.status)
        #expect(status.state == .ended)
        #expect(status.stray == 3)
        #expect(status.answered == 6)
        #expect(status.checkpoints == 4)
    }

    @Test(arguments: [
        ("import sys; sys.exit(4)", "it exited with status 4"),
        (
            "import sys; sys.stdin.readline(); print('{\"action\":\"status\",\"responseFor\":\"leaseLost\"}')",
            "it answered “leaseLost” to initialize"
        ),
        (
            "import os, sys; sys.stdin.readline(); os.close(1); sys.stdin.read()",
            "it closed its output during initialize"
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "it was ended by signal 11"),
        (
            "import sys; sys.stdin.readline(); sys.stdout.write('{\"action\":' * 1000)",
            "during initialize"
        ),
    ])
    func `a program that fails is gone before the processor says so`(source: String, reason: String) async throws {
        let processor = processor(source)
        let error = await #expect(throws: RestartFromCheckpoint.self) { try await processor.initialize(beginning) }
        #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
        let pid = try #require(processor.status?.pid)
        #expect(!isRunning(pid))
    }

    @Test func `a program that talks nonsense for ever and never reads fails at its time`() async throws {
        var limits = ChildLimits()
        // Enough for the program to begin: it shall ignore the signal that ends others.
        limits.responseTimeout = .seconds(3)
        limits.failureGrace = .milliseconds(50)
        limits.killGrace = .milliseconds(50)
        let source = """
            import os, signal
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True: os.write(1, b'nonsense ' * 1000 + b'\\n')
            """
        let processor = processor(source, limits: limits)
        let error = await #expect(throws: RestartFromCheckpoint.self) { try await processor.initialize(beginning) }
        #expect(error?.message.contains("it did not answer initialize within 3 s") == true)
        #expect(error?.message.contains("signal 9") == true)
        let status = try #require(processor.status)
        #expect(status.stray > 0)
        #expect(!isRunning(try #require(status.pid)))
    }

    @Test func `a program that answers and writes a great deal more ends all the same`() async throws {
        let source = """
            import sys, json
            for line in iter(sys.stdin.readline, ''):
                a = json.loads(line)['action']
                print(json.dumps({'action': 'status', 'responseFor': a}), flush=True)
                if a == 'leaseLost':
                    sys.stdout.write('x' * 2000000 + '\\n'); sys.stdout.flush()
                    sys.stderr.write('y' * 2000000 + '\\n'); sys.stderr.flush()
            sys.stderr.write('bye\\n')
            """
        // Its time is not what this is about, and there may be little of it.
        var limits = ChildLimits()
        limits.exitGrace = .seconds(90)
        limits.outputGrace = .seconds(90)
        let processor = processor(source, limits: limits)
        try await processor.initialize(beginning)
        await processor.leaseLost()
        #expect(processor.status?.state == .ended)
        #expect(processor.status?.stray == 1)
        #expect(lines.values.last == "bye")
    }

    @Test func `a processor that is dropped leaves no child`() async throws {
        var dropped: MultiLangProcessor? = processor(program)
        try await dropped?.initialize(beginning)
        let pid = try #require(dropped?.status?.pid)
        dropped = nil
        await children.endAll(grace: .seconds(20))
        #expect(!isRunning(pid))
    }
}
