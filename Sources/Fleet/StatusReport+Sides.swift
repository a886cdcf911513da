import AWSWire
package import Machine

/// What a 3.x fleet says beside its leases.
extension StatusReport {
    static func migration(_ migration: MigrationView?) -> AWSValue {
        guard let migration else { return .null }
        return object([
            ("clientVersion", .string(migration.clientVersion)),
            ("since", migration.since.map { .string(CivilTime($0).iso8601) } ?? .null),
            ("changedBy", string(migration.changedBy)),
        ])
    }

    static func json(_ report: WorkerReport?) -> AWSValue {
        guard let report else { return .null }
        func members(_ values: [WorkerReport.Metric: Double]) -> AWSValue {
            object(WorkerReport.Metric.allCases.map { ($0.name, values[$0].map { rounded($0) } ?? .null) })
        }
        return object([
            ("reportAgeSeconds", report.age.map { rounded($0.inSeconds) } ?? .null),
            ("isFresh", .bool(report.isFresh)), ("oddity", string(report.oddity)),
            ("failing", .list(report.failing.map { .string($0) })), ("percent", members(report.values)),
            ("operatingRange", members(report.ranges)),
        ])
    }

    /// Columns of the table of workers, where any reports.
    static let reportColumns = ["CPU", "MEMORY", "NETWORK", "REPORTED"]

    static func reportFields(_ report: WorkerReport?) -> [String] {
        func percent(_ metric: WorkerReport.Metric) -> String? { report?.percent(metric).map { "\($0)%" } }
        let network = [percent(.networkIn), percent(.networkOut)]
        return [
            percent(.cpu) ?? "-", percent(.memory) ?? "-",
            network.contains { $0 != nil } ? network.map { $0 ?? "-" }.joined(separator: "/") : "-",
            report?.age.map { "\($0.brief) ago" } ?? "-",
        ]
    }

    /// The line about the fleet's way of sharing out; `nil` where it is not of 3.x.
    static func fleetLine(_ snapshot: FleetSnapshot) -> String? {
        guard snapshot.generation == .v3 else { return nil }
        let parts: [String?] = [
            snapshot.mode.map { "mode \($0.words)" + (snapshot.migration?.lasting(at: snapshot.takenAt) ?? "") },
            snapshot.leaderHeartbeat.map {
                "leader \($0.workerID), heartbeat \($0.brief) ago" + ($0.isLost ? " (lost)" : "")
            } ?? snapshot.leader.map { "leader \($0)" }, snapshot.assignment?.words, snapshot.layout?.rawValue,
        ]
        return parts.compactMap { $0 }.joined(separator: "  ")
    }
}

extension MigrationView {
    /// ` for 3d04h`; nothing where the item does not tell.
    package func lasting(at time: UnixTime) -> String { since.map { " for \(max(.zero, time - $0).brief)" } ?? "" }
}

extension WorkerReport {
    /// Whole percents; `nil` where it does not tell.
    package func percent(_ metric: Metric) -> Int? {
        guard let value = values[metric], value.isFinite, abs(value) < 1e6 else { return nil }
        return Int(value.rounded())
    }
}
