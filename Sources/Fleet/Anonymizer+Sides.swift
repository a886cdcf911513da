import AWSWire
import Leases

/// The rows of 3.x that are no leases.
extension Anonymizer {
    /// Keys that are KCL's own words.
    static let knownKeys: Set<String> = [
        FleetMode.migrationKey, FleetMachine.leaderKey, FleetMachine.tableMigrationKey,
    ]

    /// Metric names and their numbers: `sts` and `opr`.
    static func metrics(_ map: [String: AttributeValue]) -> AttributeValue {
        var kept: [String: AttributeValue] = [:]
        for metric in WorkerReport.Metric.allCases {
            guard case .l(let list)? = map[metric.rawValue] else { continue }
            kept[metric.rawValue] = .l(list.filter { $0.double != nil })
        }
        return .m(kept)
    }

    static func isWorkerRow(_ item: Item) -> Bool { item["entityType"]?.string == "WORKER_METRIC_STATS" }
}
