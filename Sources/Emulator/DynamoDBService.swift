package import AWSWire
package import Machine
import Synchronization

/// How the emulated DynamoDB behaves where the real one depends on load, size or luck.
package struct DynamoDBSettings: Sendable {
    /// How often and how far eventually consistent reads are behind.
    package struct StaleReads: Sendable {
        /// The chance (0…1) that one item of an eventually consistent read is an older version.
        package var probability: Double
        /// The greatest age of such a version.
        package var ageMax: Duration

        package init(probability: Double, ageMax: Duration) {
            self.probability = probability
            self.ageMax = ageMax
        }
    }

    /// How long a table stays CREATING, UPDATING and DELETING, and an index CREATING and DELETING.
    package var tableDelay: Duration
    /// Whether PROVISIONED tables and their indexes throttle.
    package var enforcesThroughput: Bool
    /// How much unused throughput is kept for bursts, as time at the provisioned rate; a new table has all of it.
    package var burst: Duration
    /// `nil`: every read sees the last write.
    package var staleReads: StaleReads?

    package init(
        tableDelay: Duration = .zero, enforcesThroughput: Bool = true, burst: Duration = .seconds(300),
        staleReads: StaleReads? = nil
    ) {
        self.tableDelay = tableDelay
        self.enforcesThroughput = enforcesThroughput
        self.burst = burst
        self.staleReads = staleReads
    }
}

/// DynamoDB: the operations of the 2012-08-10 API over one lock per table.
package final class DynamoDBService: Sendable {
    let account: String
    let region: String
    let time: TimeSource
    let seed: UInt64
    let settings: DynamoDBSettings
    let cache = ExpressionCache()
    let transactions = Mutex<TransactionTokens>(TransactionTokens())
    /// Where tables are kept; `nil` where nothing outlives the process.
    let state: StateDirectory?
    let multiTableJournal = Mutex<TransactionJournal?>(nil)
    private let tables = Mutex<[String: LockedTable]>([:])

    package init(
        account: String, region: String, time: TimeSource, seed: UInt64, settings: DynamoDBSettings,
        state: StateDirectory? = nil
    ) {
        self.account = account
        self.region = region
        self.time = time
        self.seed = seed
        self.settings = settings
        self.state = state
    }

    /// The answer of `operation`, the name after `DynamoDB_20120810.`; `input` and answer are the JSON bodies.
    package func handle(operation: String, input: AWSValue) throws(ServiceError) -> AWSValue {
        let request = try DynamoDBRequest(input)
        try DynamoDBShape.operations[operation]?.check(input)
        return switch operation {
        case "GetItem": try getItem(request)
        case "PutItem", "UpdateItem", "DeleteItem": try write(operation, request)
        case "Query", "Scan": try page(operation, request)
        case "BatchGetItem": try batchGetItem(request)
        case "BatchWriteItem": try batchWriteItem(request)
        case "TransactWriteItems": try transactWriteItems(request)
        case "TransactGetItems": try transactGetItems(request)
        case "DescribeTable": try describeTable(request)
        case "CreateTable": try createTable(request)
        case "UpdateTable": try updateTable(request)
        case "DeleteTable": try deleteTable(request)
        case "ListTables": try listTables(request)
        case "DescribeTimeToLive": try describeTimeToLive(request)
        case "UpdateTimeToLive": try updateTimeToLive(request)
        case "DescribeContinuousBackups": try describeContinuousBackups(request)
        case "UpdateContinuousBackups": try updateContinuousBackups(request)
        case "TagResource": try tagResource(request)
        case "UntagResource": try untagResource(request)
        case "ListTagsOfResource": try listTagsOfResource(request)
        case "DescribeLimits": Self.limits
        default: throw ServiceError("UnknownOperationException")
        }
    }

    private static let limits: AWSValue = [
        "AccountMaxReadCapacityUnits": 80_000, "AccountMaxWriteCapacityUnits": 80_000,
        "TableMaxReadCapacityUnits": 40_000, "TableMaxWriteCapacityUnits": 40_000,
    ]
}

/// A table behind its lock.
final class LockedTable: Sendable {
    let name: String
    private let state: Mutex<DynamoDBTable>

    init(_ table: DynamoDBTable) {
        name = table.name
        state = Mutex(table)
    }

    func withLock<R: Sendable>(
        _ body: (inout DynamoDBTable) throws(ServiceError) -> R
    ) throws(ServiceError) -> R {
        try state.withLock { (table) throws(ServiceError) in try body(&table) }
    }

    func removeFile() { state.withLock { $0.journal?.remove() } }

    func isGone(at now: Timestamp) -> Bool { state.withLock { $0.status.isGone(at: now) } }
}

// MARK: Finding tables

extension DynamoDBService {
    /// The table `name`, whatever its status; `nil` where there is none.
    func find(_ name: String, at now: Timestamp) -> LockedTable? {
        guard let table = tables.withLock({ $0[name] }) else { return nil }
        guard table.isGone(at: now) else { return table }
        tables.withLock { tables in
            if tables[name] === table {
                tables[name] = nil
                table.removeFile()
            }
        }
        return nil
    }

    /// Adds `table` unless the name is taken.
    func insert(_ table: DynamoDBTable, at now: Timestamp) -> Bool {
        _ = find(table.name, at: now)
        return tables.withLock { tables in
            guard tables[table.name] == nil else { return false }
            tables[table.name] = LockedTable(table)
            return true
        }
    }

    /// All names in order.
    func names(at now: Timestamp) -> [String] {
        tables.withLock { tables in
            for (name, table) in tables.sorted(by: { $0.key < $1.key }) where table.isGone(at: now) {
                tables[name] = nil
                table.removeFile()
            }
            return tables.keys.sorted()
        }
    }

    /// Runs `body` on a table whose rows can be read and written.
    func withTable<R: Sendable>(
        _ name: String, _ body: (inout DynamoDBTable, Timestamp) throws(ServiceError) -> R
    ) throws(ServiceError) -> R {
        let now = time.now()
        guard let table = find(name, at: now) else { throw Self.notFound }
        return try table.withLock { (table) throws(ServiceError) in
            try Self.prepare(&table, at: now)
            return try body(&table, now)
        }
    }

    /// Runs `body` on a table, and keeps what the table is afterwards; where that fails, nothing has changed.
    func changing<R: Sendable>(
        _ table: LockedTable, _ body: (inout DynamoDBTable, Moment) throws(ServiceError) -> R
    ) throws(ServiceError) -> R {
        let moment = Moment(now: time.now(), wall: time.wallClock())
        return try table.withLock { (table) throws(ServiceError) in
            var changed = table
            let result = try body(&changed, moment)
            do throws(ServiceError) { try changed.keepDefinition(at: moment) } catch {
                // The file may have got a part of it.
                table.journal = changed.journal
                throw error
            }
            table = changed
            settleJournal(of: &table)
            return result
        }
    }

    static func prepare(_ table: inout DynamoDBTable, at now: Timestamp) throws(ServiceError) {
        guard table.status.isUsable(at: now) else { throw notFound }
        table.settle(at: now)
    }

    static var notFound: ServiceError { ServiceError("ResourceNotFoundException", "Requested resource not found") }

    static func notFound(table name: String) -> ServiceError {
        ServiceError("ResourceNotFoundException", "Requested resource not found: Table: \(name) not found")
    }

    /// Each table has chance of its own, whatever else happens.
    func generator(ofTable name: String) -> SeededGenerator {
        SeededGenerator(seed: seed ^ RowKey.hash(Array(name.utf8)))
    }

    func arn(ofTable name: String) -> String { "arn:aws:dynamodb:\(region):\(account):table/\(name)" }
}
