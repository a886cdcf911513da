import Leases
import Machine
import Synchronization

/// What is allowed to a fleet of Java and Swift workers.
extension FleetSimulation {
    var isMixed: Bool { scenario.mix != nil }

    /// The longest that a worker of the fleet may have.
    var failoverTimeMax: Duration { scenario.mix?.hasOwnFailoverTimes == true ? .seconds(10) : scenario.failoverTime }

    /// The longest time between two runs of a Java worker's taker.
    private var takeInterval: Duration { JavaConfiguration.takeInterval(failoverTimeMax) }

    /// Until a lease that is nobody's, or a dead worker's, runs again: a Java worker needs two scans to see that it is
    /// expired, may be held up once, and looks at parents and states at its own pace.
    var takeoverMax: Duration { failoverTimeMax + takeInterval * 3 + .seconds(15) + scenario.staleness }

    /// How many leases the neediest Java worker lacks, as it would say itself: of all rows, ended ones too.
    private var deficit: Int {
        let alive = alive.map(\.incarnation)
        return world.referee.state.withLock { state in
            let rows = state.leases.values
            let target = max(1, (rows.count + alive.count - 1) / max(1, alive.count))
            let held = alive.filter { world.referee.isJava($0, state) }
                .map { worker in rows.count { state.holders[$0.leaseKey] == worker } }
            return max(0, target - (held.min() ?? 0))
        }
    }

    /// A Java worker without leases gets one at each run of its taker; calls that hang when the turmoil ends hang for a
    /// minute, and a shard that ends then is one more disturbance.
    var mixedPatience: Duration {
        takeInterval * (deficit + 8) + takeoverMax + .seconds(60)
    }

    /// Until the leader audited the table often enough to believe that there is a hole.
    var auditPatience: Duration {
        let constants = scenario.mix?.constants ?? .real
        return constants.auditorDelay + constants.auditorInterval * (constants.auditorConfidence + 1)
    }

    /// What the shares were equal again after, and when.
    struct Balance {
        /// The end of the turmoil, or when the last row came or went.
        var disturbed: Timestamp
        /// (deficit of the neediest Java worker + 2) runs of a taker, and the calls that hung before.
        var allowed: Duration
    }

    /// The balance to come, measured from the last disturbance.
    func balance(after before: Balance?, since start: Timestamp) -> Balance {
        let disturbed = max(start, world.referee.state.withLock { $0.disturbedAt })
        if let before, before.disturbed == disturbed { return before }
        let hung: Duration = before == nil ? .seconds(60) : .zero
        return Balance(disturbed: disturbed, allowed: takeInterval * (deficit + 2) + takeoverMax + hung)
    }

    func checkBalance(_ balance: Balance, reached: Timestamp) {
        let waited = max(.zero, reached - balance.disturbed)
        world.referee.state.withLock { state in
            if waited <= state.report.balancedAfter ?? .zero { return }
            state.report.balancedAfter = waited
            state.report.balanceAllowed = balance.allowed
        }
        if waited > balance.allowed {
            world.referee.report(
                .balancedAtRest, "balance came after \(waited.inSeconds) s, \(balance.allowed.inSeconds) s are allowed")
        }
    }
}
