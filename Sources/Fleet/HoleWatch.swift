import AWSWire
import Leases

/// The hash ranges that the leases of one stream leave open, from scan to scan.
struct HoleWatch: Sendable {
    /// The scan that showed each first.
    private var seen: [HashKeyRange: Int] = [:]

    /// Nothing can be said now; what was seen counts no more.
    mutating func forget() { seen = [:] }

    /// The ranges that two scans in a row showed without lease, and that no shard without one explains. `indices` are
    /// the places of the stream's rows in `views`.
    mutating func confirmed(_ views: [LeaseView], at indices: some Sequence<Int>, scan: Int) -> [HashKeyRange] {
        var leased: [HashKeyRange] = []
        var shown: [HashKeyRange] = []
        for index in indices where views[index].state != .ended {
            let range = views[index].hashKeyRange
            if let range { shown.append(range) }
            guard views[index].kind == .lease else { continue }
            guard let range else {
                // Leases of old workers have none.
                forget()
                return []
            }
            leased.append(range)
        }
        guard !leased.isEmpty else {
            forget()
            return []
        }
        let before = seen
        forget()
        for hole in holes(in: leased) { seen[hole] = before[hole] ?? scan }
        let confirmed = seen.filter { scan > $0.value }.keys
        guard !confirmed.isEmpty else { return [] }
        return holes(in: shown).filter { hole in confirmed.contains { $0.start <= hole.start && hole.end <= $0.end } }
    }
}
