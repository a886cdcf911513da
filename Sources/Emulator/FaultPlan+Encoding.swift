package import AWSWire
import Machine

extension FaultPlan {
    /// The JSON form that `init(json:)` reads.
    package var json: AWSValue { ["faults": .list(faults.map(\.json))] }
}

extension Fault {
    fileprivate var json: AWSValue {
        var value = action.json
        if let operation { value["operation"] = .string(operation) }
        if let shard { value["shard"] = .string(shard) }
        if let resource { value["resource"] = .string(resource) }
        if let worker { value["worker"] = .string(worker) }
        if probability != 1 { value["probability"] = .double(probability) }
        if let count { value["count"] = .int(Int64(count)) }
        if from != .zero { value["from"] = .string(from.planText) }
        if let until { value["until"] = .string(until.planText) }
        return value
    }
}

extension Fault.Action {
    fileprivate var json: AWSValue {
        switch self {
        case .throttle: ["do": "throttle"]
        case .fail: ["do": "fail"]
        case .unavailable: ["do": "unavailable"]
        case .delay(let by, let jitter): Self.delay("delay", by, jitter)
        case .delayAnswer(let by, let jitter): Self.delay("delayAnswer", by, jitter)
        case .drop: ["do": "drop"]
        case .dropAnswer: ["do": "dropAnswer"]
        case .expireIterator: ["do": "expireIterator"]
        case .error(let type, let message, let status):
            .members([
                "do": "error", "type": .string(type), "message": message.isEmpty ? nil : .string(message),
                "status": .int(Int64(status)),
            ])
        }
    }

    private static func delay(_ name: String, _ by: Duration, _ jitter: Double) -> AWSValue {
        .members([
            "do": .string(name), "by": .string(by.planText), "jitter": jitter == 0 ? nil : .double(jitter),
        ])
    }
}

extension Duration {
    /// `10s`, or `250ms` where seconds are not enough.
    fileprivate var planText: String {
        let nanoseconds = wholeNanoseconds
        if nanoseconds % 1_000_000_000 == 0 { return "\(nanoseconds / 1_000_000_000)s" }
        if nanoseconds % 1_000_000 == 0 { return "\(nanoseconds / 1_000_000)ms" }
        return "\(Double(nanoseconds) / 1_000_000)ms"
    }
}
