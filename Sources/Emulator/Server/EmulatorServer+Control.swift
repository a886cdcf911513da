import AWSWire
import Machine
import NIOCore
import NIOHTTP1
import OrderedCollections
import Synchronization

/// What the emulator says of itself, and takes at run time, below `/_shardtop/` on the same port:
///
/// * `GET health`: that it is up, and since when.
/// * `GET counts`: calls, failures and throttles of each operation, how often each metric was put, and what is open.
/// * `GET faults`, `PUT faults`, `DELETE faults`: the fault plan, as in `emulate --faults`. A new plan takes the place
///   of the old one at once; its `from` and `until` count from then.
extension EmulatorServer {
    private static let controlPath = "/_shardtop/"

    /// `nil` where the request is none of these.
    func control(_ head: HTTPRequestHead, _ body: [UInt8]) -> Response? {
        guard head.uri.hasPrefix(Self.controlPath) else { return nil }
        let name = head.uri.dropFirst(Self.controlPath.count).prefix { $0 != "?" }
        switch (name, head.method) {
        case ("health", .GET), ("health", .HEAD): return Self.controlAnswer(health)
        case ("counts", .GET), ("counts", .HEAD): return Self.controlAnswer(counts)
        case ("faults", .GET), ("faults", .HEAD): return Self.controlAnswer(emulator.faults.plan.json)
        case ("faults", .PUT):
            do {
                emulator.faults.replace(with: try FaultPlan(json: body), at: emulator.time.now())
                return Self.controlAnswer(emulator.faults.plan.json)
            } catch {
                return Self.controlAnswer(["error": .string(error.description)], status: 400)
            }
        case ("faults", .DELETE):
            emulator.faults.removeAll()
            return Self.controlAnswer(emulator.faults.plan.json)
        case ("health", _), ("counts", _), ("faults", _):
            var answer = Self.controlAnswer(["error": "\(name) does not take \(head.method.rawValue)"], status: 405)
            answer.headers.append(Header("Allow", name == "faults" ? "GET, PUT, DELETE" : "GET"))
            return answer
        default:
            return Self.controlAnswer(["error": "there are health, counts and faults here"], status: 404)
        }
    }

    private static func controlAnswer(_ value: AWSValue, status: Int = 200) -> Response {
        Response(
            status: status,
            headers: [Header("Content-Type", "application/json"), Header("Cache-Control", "no-store")],
            body: Bytes(JSON.encode(value) + [UInt8(ascii: "\n")]))
    }

    private var health: AWSValue {
        [
            "status": "ok", "endpoint": .string(endpoint.description),
            "elapsedSeconds": .double(Double(emulator.elapsed.wholeMilliseconds) / 1000),
        ]
    }

    private var counts: AWSValue {
        var operations: OrderedDictionary<String, AWSValue> = [:]
        for (name, count) in emulator.counters.byOperation.sorted(by: { $0.key < $1.key }) {
            operations[name] = [
                "calls": .int(Int64(count.calls)), "failures": .int(Int64(count.failures)),
                "throttles": .int(Int64(count.throttles)),
            ]
        }
        var data: [String: [String: Int]] = [:]
        for (metric, total) in emulator.cloudWatch.totals {
            data[metric.namespace, default: [:]][metric.name, default: 0] += total.data
        }
        let metrics = data.sorted { $0.key < $1.key }.map { namespace, names in
            (
                namespace,
                AWSValue.map(
                    OrderedDictionary(
                        uniqueKeysWithValues: names.sorted { $0.key < $1.key }
                            .map { ($0.key, AWSValue.int(Int64($0.value))) }))
            )
        }
        return [
            "version": 1, "operations": .map(operations),
            "metrics": .map(OrderedDictionary(uniqueKeysWithValues: metrics)),
            "connections": .int(Int64(registry.connectionCount)),
            "streams": .int(Int64(openStreams)),
        ]
    }
}
