import Machine

/// The same done to several shards: a plan each, performed one after the other.
package struct PlanSet: Hashable, Sendable {
    /// Of a shard that is left out, why.
    package struct Refused: Hashable, Sendable {
        package var why: String

        package init(why: String) { self.why = why }
    }

    package var plans: [Plan]
    package var refused: [Refused]

    /// Above so many shards the number must be typed: a yes comes too easily.
    package static let countTypedAbove = 10
    /// Between two writes, so that a fleet takes up one lease after the other and a person can stop it.
    package static let pace: Duration = .milliseconds(500)

    package init(plans: [Plan], refused: [Refused] = []) {
        self.plans = plans
        self.refused = refused
    }

    package var verb: String {
        let verbs = Set(plans.map(\.action.verb)).sorted()
        return verbs.isEmpty ? "nothing" : verbs.joined(separator: "/")
    }

    package var title: String { "\(verb) \(plans.count) shard\(plans.count == 1 ? "" : "s")" }

    /// What a person types to confirm: what a plan wants, and the number of many.
    package var typed: String? {
        var words = Set(plans.compactMap(\.typed)).sorted()
        if plans.count > Self.countTypedAbove { words.append("\(plans.count)") }
        return words.isEmpty ? nil : words.joined(separator: " ")
    }
}

/// What became of a set.
package struct SetOutcome: Hashable, Sendable {
    /// The plan that was not carried out, at which the set ended.
    package struct Failed: Hashable, Sendable {
        package var shardID: String
        package var outcome: PlanOutcome

        package init(shardID: String, outcome: PlanOutcome) {
            self.shardID = shardID
            self.outcome = outcome
        }
    }

    package var done: Int
    package var total: Int
    /// `nil` where all was done, or a person stopped it.
    package var failed: Failed?

    package init(done: Int, total: Int, failed: Failed? = nil) {
        self.done = done
        self.total = total
        self.failed = failed
    }
}

extension Operator {
    /// Performs one plan after the other, with a pause between; ends at the first that is not carried out.
    ///
    /// - Parameters:
    ///   - goesOn: asked before each; no write is broken off.
    ///   - done: told of each outcome, and how many were carried out so far.
    package func perform(
        _ set: PlanSet, reason: String? = nil, goesOn: @Sendable () -> Bool = { true },
        done: @Sendable (Plan, PlanOutcome, Int) -> Void = { _, _, _ in }
    ) async -> SetOutcome {
        var outcome = SetOutcome(done: 0, total: set.plans.count)
        for plan in set.plans {
            if outcome.done > 0 {
                do { try await time.sleep(for: PlanSet.pace) } catch { return outcome }
            }
            guard goesOn() else { return outcome }
            let result = await perform(plan, reason: reason)
            if case .written = result { outcome.done += 1 }
            done(plan, result, outcome.done)
            guard case .written = result else {
                outcome.failed = SetOutcome.Failed(shardID: plan.shardIDs.first ?? "", outcome: result)
                return outcome
            }
        }
        return outcome
    }
}
