import KinesisConsumer
import Leases
import Machine
import Synchronization

/// How a simulated application checkpoints.
enum CheckpointPolicy: CaseIterable, Sendable {
    case everyBatch
    case everyThird
    /// At some record of the batch, often in the middle of an aggregate.
    case somewhere
    /// Prepares at one batch and commits at a later one, or never.
    case prepareAndCommit
    /// Only when told to end.
    case atTheEnd
}

/// An application: tells the referee of every call, takes its time, and fails now and then.
final class SimulatedProcessor: RecordProcessor {
    /// What goes wrong inside of the application, 0 to 1 for each call.
    struct Faults: Sendable {
        var initializeThrows = 0.02
        var processThrows = 0.01
        var shardEndedForgets = 0.1
        /// A batch takes up to three seconds.
        var isSlow = 0.03
    }

    struct Failure: Error {}

    private struct State {
        var generator: SeededGenerator
        var batches = 0
        var prepared: PreparedCheckpoint?
        var checkpointer: Checkpointer?
    }

    private let referee: Referee
    private let tenure: Int
    private let policy: CheckpointPolicy
    private let faults: Faults
    private let time: TimeSource
    private let state: Mutex<State>

    init(
        referee: Referee, tenure: Int, policy: CheckpointPolicy, faults: Faults, time: TimeSource,
        generator: SeededGenerator
    ) {
        self.referee = referee
        self.tenure = tenure
        self.policy = policy
        self.faults = faults
        self.time = time
        state = Mutex(State(generator: generator))
    }

    private func chance(_ probability: Double) -> Bool { state.withLock { $0.generator.chance(probability) } }

    /// Whether something that should not happen happens: not any more when the fleet came to rest.
    private func misfortune(_ probability: Double) -> Bool { chance(probability) && !referee.isCalm }

    private func takeTime() async throws {
        let isCalm = referee.isCalm
        let milliseconds = state.withLock { state in
            state.generator.chance(isCalm ? 0 : faults.isSlow)
                ? Int.random(in: 300...3000, using: &state.generator)
                : state.generator.chance(0.3) ? Int.random(in: 1...40, using: &state.generator) : 0
        }
        if milliseconds > 0 { try await time.sleep(for: .milliseconds(milliseconds)) }
    }

    func initialize(_ input: InitializationInput) async throws {
        referee.begins("initialize", tenure)
        let fails = misfortune(faults.initializeThrows)
        do { try await takeTime() } catch { return }
        referee.ends("initialize", tenure, failed: fails)
        if fails { throw Failure() }
    }

    func processRecords(_ input: ProcessRecordsInput) async throws {
        referee.begins("processRecords", tenure)
        let before = referee.last(tenure)
        referee.delivered(tenure, input.records)
        do { try await takeTime() } catch { return }
        if misfortune(faults.processThrows) {
            referee.threw(tenure, input.records, before: before)
            referee.ends("processRecords", tenure, failed: true)
            throw Failure()
        }
        state.withLock { state in
            state.batches += 1
            state.checkpointer = input.checkpointer
        }
        // A checkpoint that fails is tried again with a later batch.
        try? await checkpoint(input)
        referee.ends("processRecords", tenure)
    }

    private func checkpoint(_ input: ProcessRecordsInput) async throws {
        let batches = state.withLock { $0.batches }
        let checkpointer = input.checkpointer
        switch policy {
        case .everyBatch:
            referee.asks(tenure)
            try await checkpointer.checkpoint()
        case .everyThird where batches % 3 == 0:
            referee.asks(tenure)
            try await checkpointer.checkpoint()
        case .somewhere:
            guard let record = state.withLock({ input.records.randomElement(using: &$0.generator) }) else { return }
            referee.asks(tenure, for: record.checkpoint)
            try await checkpointer.checkpoint(record)
        case .prepareAndCommit:
            if let prepared = state.withLock({ $0.prepared }), chance(0.6) {
                state.withLock { $0.prepared = nil }
                try await prepared.checkpoint()
            } else if let record = state.withLock({ input.records.randomElement(using: &$0.generator) }) {
                referee.asks(tenure, for: record.checkpoint)
                let prepared = try await checkpointer.prepareCheckpoint(at: record.checkpoint)
                state.withLock { $0.prepared = prepared }
            }
        case .everyThird, .atTheEnd: break
        }
    }

    func leaseLost() async {
        referee.begins("leaseLost", tenure)
        // A ZOMBIE that tries anyway is refused; by Java only where there is something to write.
        if !referee.isJava(tenure), let checkpointer = state.withLock({ $0.checkpointer }), chance(0.3) {
            do throws(CheckpointError) {
                try await checkpointer.checkpoint()
                referee.report(.zombieNeverCheckpoints, "a checkpoint inside leaseLost was not refused")
            } catch {
                if error != .shutdown {
                    referee.report(.zombieNeverCheckpoints, "a checkpoint inside leaseLost failed with \(error)")
                }
            }
        }
        referee.ends("leaseLost", tenure)
    }

    func shardEnded(_ checkpointer: Checkpointer) async throws {
        referee.begins("shardEnded", tenure)
        var isDone = false
        defer { referee.ends("shardEnded", tenure, failed: !isDone) }
        if misfortune(faults.shardEndedForgets) { return }
        referee.asks(tenure, for: .shardEnd)
        try await checkpointer.checkpoint()
        isDone = true
    }

    func shutdownRequested(_ checkpointer: Checkpointer) async throws {
        referee.begins("shutdownRequested", tenure)
        defer { referee.ends("shutdownRequested", tenure) }
        guard chance(0.8) else { return }
        referee.asks(tenure)
        try await checkpointer.checkpoint()
    }
}
