import Leases
import Machine
import Synchronization

extension Referee {
    /// `worker` takes a lease that nobody ever owned: it must not have more than its share then.
    ///
    /// At rest only, for then every worker knows what there is. Until it reads the whole table it may still count what
    /// is gone.
    func checkShare(_ key: String, _ worker: Incarnation, _ state: inout State) {
        guard state.calmSince != nil, let traits = state.traits[worker], !traits.isJava else { return }
        let patience = traits.failoverTime * 3
        guard now - (state.createdAt[key] ?? .zero) <= patience else { return }
        // Beside Java ended leases count, too.
        let isMixed = isMixed(state)
        let counted = state.leases.values.filter { isMixed || !$0.isEnded }.map(\.leaseKey)
        let gone = state.goneAt.filter { now - $0.value <= patience }.keys
        let leases = Set(counted).union(gone).count
        let owners = Set(counted.compactMap { state.holders[$0] }).subtracting(state.dead).union([worker])
        let target = max(1, (leases + owners.count - 1) / owners.count)
        let held = counted.count { state.holders[$0] == worker }
        if held >= target {
            report(
                .newLeasesUpToTarget,
                "\(worker.workerID) holds \(held) of \(leases) leases beside \(owners.count - 1) workers and takes the "
                    + "new \(key)", &state)
        }
    }
}
