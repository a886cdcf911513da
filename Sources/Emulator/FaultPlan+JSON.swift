import AWSWire
import OrderedCollections

/// Why a file is no fault plan: where in it, and what was expected there.
package struct FaultPlanError: Error, Hashable, CustomStringConvertible {
    /// `faults[2].probability`; empty for the file as a whole.
    package var path: String
    package var reason: String

    package var description: String { path.isEmpty ? reason : "\(path): \(reason)" }
}

extension FaultPlan {
    /// Reads the JSON form of a plan.
    package init(json text: [UInt8]) throws(FaultPlanError) {
        let tree: AWSValue
        do { tree = try JSON.decode(Bytes(text)) } catch {
            throw FaultPlanError(path: "", reason: "not JSON: \(error.description)")
        }
        guard case .map(let top) = tree, let list = tree["faults"]?.list else {
            throw FaultPlanError(path: "", reason: #"expected an object {"faults": […]}"#)
        }
        if let stranger = top.keys.first(where: { $0 != "faults" }) {
            throw FaultPlanError(path: stranger, reason: "unknown; the only member is faults")
        }
        faults = []
        for (index, entry) in list.enumerated() {
            faults.append(try FaultReader(entry: entry, path: "faults[\(index)]").fault())
        }
    }
}

/// Reads one entry, and says where it is wrong.
private struct FaultReader {
    var entry: AWSValue
    var path: String

    private static let common: Set<String> = [
        "do", "operation", "shard", "resource", "worker", "probability", "count", "from", "until",
    ]

    private static let actions: OrderedDictionary<String, Set<String>> = [
        "throttle": [], "fail": [], "unavailable": [], "delay": ["by", "jitter"], "delayAnswer": ["by", "jitter"],
        "drop": [], "dropAnswer": [], "expireIterator": [], "error": ["type", "message", "status"],
    ]

    func fault() throws(FaultPlanError) -> Fault {
        guard case .map(let members) = entry else { throw FaultPlanError(path: path, reason: "expected an object") }
        let name = try text("do")
        guard let name, let own = Self.actions[name] else {
            throw FaultPlanError(
                path: "\(path).do", reason: "expected one of \(Self.actions.keys.joined(separator: ", "))")
        }
        if let stranger = members.keys.first(where: { !Self.common.contains($0) && !own.contains($0) }) {
            throw FaultPlanError(
                path: "\(path).\(stranger)",
                reason: "unknown; \(name) takes \(Self.common.union(own).sorted().joined(separator: ", "))")
        }
        let from = try duration("from") ?? .zero
        let until = try duration("until")
        if let until, until <= from {
            throw FaultPlanError(path: "\(path).until", reason: "expected a time after from")
        }
        return Fault(
            try action(name), operation: try text("operation"), shard: try text("shard"),
            resource: try text("resource"), worker: try text("worker"),
            probability: try number("probability", in: 0...1) ?? 1,
            count: try number("count", in: 0...1e9).map { Int($0) }, from: from, until: until)
    }

    private func action(_ name: String) throws(FaultPlanError) -> Fault.Action {
        switch name {
        case "throttle": return .throttle
        case "fail": return .fail
        case "unavailable": return .unavailable
        case "drop": return .drop
        case "dropAnswer": return .dropAnswer
        case "expireIterator": return .expireIterator
        case "error":
            guard let type = try text("type") else {
                throw FaultPlanError(path: "\(path).type", reason: "missing: the error's type")
            }
            return .error(
                type: type, message: try text("message") ?? "",
                status: Int(try number("status", in: 400...599) ?? 400))
        default:
            guard let by = try duration("by") else {
                throw FaultPlanError(path: "\(path).by", reason: #"missing: how long, as in "250ms""#)
            }
            let jitter = try number("jitter", in: 0...1) ?? 0
            return name == "delay" ? .delay(by, jitter: jitter) : .delayAnswer(by, jitter: jitter)
        }
    }

    private func text(_ name: String) throws(FaultPlanError) -> String? {
        guard let value = entry[name] else { return nil }
        guard let text = value.string, !text.isEmpty else {
            throw FaultPlanError(path: "\(path).\(name)", reason: "expected a text")
        }
        return text
    }

    private func number(_ name: String, in range: ClosedRange<Double>) throws(FaultPlanError) -> Double? {
        guard let value = entry[name] else { return nil }
        guard let number = value.double, range.contains(number) else {
            let (low, high) = (range.lowerBound, range.upperBound)
            throw FaultPlanError(
                path: "\(path).\(name)", reason: "expected a number from \(Int(low)) to \(Int(high))")
        }
        return number
    }

    private func duration(_ name: String) throws(FaultPlanError) -> Duration? {
        guard let text = try text(name) else { return nil }
        let units: [(String, Double)] = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)]
        for (unit, seconds) in units where text.hasSuffix(unit) {
            guard let count = Double(text.dropLast(unit.count)), count >= 0, count * seconds < 1e9 else { break }
            return .nanoseconds(Int64((count * seconds * 1e9).rounded()))
        }
        throw FaultPlanError(path: "\(path).\(name)", reason: #"expected a time such as "500ms", "10s", "2m", "1h""#)
    }
}
