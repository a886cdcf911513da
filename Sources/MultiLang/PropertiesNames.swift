/// The candidate that somebody may have meant by `name`; `nil` where none is near. Case does not count.
func nearest(_ name: String, in candidates: [String]) -> String? {
    let wanted = Array(name.lowercased().utf8)
    guard 3...60 ~= wanted.count else { return nil }
    var best: (candidate: String, distance: Int)?
    for candidate in candidates {
        let other = Array(candidate.lowercased().utf8)
        // The beginning of a name, such as failoverTime for failoverTimeMillis, is nearer than its length says.
        let isBeginning = wanted.count >= 5 && other.starts(with: wanted)
        let distance = isBeginning ? 1 : editDistance(wanted, other)
        if distance < best?.distance ?? Int.max { best = (candidate, distance) }
    }
    guard let best, best.distance <= max(2, wanted.count / 4) else { return nil }
    return best.candidate
}

/// How many characters must be inserted, left out, replaced or swapped with their neighbour to make `b` of `a`.
func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var beforeLast: [Int] = []
    var last = Array(0...b.count)
    for i in a.indices {
        var row = [i + 1]
        for j in b.indices {
            var cost = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
            if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, beforeLast[j - 1] + 1) }
            row.append(cost)
        }
        (beforeLast, last) = (last, row)
    }
    return last[b.count]
}
