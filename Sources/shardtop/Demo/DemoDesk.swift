import Dashboard
import Emulator
import Fleet
import KinesisConsumer
import Machine
import Synchronization

/// The demo in front of its screen: what is watched, who acts, and what the keys do to the fleet.
struct DemoDesk: Sendable {
    let fleet: DemoFleet
    private let tour = TourSwitch()

    init(_ fleet: DemoFleet) { self.fleet = fleet }

    private var identity: FleetIdentity {
        FleetIdentity(
            application: DemoFleet.application, stream: DemoFleet.stream, region: fleet.connection.region,
            account: fleet.emulator.configuration.accountID, role: "demo", endpoint: "in process", isDemo: true,
            isWritable: true)
    }

    var configuration: FleetConfiguration {
        .inProcess(identity, failoverTime: fleet.options.failoverTime)
    }

    func actor(_ audit: AuditLog) -> Operator {
        Operator(
            identity, dynamoDB: fleet.connection.dynamoDB, kinesis: fleet.connection.kinesis, time: fleet.time,
            audit: audit, caller: Caller(name: "demo", account: fleet.emulator.configuration.accountID),
            workers: .workers(
                { fleet.worker($0) }, dynamoDB: fleet.connection.dynamoDB, table: DemoFleet.application,
                time: fleet.time))
    }

    func engine(_ scenario: Scenario?) -> FleetScreen.Engine {
        FleetScreen.Engine(
            attach: { observer, screen in await attach(observer, screen, scenario) }, demo: { perform($0) })
    }

    private func attach(_ observer: Observer, _ screen: Screen, _ scenario: Scenario?) async {
        fleet.onEvent { observer.post($0) }
        await withTaskGroup(of: Void.self) { group in
            if let scenario {
                group.addTask {
                    await tour.race { await ScenarioPlayer(fleet).play(scenario) { screen.post(.captionChanged($0)) } }
                    screen.post(.captionChanged(nil))
                }
            }
            var told: [OwnWorker] = []
            while !Task.isCancelled {
                let workers = fleet.workers.map { worker in
                    OwnWorker(
                        worker.id, isPaused: worker.condition == .paused,
                        isStopped: ![.running, .paused, .stopping].contains(worker.condition))
                }
                if workers != told { observer.post(FleetMachine.Event.ownWorkersChanged(workers)) }
                told = workers
                screen.post(.demoChanged(status))
                try? await fleet.time.sleep(for: .milliseconds(500))
            }
            group.cancelAll()
        }
    }

    private var status: DemoStatus {
        let counts = fleet.ledger.counts
        let workload = fleet.producer.workload
        return DemoStatus(
            produced: Int64(counts.produced), delivered: Int64(counts.delivered), duplicates: Int64(counts.duplicates),
            outOfOrder: Int64(counts.outOfOrder), lost: Int64(counts.lost), rate: workload.rate,
            hotFraction: workload.hotFraction)
    }

    private func perform(_ command: Dashboard.DemoCommand) {
        switch command {
        case .startWorker:
            if let idle = fleet.workers.first(where: { ![.running, .paused, .stopping].contains($0.condition) }) {
                idle.start()
            } else {
                fleet.addWorker().start()
            }
        case .stopWorker(let id): fleet.worker(id)?.stop()
        case .killWorker(let id): fleet.worker(id)?.kill()
        case .pauseWorker(let id): fleet.worker(id)?.pause()
        case .resumeWorker(let id):
            if fleet.worker(id)?.condition == .paused { fleet.worker(id)?.resume() } else { fleet.worker(id)?.start() }
        case .setRate(let rate): fleet.producer.workload.rate = rate
        case .setHotFraction(let fraction): fleet.producer.workload.hotFraction = fraction
        case .takeOver: tour.end()
        }
    }
}

/// Lets a key press end the tour.
private final class TourSwitch: Sendable {
    private let state = Mutex<(task: Task<Void, Never>?, isOver: Bool)>((nil, false))

    /// Runs `body` until it returns or `end` is called.
    func race(_ body: @escaping @Sendable () async -> Void) async {
        let task = state.withLock { state -> Task<Void, Never>? in
            guard !state.isOver else { return nil }
            let task = Task { await body() }
            state.task = task
            return task
        }
        await withTaskCancellationHandler {
            await task?.value
        } onCancel: {
            task?.cancel()
        }
    }

    func end() {
        state.withLock { state in
            state.isOver = true
            return state.task
        }?.cancel()
    }
}
