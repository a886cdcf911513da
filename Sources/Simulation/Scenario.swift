import Machine

/// What happens to a fleet while it works, drawn from the seed.
struct Scenario: Sendable {
    enum Restart: Hashable, Sendable {
        case never
        case sameID(after: Duration)
        case newID(after: Duration)
    }

    enum Incident: Hashable, Sendable {
        case kill(Restart)
        case shutDown(Restart)
        case pause(Duration)
        case partition(Partition, Duration)
        case storm(NetworkFaults, Duration)
        case split
        case merge
        /// An operator gives one lease of a worker up.
        case release
        case join
        /// Somebody deregisters the consumer of the fan-out workers.
        case deregister
        /// An operator clears the owner of a lease.
        case evict
        /// An operator takes a lease away for a worker of ours.
        case steal
    }

    var failoverTime: Duration
    /// How old an eventually consistent read of the lease table may be.
    var staleness: Duration
    var faults: NetworkFaults
    var incidents: [(at: Duration, incident: Incident)] = []
    /// Where Java workers take part.
    var mix: Mix?

    /// What else the seed decides for a mixed fleet.
    struct Mix: Sendable {
        var generation: JavaGeneration
        var constants: JavaConstants
        /// Workers have failover times of their own.
        var hasOwnFailoverTimes: Bool
        /// Who joins a table that has leases may be configured for LATEST.
        var hasOwnPositions: Bool
    }

    init(options: SimulationOptions, generator: inout SeededGenerator) {
        failoverTime = .seconds([3, 5, 5, 10].randomElement(using: &generator) ?? 5)
        staleness = generator.chance(0.4) ? .seconds(1) : .zero
        faults = .everything([0, 0.003, 0.01, 0.02].randomElement(using: &generator) ?? 0)
        // Each run has each of these; the rest is luck.
        var kinds = [0, 0, 1, 2, 4, 4, 5, 5]
        for _ in 0..<Int.random(in: 3...8, using: &generator) { kinds.append(Int.random(in: 0...8, using: &generator)) }
        // The first seconds belong to the start, the last ones to what the last incident sets in motion.
        let latest = Int64(options.turmoil.inSeconds * 850)
        for kind in kinds {
            let at = Duration.milliseconds(Int64.random(in: 1000...max(2000, latest), using: &generator))
            incidents.append((at, incident(kind, &generator)))
        }
        if options.fanOut > 0, generator.chance(0.5) {
            incidents.append((.milliseconds(Int64.random(in: 20_000...40_000, using: &generator)), .deregister))
        }
        if options.javaWorkers > 0 { mix(options, latest, &generator) }
        incidents.sort { $0.at < $1.at }
    }

    private mutating func mix(_ options: SimulationOptions, _ latest: Int64, _ generator: inout SeededGenerator) {
        let isReal = options.hasRealJavaConstants ?? generator.chance(0.5)
        mix = Mix(
            generation: generator.chance(0.5) ? .v25 : .v27, constants: isReal ? .real : .quick,
            hasOwnFailoverTimes: generator.chance(0.3), hasOwnPositions: generator.chance(0.3))
        // Where all fail over alike there is no cadence to ignore.
        if options.sabotage == .foreignCadenceIgnored { mix?.hasOwnFailoverTimes = true }
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            let at = Duration.milliseconds(Int64.random(in: 1000...max(2000, latest), using: &generator))
            incidents.append((at, generator.chance(0.5) ? .evict : .steal))
        }
    }

    private func incident(_ kind: Int, _ generator: inout SeededGenerator) -> Incident {
        func span(_ range: ClosedRange<Double>) -> Duration {
            .milliseconds(Int64(Double.random(in: range, using: &generator) * failoverTime.inSeconds * 1000))
        }
        func restart() -> Restart {
            switch Int.random(in: 0...3, using: &generator) {
            case 0: .never
            case 1: .newID(after: span(0.1...2))
            default: .sameID(after: span(0.1...3))
            }
        }
        switch kind {
        case 0: return .kill(restart())
        // Shorter than the lease now and then, mostly longer.
        case 1: return .pause(span(0.3...3))
        case 2:
            let partitions: [Partition] = [.refused, .silent, .oneWay]
            return .partition(partitions.randomElement(using: &generator) ?? .silent, span(0.3...3))
        case 3: return .storm(.everything(Double.random(in: 0.05...0.3, using: &generator)), span(0.5...3))
        case 4: return .split
        case 5: return .merge
        case 6: return .release
        case 7: return .join
        default: return .shutDown(restart())
        }
    }
}
