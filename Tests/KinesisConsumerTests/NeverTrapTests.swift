import AWSWire
import Leases
import Machine
import Testing

@testable import KinesisConsumer

/// The order of a processor's callbacks, as a processor relies on it.
private struct CallOrder {
    var outstanding: ShardMachine.Call?
    var violations: [String] = []
    private var isInitialized = false
    private var last: ShardMachine.Call?

    mutating func started(_ call: ShardMachine.Call) {
        if let outstanding { violations.append("\(call) while \(outstanding) runs") }
        outstanding = call
        if case .initialize = call {
            if isInitialized { violations.append("initialized twice") }
        } else if !isInitialized {
            violations.append("\(call) before initialize")
        }
        switch (last, call) {
        case (.leaseLost?, _): violations.append("\(call) after leaseLost")
        case (.shutdownRequested?, .leaseLost): break
        case (.shutdownRequested?, _): violations.append("\(call) after shutdownRequested")
        case (.shardEnded?, .processRecords): violations.append("\(call) after shardEnded")
        default: break
        }
        last = call
    }

    mutating func returned(_ call: ShardMachine.Call, passed: Bool) {
        guard outstanding == call else { return }
        outstanding = nil
        if case .initialize = call, passed { isInitialized = true }
    }

    /// A new processor, which knows nothing of the one before.
    mutating func abandoned(_ call: ShardMachine.Call) {
        guard outstanding == call else { return }
        outstanding = nil
        isInitialized = false
        last = nil
    }
}

/// What a shell holds of subscriptions.
private struct OpenSubscriptions {
    var open: Set<Int> = []
    var violations: [String] = []
    private var opening: Set<Int> = []
    private var pulling: Set<Int> = []

    mutating func asked(_ effect: ShardMachine.Effect) {
        switch effect {
        case .subscribe(let id, _, _):
            if !open.isEmpty || !opening.isEmpty { violations.append("\(id) while another is open or asked for") }
            opening.insert(id)
        case .pull(let id, _, _):
            if !open.contains(id) { violations.append("\(id) is pulled and not open") }
            if !pulling.insert(id).inserted { violations.append("\(id) is pulled twice") }
        case .unsubscribe(let id): open.remove(id)
        default: break
        }
    }

    mutating func happened(_ event: ShardMachine.Event) {
        switch event {
        case .subscribed(let id, _): if opening.remove(id) != nil { open.insert(id) }
        case .pulled(let id, _): pulling.remove(id)
        case .subscriptionEnded(let id), .subscriptionFailed(let id, _, _), .consumerMissing(let id, _):
            for set in [\Self.opening, \Self.pulling, \Self.open] { self[keyPath: set].remove(id) }
        default: break
        }
    }
}

@Suite struct NeverTrapTests {
    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func `ten thousand random events neither trap a shard nor confuse its processor`(seed: UInt64) {
        var noise = Noise(seed: seed)
        var violations: [String] = []
        var events = 0
        var completed = 0
        while events < 10_000 {
            let policy = noise.pick(ProcessorFailurePolicy.allCases)
            let isFanOut = noise.chance(0.5)
            var subscriptions = OpenSubscriptions()
            var rig = ShardRig(
                noise.lease("s1"),
                .sample.with {
                    $0.onProcessorFailure = policy
                    if isFanOut { $0.retrieval = .fanOut(FanOutConsumer()) }
                })
            var order = CallOrder()
            var pending = rig.advance(at: 0)
            var now: Int64 = 0
            for case .call(let call, _) in pending { order.started(call) }
            for step in 0..<600 {
                events += 1
                now += noise.pick([0, 1, 300, 2000])
                rig.deliverUntil = noise.chance(0.8) ? .never : .zero
                let event: ShardMachine.Event
                if step > 300, noise.chance(0.05) {
                    event = noise.chance(0.5) ? .leaseLost("gone") : .shutdownAsked(deadline: at(now + 5000))
                } else if !pending.isEmpty, noise.chance(0.7) {
                    event = noise.answer(to: pending.remove(at: noise.below(pending.count)))
                } else {
                    event = noise.shardEvent(at(now))
                }
                if case .returned(let call, let failure) = event { order.returned(call, passed: failure == nil) }
                if case .abandoned(let call, _) = event { order.abandoned(call) }
                if case .notHandedOver(let batch) = event {
                    order.returned(.processRecords(batch: batch), passed: true)
                }
                subscriptions.happened(event)
                for effect in rig.send(event, at: now) {
                    subscriptions.asked(effect)
                    if case .call(let call, _) = effect { order.started(call) }
                    if case .emit = effect { continue }
                    pending.append(effect)
                }
            }
            if rig.machine.isComplete { completed += 1 }
            violations += order.violations + subscriptions.violations
            if rig.machine.isComplete, !subscriptions.open.isEmpty { violations.append("left open") }
        }
        #expect(violations == [])
        #expect(completed > 0)
    }

    /// And a machine that looks at every tenure at every event does the same, effect by effect: nothing is forgotten.
    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func `ten thousand random events neither trap a worker nor make it write twice at a time`(seed: UInt64) {
        var noise = Noise(seed: seed)
        var violations: [String] = []
        var events = 0
        while events < 10_000 {
            var worker = NoisyWorker(&noise)
            for _ in 0..<2000 where !worker.rig.machine.isFinished {
                events += 1
                worker.step(&noise)
            }
            violations += worker.violations
        }
        #expect(violations == [])
    }
}

/// A worker that gets random answers.
private struct NoisyWorker {
    var rig: WorkerRig
    /// Gets the same events.
    private var thorough: WorkerMachine
    var violations: [String] = []
    private var pending: [WorkerMachine.Effect] = []
    private var writing: Set<String> = []
    private var forgotten: Set<Int> = []
    private var now: Int64 = 0
    private static let keys = ["s1", "s2", "s3", "s4"]

    init(_ noise: inout Noise) {
        let policy = noise.pick(ProcessorFailurePolicy.allCases)
        let releases = noise.chance(0.5)
        let isFanOut = noise.chance(0.5)
        rig = WorkerRig(
            .sample.with {
                $0.onProcessorFailure = policy
                $0.releaseLeasesOnShutdown = releases
                if isFanOut { $0.retrieval = .fanOut(FanOutConsumer()) }
            })
        thorough = rig.machine
        thorough.isThorough = true
        let rows = Self.keys.map { noise.lease($0) } + [noise.lease("other"), noise.lease("1:orders:2:s1")]
        send(
            .started(
                WorkerMachine.Start(
                    tree: Self.tree(&noise), rows: rows.map { .lease($0) },
                    provisionedReads: noise.pick([nil, 1, 100, .max, -5]), mode: .takers(clientVersion: nil),
                    readUnits: noise.pick([0, 1, 1e6]))))
    }

    private mutating func send(_ event: WorkerMachine.Event) {
        let effects = rig.send(event, at: now)
        if thorough.handle(event, at: at(now)) != effects { violations.append("a thorough look does more at \(now)") }
        note(effects)
    }

    private static func tree(_ noise: inout Noise) -> ShardTree {
        ShardTree(
            listedShards(
                "s1", "s2", "s3", "s4",
                parents: noise.pick([[:], ["s3": ["s1", "s2"], "s4": ["s1"]], ["s1": ["s1"]]]),
                closed: noise.pick([[], ["s1"], ["s1", "s2"]])))
    }

    mutating func step(_ noise: inout Noise) {
        now += noise.pick([0, 0, 1, 50, 700])
        let event: WorkerMachine.Event
        if !pending.isEmpty, noise.chance(0.8) {
            guard let answer = answer(&noise, pending.remove(at: noise.below(pending.count))) else { return }
            event = answer
        } else {
            event = anything(&noise)
        }
        if case .written(let key, let tenure, _) = event { writing.remove("\(key) \(tenure)") }
        send(event)
    }

    private mutating func note(_ effects: [WorkerMachine.Effect]) {
        for effect in effects {
            switch effect {
            case .emit, .report: continue
            case .write(let key, let tenure, _):
                if !writing.insert("\(key) \(tenure)").inserted { violations.append("two writes on \(key) at \(now)") }
                if forgotten.contains(tenure) { violations.append("a write of tenure \(tenure) after its end") }
            case .forget(let tenure):
                if !forgotten.insert(tenure).inserted { violations.append("tenure \(tenure) ended twice") }
                continue
            default: break
            }
            pending.append(effect)
        }
    }

    private mutating func answer(_ noise: inout Noise, _ effect: WorkerMachine.Effect) -> WorkerMachine.Event? {
        switch effect {
        case .wake(let time):
            now = max(now, min(time.nanoseconds / 1_000_000, now + 20_000))
            return .woke(at(now))
        case .scan(let scan):
            if noise.chance(0.2) { return .scanFailed(scan, noise.meaning(), "no") }
            return .scanned(
                scan, Self.keys.filter { _ in noise.chance(0.8) }.map { row(&noise, $0) },
                readUnits: noise.pick([1, -1, 1e300, .nan]))
        case .listShards:
            return noise.chance(0.2) ? .listFailed("no") : .shardsListed(noise.chance(0.9) ? Self.tree(&noise) : nil)
        case .checkMode: return noise.chance(0.5) ? .modeCheckFailed : .modeChecked(.takers(clientVersion: nil))
        case .take(let key, _):
            return .taken(key: key, noise.result(noise.lease(key)), sentAt: at(max(0, now - Int64(noise.below(3000)))))
        case .write(let key, let tenure, _):
            return .written(key: key, tenure: tenure, noise.chance(0.7) ? .stored(nil) : noise.result(noise.lease(key)))
        case .read(let key):
            return .read(key: key, noise.chance(0.8) ? row(&noise, key) : nil, failed: noise.chance(0.2))
        case .create(let leases, _): return .created(leases, failure: noise.chance(0.2) ? "no" : nil)
        case .delete(let key, _): return .deleted(key: key, noise.result(noise.lease(key)))
        case .shard(let tenure, _, let effect): return .shard(tenure: tenure, noise.answer(to: effect))
        case .setHashKeyRange, .forget, .emit, .report: return nil
        }
    }

    /// Mostly what the machine knows, moved on a little.
    private func row(_ noise: inout Noise, _ key: String) -> LeaseRow {
        if noise.chance(0.05) { return .odd(key: key, reason: "no checkpoint") }
        guard noise.chance(0.9), let known = rig.machine.rows[key]?.lease else { return .lease(noise.lease(key)) }
        var lease = rig.machine.tenures[key]?.held.lease ?? known
        if lease.leaseOwner != "me", noise.chance(0.5) { lease.leaseCounter &+= 1 }
        return .lease(lease)
    }

    private func anything(_ noise: inout Noise) -> WorkerMachine.Event {
        let key = noise.pick(Self.keys)
        let tenure = noise.below(12)
        switch noise.below(400) {
        case 0: return .shutdownRequested
        case 1: return .modeChecked(noise.pick([.upgrading, .takers(clientVersion: "CLIENT_VERSION_2X")]))
        case 2...10: return .releaseRequested(shardID: key)
        case 11...20: return .pokeRequested(shardID: key)
        case 21...40: return .taken(key: key, noise.result(noise.lease(key)), sentAt: at(now))
        case 41...60: return .read(key: key, .lease(noise.lease(key)), failed: noise.chance(0.5))
        case 61...70: return .deleted(key: key, noise.result(noise.lease(key)))
        case 71...90: return .created([noise.lease(key)], failure: nil)
        case 91...120: return .shard(tenure: tenure, .returned(noise.call(), failure: nil))
        case 121...130: return .woke(at(now))
        default: return .shard(tenure: tenure, noise.shardEvent(at(now)))
        }
    }
}

extension Noise {
    /// What the shell may answer to `effect`.
    fileprivate mutating func answer(to effect: ShardMachine.Effect) -> ShardMachine.Event {
        switch effect {
        case .call(.processRecords(let batch), _) where chance(0.1): return .notHandedOver(batch: batch)
        case .call(let call, _) where call != .leaseLost && chance(0.05): return .abandoned(call, "gone")
        case .call(let call, _): return .returned(call, failure: chance(0.2) ? "boom" : nil)
        case .checkParents: return chance(0.2) ? .parentCheckFailed : .parentsChecked(unfinished: pick([[], ["s1"]]))
        case .getIterator: return .iteratorGot("i", latestAt: nil)
        case .fetch: return .fetched(batch(below(1000)))
        case .subscribe(let id, _, _):
            return chance(0.2) ? .subscriptionFailed(id, meaning(), "no") : .subscribed(id, latestAt: nil)
        case .pull(let id, _, _):
            return chance(0.8)
                ? .pulled(id, batch(below(1000)))
                : chance(0.5) ? .subscriptionEnded(id) : .subscriptionFailed(id, meaning(), "no")
        case .findChildren: return .childrenFound(closed: chance(0.7), children())
        case .createChildren: return chance(0.8) ? .childrenCreated : .childrenNotCreated("no")
        case .write(let write): return .written(write, chance(0.8) ? nil : .dependency("no"))
        case .discard, .unsubscribe, .dropProcessor, .answer, .giveUp, .emit: return .begun
        }
    }
}
