public import AWSWire

/// Rows that an operator makes, deletes and puts back.
extension LeaseTable {
    /// What deleting a lease by hand requires: the row as it was just read, whoever has it.
    public static func deletion(ofOrphan lease: Lease) -> Deletion {
        var condition = "#counter = :counter"
        var values: Item = [":counter": .n(lease.leaseCounter)]
        for (name, placeholder, value) in [
            (Name.owner, ":owner", lease.leaseOwner), (Name.checkpointOwner, ":checkpointOwner", lease.checkpointOwner),
        ] {
            if let value {
                condition += " AND \(name) = \(placeholder)"
                values[placeholder] = .s(value)
            } else {
                condition += " AND attribute_not_exists(\(name))"
            }
        }
        return Deletion(condition: condition, names: ["#counter": Name.counter], values: values)
    }

    /// A deleted row as it is put back: nobody owns it, and its counter goes on.
    public static func restored(_ row: Item, _ lease: Lease) -> Item {
        var item = row
        for name in [Name.owner, Name.checkpointOwner, Name.ownerMark] { item[name] = nil }
        item[Name.counter] = .n(lease.leaseCounter &+ 1)
        return item
    }

    /// Whether a row says what kind of row it is, as KCL 3.5 and later write it.
    public static func namesItsKind(_ row: Item) -> Bool { row[Name.entityType] != nil }

    /// A lease's row that says so.
    public static func namingItsKind(_ row: Item) -> Item {
        var row = row
        row[Name.entityType] = .s("LEASE")
        return row
    }
}
