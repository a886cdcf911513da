import AWSWire
import Leases
import Machine

/// Where the trail of actions goes: one NDJSON line before and one after. No audit, no action.
package struct AuditLog: Sendable {
    /// Why a line could not be kept; the message names the file.
    package struct Failure: Error, Hashable, CustomStringConvertible {
        package var description: String

        package init(_ description: String) { self.description = description }
    }

    /// Appends one line (without line feed) and returns when it is kept.
    package var append: @Sendable (String) async throws(Failure) -> Void

    package init(append: @escaping @Sendable (String) async throws(Failure) -> Void) { self.append = append }
}

/// Who acts.
package struct Caller: Hashable, Sendable {
    /// An ARN, a profile or a user: as much as is known.
    package var name: String
    package var account: String?

    package init(name: String, account: String? = nil) {
        self.name = name
        self.account = account
    }
}

/// One line of the audit.
struct AuditEntry {
    enum Phase: String {
        case before
        case after
    }

    var phase: Phase
    /// The same for the two lines of one action.
    var id: String
    var at: UnixTime
    var plan: Plan
    var caller: Caller
    var identity: FleetIdentity
    var reason: String?
    /// The row as read just before the write.
    var oldRow: Item?
    var newRow: Item?
    var attempt: Int
    var requestID: String?
    var outcome: String?

    var line: String {
        let call: AWSValue = .list(plan.callLines.map { .string($0) })
        return JSON.text(
            .members([
                "version": 1, "id": .string(id), "at": .string(CivilTime(at).iso8601),
                "phase": .string(phase.rawValue), "action": .string(plan.action.verb),
                "application": .string(identity.application), "table": .string(identity.table),
                "stream": identity.stream.map { .string($0) }, "shardIds": .list(plan.shardIDs.map { .string($0) }),
                "owner": plan.intent.owner.map { .string($0) },
                "checkpointOwner": plan.intent.checkpointOwner.map { .string($0) },
                "target": plan.intent.target.map { .string($0) }, "caller": .string(caller.name),
                "account": (caller.account ?? identity.account).map { .string($0) },
                "region": .string(identity.region), "endpoint": identity.endpoint.map { .string($0) },
                "reason": reason.map { .string($0) }, "attempt": .int(Int64(attempt)), "call": call,
                "oldRow": oldRow.map(\.wire), "newRow": newRow.map(\.wire),
                "requestId": requestID.map { .string($0) }, "outcome": outcome.map { .string($0) },
            ]))
    }
}
