import CurlTransport
import Fleet
import Machine
import Synchronization

/// An observer without a screen: the newest snapshot as pages, what changes as a recording.
struct HeadlessWatch {
    private let fleet: OpenFleet
    private let listen: ListenAddress?
    private let recording: LineFile?
    private let newest: Newest

    /// The newest snapshot and when it came.
    private final class Newest: Sendable {
        private let box: Mutex<(snapshot: FleetSnapshot, at: Timestamp)>

        init(_ snapshot: FleetSnapshot, at now: Timestamp) { box = Mutex((snapshot, now)) }

        var value: (snapshot: FleetSnapshot, at: Timestamp) { box.withLock { $0 } }

        func set(_ snapshot: FleetSnapshot, at now: Timestamp) { box.withLock { $0 = (snapshot, now) } }
    }

    init(_ fleet: OpenFleet, listen: ListenAddress?, recording: LineFile?) {
        self.fleet = fleet
        self.listen = listen
        self.recording = recording
        newest = Newest(
            FleetSnapshot(identity: fleet.configuration.identity), at: fleet.connection.time.now())
    }

    func run(until interruption: Interruption) async throws {
        let (newest, time, recording) = (newest, fleet.connection.time, recording)
        let observer = Observer(
            fleet.configuration, dynamoDB: fleet.connection.dynamoDB,
            kinesis: fleet.connection.kinesis, cloudWatch: fleet.connection.cloudWatch,
            time: time,
            record: recording?.recorder,
            publish: { newest.set($0, at: time.now()) })
        let listener: HTTPListener? =
            if let listen {
                try await HTTPListener.bind(listen) { path in
                    let (snapshot, at) = newest.value
                    return Self.page(path, snapshot, age: time.now() - at)
                }
            } else {
                nil
            }
        if let listener { Output.error("shardtop watch: listening on http://\(listener.address)") }
        let result = await withTaskGroup(of: Result<Void, any Error>.self) { group in
            group.addTask { await Result { try await observer.run() } }
            group.addTask {
                _ = await interruption.wait()
                return .success(())
            }
            let first = await group.next()
            group.cancelAll()
            return first
        }
        await listener?.shutdown()
        try result?.get()
    }

    /// `HTTPListener.Pages`. A fleet in trouble is a figure, not our ill health: unready is who cannot see the table.
    private static func page(_ path: String, _ snapshot: FleetSnapshot, age: Duration) -> HTTPPage? {
        switch path {
        case "/healthz": return HTTPPage(text: "ok\n")
        case "/readyz":
            let scanAge = snapshot.refreshAge.map { $0 + age }
            if let scanAge, scanAge <= max(.seconds(30), snapshot.refreshInterval * 3) { return HTTPPage(text: "ok\n") }
            let reason = snapshot.problems.first { $0.kind == .table }?.message ?? "the table was not read"
            return HTTPPage(isOK: false, text: reason + "\n")
        case "/metrics":
            var snapshot = snapshot
            snapshot.refreshAge = snapshot.refreshAge.map { $0 + age }
            return HTTPPage(contentType: PrometheusPage.contentType, text: StatusReport.prometheus(snapshot))
        default: return nil
        }
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
