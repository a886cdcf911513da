public import AWSWire

/// The writes by which a 3.x leader moves leases between workers (kcl.md §2).
extension LeaseTable {
    /// `worker` owns the lease at once, and a handover is over: the one who reads it now is fenced by the counter.
    ///
    /// Also what an old owner writes at the end of a graceful handover, then with the successor that the row names.
    public static func assign(table: String, _ lease: Lease, to worker: String) -> UpdateItem {
        let isSwitch = lease.actualOwner.map { $0 != worker } ?? false
        var write = write(
            table, lease, set: ["\(Name.owner) = :owner"], remove: [Name.checkpointOwner],
            add: isSwitch ? ["\(Name.ownerSwitches) :one"] : [], values: [":owner": .s(worker)])
        guardOwners(&write, lease)
        write.returnValues = "ALL_NEW"
        return write
    }

    /// The start of a graceful handover to `worker`; the owner learns of it when it renews, and ends it.
    ///
    /// The counter stays, as the one write of all: an owner that finds its renewal refused renews again with the
    /// counter that it knows, and would take a raised one for a lost lease. The condition requires the counter as read
    /// all the same. An unowned lease is assigned.
    public static func startHandoff(table: String, _ lease: Lease, to worker: String) -> UpdateItem {
        guard lease.leaseOwner != nil else { return assign(table: table, lease, to: worker) }
        var lease = lease
        lease.checkpointOwner = nil
        var write = UpdateItem(
            table: table, key: key(lease.leaseKey),
            update: "SET \(Name.owner) = :owner, \(Name.checkpointOwner) = :wasOwner",
            condition: "attribute_exists(\(hashKey)) AND \(Name.counter) = :counter",
            values: [":owner": .s(worker), ":counter": .n(lease.leaseCounter)], returnValues: "ALL_NEW")
        guardOwners(&write, lease)
        return write
    }
}
