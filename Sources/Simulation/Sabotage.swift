import Machine

/// Ways to break the engine from outside, to prove that the invariants notice. The product has no hooks for this:
/// requests and answers are rewritten, or clocks lie.
package enum Sabotage: String, Hashable, Sendable, CaseIterable {
    /// Checkpoints are written without their condition.
    case unconditionalCheckpoint
    /// Child leases are created at LATEST instead of TRIM_HORIZON.
    case childAtLatest
    /// The second parent of a merge always reads as SHARD_END.
    case oneParentChecked
    /// The clock stands still while the machine is suspended, as CLOCK_MONOTONIC does.
    case noSelfFencing
    /// Expiry is judged by a wall clock, which is stepped.
    case expiryByWallClock
    /// Child leases are not created although the answer says so.
    case childrenNotCreated
    /// A checkpoint inside an aggregate is stored as one at its end.
    case subSequenceRoundedUp
    /// A take does not require the counter that was read.
    case unconditionalTake
    /// A subscription that follows another one starts at the tip of the shard.
    case resumesAtLatest
    /// A subscription that follows another one starts after a record that was not read yet.
    case resumesAheadOfContinuation
    /// A worker subscribes once more to a shard whose lease it lost.
    case oldOwnerSubscribes
    /// A lease that nobody ever owned is taken like one that was released.
    case newLeasesAsReleased
    /// Ended leases are not seen, and so not counted (beside Java).
    case endedLeasesUncounted
    /// Foreign owners are judged by our own failover time, whatever their cadence (beside Java).
    case foreignCadenceIgnored
    /// A lease is given up by deleting its row (beside Java).
    case releaseDeletes
    /// A take sets the counter back (beside Java).
    case counterReset
    /// A child lease has no `ownerSwitchesSinceCheckpoint` (beside Java).
    case ownerSwitchesMissing

    package var needsFanOut: Bool {
        switch self {
        case .resumesAtLatest, .resumesAheadOfContinuation, .oldOwnerSubscribes: true
        default: false
        }
    }

    /// Breaks a rule that only Java neighbours hold us to.
    package var needsJava: Bool {
        switch self {
        case .endedLeasesUncounted, .foreignCadenceIgnored, .releaseDeletes, .counterReset,
            .ownerSwitchesMissing:
            true
        default: false
        }
    }
}

extension SimulatedNode {
    /// The clock that the node's worker is given: its own, or one that lies.
    func time(under sabotage: Sabotage?) -> TimeSource {
        switch sabotage {
        case .noSelfFencing: lyingTime { self.pausedTotal * -1 }
        case .expiryByWallClock:
            // Stepped ahead by 20 s every 40 s: at a different second on each node.
            lyingTime { .seconds(((self.simulator.now - .zero).inSeconds + Double(self.number * 7)) / 40).steps * 20 }
        default: time
        }
    }

    private func lyingTime(_ lie: @escaping @Sendable () -> Duration) -> TimeSource {
        let truth = time
        let simulator = simulator
        let now: @Sendable () -> Timestamp = { truth.now() + lie() }
        return TimeSource(
            now: now, wallClock: truth.wallClock,
            sleep: { until in
                repeat { try await simulator.sleep(until: simulator.now + (until - now())) } while now() < until
            })
    }
}

extension Duration {
    /// Whole seconds.
    fileprivate var steps: Duration { .seconds(components.seconds) }
}
