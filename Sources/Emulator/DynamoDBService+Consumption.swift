import Machine

/// Capacity units that a table's answered requests cost, its indexes' share included.
package struct ConsumedUnits: Hashable, Sendable {
    package var reads = 0.0
    package var writes = 0.0

    mutating func add(_ consumed: ConsumedCapacity) {
        if consumed.isWrite { writes += consumed.total } else { reads += consumed.total }
    }
}

extension DynamoDBService {
    /// What the table `name` consumed since it was created; `nil` where there is none.
    ///
    /// Writes whose condition failed are not counted, though the service charges them.
    package func consumedUnits(table name: String) -> ConsumedUnits? {
        guard let table = find(name, at: time.now()) else { return nil }
        return try? table.withLock { (table) throws(ServiceError) in table.units }
    }
}
