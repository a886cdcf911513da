import AWSWire
import Fleet
import Leases

/// Works out the lines of the lineage pane: families of shards that came of splits and merges, the living ones first.
struct FamilyTree {
    private var parents: [String: [String]] = [:]
    private var children: [String: [String]] = [:]
    private let leaseOfShard: [String: Int]
    private let leases: [LeaseView]
    private let singles: Int

    /// Deeper families are cut there; no stream is resharded so often within one retention.
    private static let generationsMax = 64

    init(_ snapshot: FleetSnapshot, leaseOfShard: [String: Int]) {
        leases = snapshot.leases
        self.leaseOfShard = leaseOfShard
        var ties: Set<Tie> = []
        for index in leases.indices where leases[index].kind != .hole {
            let key = leases[index].key
            // The families of several streams are apart, though their shards have the same ids.
            let prefix = leases[index].stream == nil ? "" : key.dropLast(leases[index].shardID.count)
            for parent in leases[index].parents { ties.insert(Tie(parent: prefix + parent, child: key)) }
            for child in leases[index].children { ties.insert(Tie(parent: key, child: prefix + child)) }
        }
        var trees = snapshot.streams.map { (prefix: $0.id.leaseKey(""), tree: $0.shards) }
        trees.append(("", snapshot.shards))
        for (prefix, tree) in trees {
            for (parent, children) in tree?.children ?? [:] {
                for child in children { ties.insert(Tie(parent: prefix + parent, child: prefix + child)) }
            }
        }
        for tie in ties.sorted(by: { ($0.parent, $0.child) < ($1.parent, $1.child) }) {
            parents[tie.child, default: []].append(tie.parent)
            children[tie.parent, default: []].append(tie.child)
        }
        // Kinesis says which of two parents is the first; the family hangs below that one.
        for (child, unordered) in parents where unordered.count > 1 {
            for (prefix, tree) in trees where child.hasPrefix(prefix) {
                let ids = tree?[String(child.dropFirst(prefix.count))]?.parentShardIDs ?? []
                let listed = ids.map { prefix + $0 }.filter(unordered.contains)
                if listed.count == unordered.count { parents[child] = listed }
            }
        }
        let tied = Set(parents.keys).union(children.keys)
        singles = leaseOfShard.count - tied.reduce(0) { $0 + (leaseOfShard[$1] == nil ? 0 : 1) }
    }

    private struct Tie: Hashable {
        var parent: String
        var child: String
    }

    func lines() -> (lines: [Rows.FamilyLine], singles: Int) {
        let roots = children.keys.filter { parents[$0] == nil }
        var living: [String: Bool] = [:]
        let ranked = roots.map { (isLiving: isLiving($0, depth: 0, &living), id: $0) }
            .sorted { ($0.isLiving ? 0 : 1, $0.id) < ($1.isLiving ? 0 : 1, $1.id) }
        var lines: [Rows.FamilyLine] = []
        var visited: Set<String> = []
        for root in ranked { append(root.id, trunks: [], isLast: true, parent: nil, to: &lines, &visited) }
        return (lines, singles)
    }

    /// Whether something is going on there or below: a shard that is closed and not ended, or waits. Each is asked
    /// once, since after many splits and merges there are more ways down a family than shards in it.
    private func isLiving(_ id: String, depth: Int, _ known: inout [String: Bool]) -> Bool {
        if let answer = known[id] { return answer }
        var answer = false
        if let index = leaseOfShard[id] {
            switch leases[index].state {
            case .drain, .blocked, .handoff: answer = true
            default: break
            }
        }
        known[id] = answer
        if !answer && depth < Self.generationsMax {
            for child in children[id] ?? [] where isLiving(child, depth: depth + 1, &known) {
                answer = true
                break
            }
        }
        known[id] = answer
        return answer
    }

    private func append(
        _ id: String, trunks: [Bool], isLast: Bool, parent: String?, to lines: inout [Rows.FamilyLine],
        _ visited: inout Set<String>
    ) {
        let family = parents[id] ?? []
        let isReference = visited.contains(id) || parent != nil && family.first != parent && family.count > 1
        lines.append(
            Rows.FamilyLine(
                trunks: trunks, isLast: isLast, lease: leaseOfShard[id], shardID: id,
                mergedWith: family.first { $0 != parent && parent != nil }, isReference: isReference,
                isRoot: parent == nil))
        guard !isReference, trunks.count < Self.generationsMax else { return }
        visited.insert(id)
        let below = children[id] ?? []
        for (index, child) in below.enumerated() {
            let inner = parent == nil ? [] : trunks + [!isLast]
            append(child, trunks: inner, isLast: index == below.count - 1, parent: id, to: &lines, &visited)
        }
    }
}
