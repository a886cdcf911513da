/// Shares the memory for records out among the shards of a worker.
///
/// What a shard may hold is an equal share, or what all others leave over, if that is more. A shard that holds nothing
/// may always read one page or event: with pages cut to half a share, all together hold little more than the budget
/// when every shard is at its share, and twice the budget at the very most.
struct PrefetchBudget: Sendable {
    private let bytesMax: Int
    /// By all shards.
    private(set) var claimed = 0

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    /// What a shard that claimed `before` may hold now, one of `shards`; `settle` counts what it makes of it.
    mutating func allowance(before: Int, shards: Int) -> Int {
        claimed -= before
        return max(bytesMax / max(1, shards), 1, bytesMax - claimed)
    }

    mutating func settle(_ claim: Int) { claimed += claim }
}
