package import AWSWire
import Leases
package import Machine

/// A lease table of an account, as far as a few cheap reads tell.
package struct LeaseTableSummary: Hashable, Sendable {
    package var name: String
    package var status: String
    /// `nil` on demand.
    package var provisionedReads: Int?
    /// Both as old as six hours: the service counts that seldom.
    package var items: Int
    package var sizeBytes: Int
    package var generation = Generation.unknown
    /// The table has side tables, as KCL 3.0 to 3.4 makes them.
    package var hasSideTables = false

    package init(_ table: TableDescription) {
        name = table.name
        status = table.status
        provisionedReads = table.provisionedReads
        items = table.itemCount
        sizeBytes = table.sizeBytes
    }

    var billing: String { provisionedReads.map { "provisioned, \($0) RCU" } ?? "on demand" }

    /// `3.x (3.0-3.4)` where side tables tell more.
    var generationText: String { hasSideTables ? "3.x (3.0-3.4)" : generation.rawValue }
}

/// The lease tables of an account and region.
package struct LeaseTableList: Hashable, Sendable {
    package var tables: [LeaseTableSummary] = []
    /// Tables that were not looked at, because they are too many.
    package var leftOut = 0
    /// Tables that could not be described, with the first reason.
    package var unreadable: [String] = []
    package var firstFailure: String?

    package init() {}

    /// Lists all tables, and describes at most `describesMax`, one every `pace`. Of each lease table a few rows are
    /// read for its generation; where that is denied, the generation stays unknown.
    ///
    /// - Throws: what ListTables failed with, or `CancellationError`.
    package static func read(
        _ dynamoDB: DynamoDBClient, time: TimeSource, describesMax: Int, pace: Duration = .milliseconds(50)
    ) async throws -> LeaseTableList {
        let names = try await dynamoDB.listTables().sorted()
        let all = Set(names)
        let candidates = names.filter { !isSideTable($0, among: all) }
        var list = LeaseTableList()
        list.leftOut = max(0, candidates.count - describesMax)
        for name in candidates.prefix(describesMax) {
            do {
                let description = try await dynamoDB.describeTable(name)
                if LeaseTable.whyNotALeaseTable(description) == nil {
                    var summary = LeaseTableSummary(description)
                    summary.hasSideTables = all.contains(FleetMode.coordinatorTable(application: name))
                    summary.generation =
                        summary.hasSideTables
                        ? .v3 : await generation(dynamoDB, name) ?? .unknown
                    list.tables.append(summary)
                }
            } catch {
                if error.meaning == .cancelled { throw CancellationError() }
                // Deleted since it was listed.
                if error.meaning != .notFound {
                    list.unreadable.append(name)
                    list.firstFailure = list.firstFailure ?? error.description
                }
            }
            try await time.sleep(for: pace)
        }
        return list
    }

    private static func isSideTable(_ name: String, among all: Set<String>) -> Bool {
        for suffix in ["-CoordinatorState", "-WorkerMetricStats"] where name.hasSuffix(suffix) {
            return all.contains(String(name.dropLast(suffix.count)))
        }
        return false
    }

    private static func generation(_ dynamoDB: DynamoDBClient, _ table: String) async -> Generation? {
        guard let page = try? await dynamoDB.scan(table, limit: 20, attemptsMax: 2) else { return nil }
        return generation(of: page.items)
    }

    /// As the attributes of some rows tell (kcl.md §1.1): only 3.x stores throughputs, handovers and rows that are no
    /// lease, only 1.x no hash range.
    package static func generation(of items: [Item]) -> Generation {
        var hasLease = false
        var hasRange = false
        for item in items {
            switch LeaseTable.row(item) {
            case .lease(let lease):
                hasLease = true
                if lease.hashKeyRange != nil || lease.isMultiStream { hasRange = true }
                if lease.throughputKBps != nil || lease.checkpointOwner != nil || item["entityType"] != nil {
                    return .v3
                }
            case .foreign(_, let type?) where ["LEADER", "WORKER_METRIC_STATS"].contains(type): return .v3
            case .foreign(let key, _) where key == FleetMode.migrationKey: return .v3
            case .foreign, .odd: break
            }
        }
        return hasLease ? (hasRange ? .v2 : .v1) : .unknown
    }
}

// MARK: - As text

extension LeaseTableList {
    package enum Format: String, Sendable, CaseIterable {
        case table
        case json
        case csv
    }

    package func text(as format: Format) -> String {
        switch format {
        case .table:
            let rows = tables.map {
                [$0.name, String($0.items), $0.status, $0.billing, $0.generationText, Self.size($0.sizeBytes)]
            }
            return StatusReport.aligned([["TABLE", "ITEMS", "STATUS", "BILLING", "KCL", "SIZE"]] + rows)
                .map { StatusReport.printable($0) + "\n" }.joined()
        case .json:
            return JSON.text(
                StatusReport.object([
                    ("version", 1), ("tables", .list(tables.map(Self.json))),
                    ("tablesLeftOut", StatusReport.int(leftOut)),
                    ("tablesUnreadable", .list(unreadable.map { .string($0) })),
                ])) + "\n"
        case .csv:
            let columns = ["name", "items", "status", "billing", "provisionedReads", "generation", "sizeBytes"]
            let lines = tables.map { table in
                let value = Self.json(table)
                return columns.map { StatusReport.field(value[$0]) }.joined(separator: ",")
            }
            return ([columns.joined(separator: ",")] + lines).map { $0 + "\r\n" }.joined()
        }
    }

    private static func json(_ table: LeaseTableSummary) -> AWSValue {
        StatusReport.object([
            ("name", .string(table.name)), ("items", StatusReport.int(table.items)), ("status", .string(table.status)),
            ("billing", table.provisionedReads == nil ? "PAY_PER_REQUEST" : "PROVISIONED"),
            ("provisionedReads", table.provisionedReads.map { StatusReport.int($0) } ?? .null),
            ("generation", .string(table.generation.rawValue)), ("hasSideTables", .bool(table.hasSideTables)),
            ("sizeBytes", StatusReport.int(table.sizeBytes)),
        ])
    }

    private static func size(_ bytes: Int) -> String {
        switch bytes {
        case ..<10_240: "\(bytes) B"
        case ..<10_485_760: "\(bytes >> 10) KiB"
        default: "\(bytes >> 20) MiB"
        }
    }
}
