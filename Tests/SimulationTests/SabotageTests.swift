import Simulation
import Testing

/// Which invariant must notice which sabotage.
private func noticer(of sabotage: Sabotage) -> Set<Invariant> {
    switch sabotage {
    case .unconditionalCheckpoint: [.zombieNeverCheckpoints, .counterNeverFalls, .checkpointNeverFalls]
    case .childAtLatest: [.nothingBelowCheckpointSkipped, .deliveredAtLeastOnce, .parentsBeforeChildren]
    case .oneParentChecked: [.parentsBeforeChildren]
    case .noSelfFencing: [.nothingAfterTheFence]
    case .expiryByWallClock: [.oneUnfencedProcessor]
    case .childrenNotCreated: [.childrenBeforeShardEnd]
    case .subSequenceRoundedUp: [.storedAsAsked]
    case .resumesAtLatest, .resumesAheadOfContinuation: [.nothingBelowCheckpointSkipped, .deliveredAtLeastOnce]
    case .unconditionalTake: [.oneUnfencedProcessor, .counterNeverFalls]
    case .oldOwnerSubscribes: [.holderSubscribes]
    case .newLeasesAsReleased: [.newLeasesUpToTarget]
    case .endedLeasesUncounted: [.balancedAtRest, .quietAtRest]
    case .foreignCadenceIgnored: [.oneUnfencedProcessor]
    case .releaseDeletes: [.deletedOnlyAtShardEnd]
    case .ownerSwitchesMissing: [.readableByJava]
    case .counterReset: [.counterNeverFalls, .javaLogsNoError]
    }
}

#if DEBUG
    private let isOptimised = false
#else
    private let isOptimised = true
#endif

extension Simulations {
    /// An engine that is broken on purpose is noticed by one of a few seeds; the first of each list is known to do it.
    ///
    /// Caught among seeds 0..<12, when this was written: unconditionalCheckpoint by 0–2, 5–11; childAtLatest,
    /// childrenNotCreated, expiryByWallClock, subSequenceRoundedUp and unconditionalTake by all; oneParentChecked by 3,
    /// 4, 11; noSelfFencing by 0–6, 9. Beside two Java workers, among 0..<8: releaseDeletes by 0, 3, 4, 6, 7;
    /// counterReset by all; ownerSwitchesMissing by 0, 1, 3, 4, 6, 7. Among 0..<6: oldOwnerSubscribes
    /// by all; newLeasesAsReleased by 1 and 4.
    @Test(
        .enabled(
            if: isOptimised, "minutes without optimisation: swift test -c release --filter aBrokenEngineIsNoticed"),
        arguments: Sabotage.allCases)
    func aBrokenEngineIsNoticed(sabotage: Sabotage) async {
        let seeds: [UInt64] = sabotage == .oneParentChecked ? [3, 4, 11, 12, 13, 14, 15, 16] : [0, 1, 2, 5, 6, 8, 15]
        var options = SimulationOptions()
        options.sabotage = sabotage
        if sabotage.needsFanOut { options.fanOut = 1 }
        options.stopsAtViolation = true
        if sabotage.needsJava { options.javaWorkers = 2 }
        let noticedBy = noticer(of: sabotage)
        var isNoticed = false
        for seed in seeds where !isNoticed {
            isNoticed = await run(seed: seed, options: options).report.violations.contains {
                noticedBy.contains($0.invariant)
            }
        }
        #expect(isNoticed, "\(sabotage) went unnoticed by seeds \(seeds)")
    }
}
