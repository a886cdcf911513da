import AWSWire
import Leases
import Machine

/// What KCL's lease code throws.
enum JavaFailure: Error, Hashable {
    /// `ProvisionedThroughputException`.
    case throttled
    /// `DependencyException`: DynamoDB failed, or did not answer in time.
    case dependency(String)
    /// `InvalidStateException`.
    case invalidState(String)
    /// An exception that nobody expects: KCL logs an error with a stack trace.
    case runtime(String)
    /// One that KCL brings upon itself, whoever is beside it: the error that it logs is nobody else's fault.
    case ownRuntime(String)
    /// The process was killed.
    case killed
}

/// `DynamoDBLeaseRefresher` of 2.5.8: each request exactly as it was recorded (java-kcl.md §5), with the parameters
/// from before expressions.
struct JavaLeaseRefresher: Sendable {
    let client: AWSClient
    let table: String
    let time: TimeSource

    /// The SDK's retries and KCL's `dynamoDbRequestTimeout` around them.
    private static let attemptsMax = 9
    private static let callTimeout: Duration = .seconds(60)
    private static let attemptTimeout: Duration = .seconds(30)

    private enum CallFailure: Error {
        case conditionFailed, notFound
        case other(JavaFailure)
    }

    private func call(_ operation: String, _ input: AWSValue) async throws(CallFailure) -> AWSValue {
        let end = time.now() + Self.callTimeout
        var attempt = 0
        while true {
            attempt += 1
            do throws(AWSError) {
                let timeout = min(Self.attemptTimeout, max(.milliseconds(1), end - time.now()))
                return try await client.call(operation, input, attemptsMax: 1, timeout: timeout)
            } catch {
                switch error.meaning {
                case .conditionFailed: throw .conditionFailed
                case .notFound: throw .notFound
                case .cancelled: throw .other(.killed)
                case .throttled where attempt == Self.attemptsMax: throw .other(.throttled)
                case .throttled, .transient:
                    guard attempt < Self.attemptsMax, time.now() < end else {
                        throw .other(.dependency(error.description))
                    }
                default: throw .other(.dependency(error.description))
                }
            }
            let pause = Duration.milliseconds(25 << attempt)
            do { try await time.sleep(for: pause) } catch { throw .other(.killed) }
        }
    }

    /// - Returns: `nil` where the condition failed.
    private func write(_ operation: String, _ input: AWSValue) async throws(JavaFailure) -> AWSValue? {
        do throws(CallFailure) { return try await call(operation, input) } catch {
            switch error {
            case .conditionFailed: return nil
            case .notFound: throw .invalidState("the table \(table) does not exist")
            case .other(let failure): throw failure
            }
        }
    }

    private func read(_ operation: String, _ input: AWSValue) async throws(JavaFailure) -> AWSValue {
        guard let answer = try await write(operation, input) else { throw .dependency("a read has no condition") }
        return answer
    }

    // MARK: The table

    /// `createLeaseTableIfNotExists`, `waitUntilLeaseTableExists`.
    func createTableIfMissing() async throws(JavaFailure) {
        let definition: AWSValue = [
            "TableName": .string(table), "BillingMode": "PAY_PER_REQUEST", "DeletionProtectionEnabled": false,
            "KeySchema": [["AttributeName": "leaseKey", "KeyType": "HASH"]],
            "AttributeDefinitions": [["AttributeName": "leaseKey", "AttributeType": "S"]],
        ]
        if try await status() == nil {
            do throws(CallFailure) { _ = try await call("CreateTable", definition) } catch {
                // Somebody else was faster.
                if case .other(.killed) = error { throw .killed }
            }
        }
        for _ in 0..<60 {
            if let status = try await status(), ["ACTIVE", "UPDATING"].contains(status) { return }
            do { try await time.sleep(for: .seconds(10)) } catch { throw .killed }
        }
        throw .dependency("the table does not become active")
    }

    private func status() async throws(JavaFailure) -> String? {
        do throws(CallFailure) {
            return try await call("DescribeTable", ["TableName": .string(table)])["Table"]?["TableStatus"]?.string
        } catch {
            switch error {
            case .notFound: return nil
            case .conditionFailed: throw .dependency("a read has no condition")
            case .other(let failure): throw failure
            }
        }
    }

    func isTableEmpty() async throws(JavaFailure) -> Bool {
        try await read("Scan", ["TableName": .string(table), "Limit": 1])["Items"]?.list?.isEmpty ?? true
    }

    // MARK: Reads

    func listLeases() async throws(JavaFailure) -> [JavaLease] {
        var leases: [JavaLease] = []
        var input: AWSValue = ["TableName": .string(table)]
        while true {
            let answer = try await read("Scan", input)
            for item in answer["Items"]?.list ?? [] { leases.append(try lease(item)) }
            guard let last = answer["LastEvaluatedKey"] else { return leases }
            input["ExclusiveStartKey"] = last
        }
    }

    func lease(_ key: String) async throws(JavaFailure) -> JavaLease? {
        let answer = try await read(
            "GetItem",
            ["TableName": .string(table), "Key": LeaseTable.key(key).wire, "ConsistentRead": false])
        guard let item = answer["Item"] else { return nil }
        return try lease(item)
    }

    private func lease(_ wire: AWSValue) throws(JavaFailure) -> JavaLease {
        guard let item = Item(wire: wire) else { throw .dependency("an item that is none") }
        do throws(JavaLease.Unreadable) { return try JavaLease(item) } catch { throw .runtime(error.description) }
    }

    // MARK: Writes

    /// Whether the lease is new.
    func create(_ lease: JavaLease) async throws(JavaFailure) -> Bool {
        try await write(
            "PutItem",
            [
                "TableName": .string(table), "Item": lease.item.wire,
                "Expected": ["leaseKey": ["Exists": false]],
            ]) != nil
    }

    /// `renewLease`, with its rescue: a failed condition may mean that an earlier attempt went through, or that
    /// somebody else wrote our counter and left our name (kcl.md §0.1).
    func renew(_ lease: inout JavaLease) async throws(JavaFailure) -> Bool {
        let updates = counterUpdate(lease)
        if try await write("UpdateItem", update(lease, updates)) == nil {
            let stored = try await self.lease(lease.leaseKey)
            guard let stored, stored.leaseOwner == lease.leaseOwner, stored.leaseCounter == lease.leaseCounter + 1
            else { return false }
        }
        lease.leaseCounter += 1
        return true
    }

    func take(_ lease: inout JavaLease, owner: String) async throws(JavaFailure) -> Bool {
        var updates = counterUpdate(lease)
        updates["leaseOwner"] = Self.put(.s(owner))
        let isFromAnother = lease.leaseOwner != nil && lease.leaseOwner != owner
        if isFromAnother {
            updates["ownerSwitchesSinceCheckpoint"] = ["Value": AttributeValue.n(1).wire, "Action": "ADD"]
        }
        guard try await write("UpdateItem", update(lease, updates)) != nil else { return false }
        lease.leaseCounter += 1
        lease.leaseOwner = owner
        if isFromAnother { lease.ownerSwitchesSinceCheckpoint += 1 }
        return true
    }

    /// `updateLease`: a checkpoint, or a prepared one.
    func update(_ lease: inout JavaLease) async throws(JavaFailure) -> Bool {
        var updates = counterUpdate(lease)
        updates["checkpoint"] = Self.put(.s(lease.checkpoint.text))
        updates["checkpointSubSequenceNumber"] = Self.put(.n(lease.checkpoint.subSequenceNumber))
        updates["ownerSwitchesSinceCheckpoint"] = Self.put(.n(lease.ownerSwitchesSinceCheckpoint))
        let pending = lease.pendingCheckpoint
        updates["pendingCheckpoint"] = Self.putOrDelete(pending.map { .s($0.text) })
        updates["pendingCheckpointSubSequenceNumber"] = Self.putOrDelete(pending.map { .n($0.subSequenceNumber) })
        updates["pendingCheckpointState"] = Self.putOrDelete(lease.pendingCheckpointState.map { .b($0) })
        if !lease.childShardIDs.isEmpty { updates["childShardIds"] = Self.put(.ss(Set(lease.childShardIDs))) }
        if let range = lease.hashKeyRange {
            updates["startingHashKey"] = Self.put(.s(String(range.start)))
            updates["endingHashKey"] = Self.put(.s(String(range.end)))
        }
        guard try await write("UpdateItem", update(lease, updates)) != nil else { return false }
        lease.leaseCounter += 1
        return true
    }

    /// `updateLeaseWithMetaInfo`: the counter stays, and a failed condition is only warned of.
    func setChildren(_ leaseKey: String, _ children: [String]) async throws(JavaFailure) {
        try await setMetaInfo(leaseKey, ["childShardIds": Self.put(.ss(Set(children)))])
    }

    func setHashKeyRange(_ leaseKey: String, _ range: HashKeyRange) async throws(JavaFailure) {
        try await setMetaInfo(
            leaseKey,
            [
                "startingHashKey": Self.put(.s(String(range.start))), "endingHashKey": Self.put(.s(String(range.end))),
            ])
    }

    private func setMetaInfo(_ leaseKey: String, _ updates: AWSValue) async throws(JavaFailure) {
        _ = try await write(
            "UpdateItem",
            [
                "TableName": .string(table), "Key": LeaseTable.key(leaseKey).wire, "AttributeUpdates": updates,
                "Expected": ["leaseKey": ["Value": AttributeValue.s(leaseKey).wire, "Exists": true]],
            ])
    }

    /// Without any condition (kcl.md §0.9).
    func delete(_ leaseKey: String) async throws(JavaFailure) {
        _ = try await write("DeleteItem", ["TableName": .string(table), "Key": LeaseTable.key(leaseKey).wire])
    }

    private func update(_ lease: JavaLease, _ updates: AWSValue) -> AWSValue {
        [
            "TableName": .string(table), "Key": LeaseTable.key(lease.leaseKey).wire, "AttributeUpdates": updates,
            "Expected": ["leaseCounter": ["Value": AttributeValue.n(lease.leaseCounter).wire]],
        ]
    }

    private func counterUpdate(_ lease: JavaLease) -> AWSValue {
        ["leaseCounter": Self.put(.n(lease.leaseCounter + 1))]
    }

    private static func put(_ value: AttributeValue) -> AWSValue { ["Value": value.wire, "Action": "PUT"] }

    private static func putOrDelete(_ value: AttributeValue?) -> AWSValue {
        value.map { put($0) } ?? ["Action": "DELETE"]
    }
}
