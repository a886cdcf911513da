import AWSWire
import CurlTransport
import Dashboard
import Fleet
import Machine

/// Makes the plans that the screen asks for. Some need the stream or the audit read first.
struct PlanDesk: Sendable {
    private let connection: Connection
    private let host: SystemHost
    /// When a fleet of our own began: what the audit says of earlier ones is not about it.
    private let since: UnixTime?

    init(_ connection: Connection, host: SystemHost, since: UnixTime?) {
        self.connection = connection
        self.host = host
        self.since = since
    }

    /// What answers `request`, by the newest picture; throws a `Refusal` or a `Failure`.
    func answer(_ request: PlanRequest, _ newest: @Sendable () -> FleetSnapshot?) async throws -> ModelEvent {
        guard let snapshot = newest() else { throw Failure("nothing is known of the fleet yet") }
        guard case .several(let requests) = request else {
            return .planMade(try await plan(request, snapshot, newest))
        }
        var set = PlanSet(plans: [])
        for request in requests {
            do {
                set.plans.append(try await plan(request, snapshot, newest))
            } catch let refusal as Refusal {
                set.refused.append(PlanSet.Refused(why: refusal.description))
            }
        }
        return .plansMade(set)
    }

    private func plan(
        _ request: PlanRequest, _ snapshot: FleetSnapshot, _ newest: @Sendable () -> FleetSnapshot?
    ) async throws -> Plan {
        switch request {
        case .several: throw Failure("a set within a set")
        case .steal(let lease, let worker): return try Plan.steal(lease, to: worker, in: snapshot)
        case .evict(let lease): return try Plan.evict(lease, in: snapshot)
        case .release(let lease): return try Plan.release(lease, in: snapshot)
        case .assign(let lease, let worker, let isHard):
            return try Plan.assign(lease, to: worker, isHard: isHard, in: snapshot)
        case .completeHandoff(let lease): return try Plan.completeHandoff(lease, in: snapshot)
        case .rewind(let lease, let position):
            switch try Plan.rewind(lease, to: position, in: snapshot) {
            case .plan(let plan): return plan
            case .search(let search):
                let found = try await connection.perform(search)
                return try Plan.rewind(after: search, found, in: newest() ?? snapshot)
            }
        case .undo(let lease):
            let deed = try Deed.last(
                of: lease, in: try AuditFile.lines(host), snapshot.identity, notBefore: since)
            return try Plan.undo(lease, deed, in: snapshot)
        case .create(let shard): return try Plan.create(shard, in: snapshot)
        case .delete(let lease): return try Plan.delete(lease, in: snapshot)
        case .split(let shard, let point):
            return try Plan.split(shard, at: point.map { .key($0) } ?? .middle, in: snapshot)
        case .merge(let shard, let adjacent): return try Plan.merge(shard, with: adjacent, in: snapshot)
        }
    }
}

extension Connection {
    /// Looks a record up in the stream, or says in one line why that is not possible.
    func perform(_ search: PositionSearch) async throws -> PositionSearch.Found {
        do throws(AWSError) { return try await search.perform(kinesis) } catch {
            throw Failure(
                error.meaning == .denied
                    ? "reading \(search.stream) is denied: the policy must allow kinesis:GetShardIterator and "
                        + "kinesis:GetRecords" : "\(error)\(place)")
        }
    }
}
