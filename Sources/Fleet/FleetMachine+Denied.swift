import AWSWire
import Leases
import Machine

extension FleetMachine {
    /// What is lost where the stream may not be read: the table is watched without it. `nil` for other failures.
    func deniedStreamFinding(_ what: Failing, _ failure: FleetFailure) -> Finding? {
        guard failure.meaning == .denied else { return nil }
        switch what {
        case .shards:
            // A stream was named, so a person wants to know of it.
            return Finding(
                kind: .denied, subject: FleetSnapshot.shardsSubject, severity: .warning,
                message: "\(failure.message); holes, orphans and missing leases are not looked for, and split, merge "
                    + "and scale are off")
        case .stream:
            return Finding(
                kind: .denied, subject: "\(what)", severity: .info,
                message: "\(failure.message); how long records are kept is not known, so nothing is said of records "
                    + "that are about to be lost")
        default: return nil
        }
    }
}

extension FleetSnapshot {
    static let shardsSubject = "shards"

    /// The shards of the stream may not be listed: what concerns them is off, the table is watched all the same.
    package var isShardListDenied: Bool {
        problems.contains { $0.kind == .denied && $0.id == "\(Problem.Kind.denied.rawValue):\(Self.shardsSubject)" }
    }
}

extension AWSError {
    /// The error in words for an operator: where it is a permission that is missing, which.
    func words(needing permission: String) -> String {
        meaning == .denied ? "it is denied, the policy must allow \(permission) (\(description))" : description
    }
}
