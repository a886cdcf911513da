import AWSWire
import Leases
import Machine

/// When the table is read, checked, audited and cleaned.
struct Upkeep: Sendable {
    var nextWholeScan = Timestamp.zero
    var nextSegmentScan = Timestamp.zero
    /// The scan on its way, and whether it is one at KCL's cadence, after which a steal is allowed.
    var scanning: (scan: WorkerMachine.Scan, isTakersRun: Bool, at: Timestamp)?
    /// Counts the segment scans: its own segment and the others it reads come in turn.
    var turn = 0
    var scanFailures = 0
    /// Read units of the last whole scan.
    var wholeScanUnits = 0.0
    var provisionedReads: Int?
    var nextExpiry = Timestamp.never
    var nextModeCheck = Timestamp.zero
    var nextAudit = Timestamp.zero
    var nextCleanup = Timestamp.zero
    var lastHoles: [HashKeyRange] = []
    var holeSightings = 0
    var syncWanted = false
    var cleanupWanted = false
    /// Keys that are not known to be shards of ours; a listing decides.
    var unknownKeys: Set<String> = []
    var checkedKeys: Set<String> = []
    var isListing = false
    var nextListing = Timestamp.zero

    private let configuration: WorkerConfiguration

    init(_ configuration: WorkerConfiguration) { self.configuration = configuration }

    /// How often the table's mode is looked at again.
    static let modeCheckInterval: Duration = .seconds(60)
    /// ListShards is limited to 100 calls a second and stream for everybody; one worker asks at most this often.
    static let listingPause: Duration = .seconds(5)

    mutating func started(_ now: Timestamp) {
        nextWholeScan = now + configuration.takeInterval
        nextSegmentScan = now + segmentInterval
        nextModeCheck = now + Self.modeCheckInterval
        nextAudit = now + min(configuration.leasesRecoveryAuditorInterval, .seconds(60))
        nextCleanup = now + configuration.completedLeaseCleanupInterval
    }

    /// One steal at a time, and `count` to go: the next run of the taker comes the sooner the more there are, because
    /// the more patient rule of Java's would leave us the last to have its share. Twenty take two of its intervals,
    /// where that takes no more than 100 units a second.
    mutating func stealSoon(_ count: Int, _ now: Timestamp) {
        guard provisionedReads == nil else { return }
        let interval = configuration.takeInterval
        let soonest = min(interval / 4, .seconds(wholeScanUnits / 100))
        nextWholeScan = min(nextWholeScan, now + max(soonest, interval / min(max(4, 2 * count), 16)))
    }

    /// Whoever is new here looks again soon, however rarely the table is read otherwise.
    mutating func lookSoon(_ now: Timestamp) {
        nextSegmentScan = min(nextSegmentScan, now + configuration.segmentScanInterval)
    }

    /// The pause between segment scans. All workers together read the table once in it; of a provisioned table's
    /// reads the fleet uses at most a fifth: a tenth for segments, a tenth for whole scans.
    var segmentInterval: Duration {
        guard let provisionedReads else { return configuration.segmentScanInterval }
        return max(configuration.segmentScanInterval, .seconds(wholeScanUnits / (0.1 * Double(provisionedReads))))
    }

    func wholeInterval(workers: Int) -> Duration {
        guard let provisionedReads else { return configuration.takeInterval }
        let share = Double(workers) * wholeScanUnits / (0.1 * Double(provisionedReads))
        return max(configuration.takeInterval, .seconds(share))
    }

    func nextDeadline(after now: Timestamp) -> Timestamp {
        var candidates = [nextExpiry, nextModeCheck, nextAudit, nextCleanup]
        if scanning == nil { candidates += [nextWholeScan, nextSegmentScan] }
        if wantsListing { candidates.append(nextListing) }
        return candidates.filter { $0 > now }.min() ?? .never
    }

    var wantsListing: Bool {
        !isListing && (syncWanted || cleanupWanted || !unknownKeys.isSubset(of: checkedKeys))
    }
}

extension WorkerMachine {
    mutating func upkeepIfDue(_ now: Timestamp) -> [Effect] {
        var effects: [Effect] = []
        if let scan = scanIfDue(now) { effects.append(.scan(scan)) }
        if now >= upkeep.nextExpiry {
            upkeep.nextExpiry = .never
            effects += takeLeases(maySteal: false, now)
        }
        if now >= upkeep.nextModeCheck {
            upkeep.nextModeCheck = now + Upkeep.modeCheckInterval
            upkeep.checkedKeys = []
            effects.append(.checkMode)
        }
        if now >= upkeep.nextAudit {
            upkeep.nextAudit = now + configuration.leasesRecoveryAuditorInterval
            effects += audit(now)
        }
        if now >= upkeep.nextCleanup {
            upkeep.nextCleanup = now + configuration.completedLeaseCleanupInterval
            if configuration.cleanupLeasesUponShardCompletion,
                rows.values.contains(where: { $0.lease?.isEnded == true })
            {
                upkeep.cleanupWanted = true
            }
        }
        if upkeep.wantsListing, now >= upkeep.nextListing {
            upkeep.isListing = true
            upkeep.nextListing = now + Upkeep.listingPause
            effects.append(.listShards)
        }
        return effects
    }

    private mutating func scanIfDue(_ now: Timestamp) -> Scan? {
        let isTakersRun = now >= upkeep.nextWholeScan
        guard upkeep.scanning == nil, isTakersRun || now >= upkeep.nextSegmentScan else { return nil }
        var scan = Scan(segment: 0, segments: 1)
        if !isTakersRun, !isNewcomer {
            let (segments, mine) = readingShare()
            if segments > 1 {
                upkeep.turn += 1
                scan = Scan(segment: mine[upkeep.turn % mine.count], segments: segments)
            }
        }
        upkeep.scanning = (scan, isTakersRun, now)
        return scan
    }

    mutating func scanned(_ scan: Scan, _ read: [LeaseRow], _ units: Double, _ now: Timestamp) -> [Effect] {
        guard let scanning = upkeep.scanning, scanning.scan == scan else { return [] }
        upkeep.scanning = nil
        upkeep.scanFailures = 0
        // Clamped, because it becomes a duration and comes from outside.
        if scan.isWhole { upkeep.wholeScanUnits = min(max(0, units), 1e6) }
        note(read, isWhole: scan.isWhole, now)
        if scan.isWhole { isNewcomer = false }
        adaptPace(now)
        scheduleScans(after: scanning, now)
        // Parents that ended in other workers: children that wait for them here look again.
        tenures.parentsMayHaveEnded(Set(read.lazy.compactMap(\.lease).filter(\.isEnded).map(\.shardID)))
        var effects = doubt(read, now) + takeLeases(maySteal: scanning.isTakersRun, now)
        if scanning.isTakersRun { effects += failoverWarnings() }
        if isMeasured, scanning.isTakersRun {
            effects.append(.report(WorkerMeasure(.takeLeases(taking), duration: now - scanning.at)))
        }
        upkeep.nextExpiry = nextExpiry(after: now)
        return effects
    }

    /// Rows of ours that are in others' hands by now: the robbed worker need not wait for its next renewal to know.
    private mutating func doubt(_ read: [LeaseRow], _ now: Timestamp) -> [Effect] {
        var effects: [Effect] = []
        for case .lease(let lease) in read where lease.leaseOwner != configuration.workerID {
            guard var tenure = tenures[lease.leaseKey], lease.leaseCounter > tenure.held.lease.leaseCounter else {
                continue
            }
            effects += route(tenure.held.doubted(), &tenure, now)
            tenures[lease.leaseKey] = tenure
        }
        return effects
    }

    private mutating func scheduleScans(
        after scanning: (scan: Scan, isTakersRun: Bool, at: Timestamp), _ now: Timestamp
    ) {
        // Whoever reads for the dead reads as often as they would have.
        let share = Double(max(2, readingShare().mine.count)) / 2
        let interval = generator.jittered(upkeep.segmentInterval, by: 0.05) / share
        upkeep.nextSegmentScan = max(now, scanning.at + interval)
        if scanning.isTakersRun {
            upkeep.nextWholeScan = scanning.at + upkeep.wholeInterval(workers: liveOwners().count)
        }
    }

    /// The next moment at which a lease that others hold expires, unless it is seen to move before.
    private func nextExpiry(after now: Timestamp) -> Timestamp {
        var next = Timestamp.never
        for (key, row) in rows where tenures[key] == nil && row.lease?.leaseOwner != nil {
            if let expiry = liveness.expiry(of: key, configured: configuration.failoverTime), expiry > now {
                next = min(next, expiry)
            }
        }
        return next
    }

    mutating func scanFailed(
        _ scan: Scan, _ meaning: AWSError.Meaning, _ message: String, _ now: Timestamp
    ) -> [Effect] {
        guard let scanning = upkeep.scanning, scanning.scan == scan else { return [] }
        upkeep.scanning = nil
        upkeep.scanFailures += 1
        let pause = generator.jittered(
            min(upkeep.segmentInterval * (1 << min(upkeep.scanFailures, 4)), .seconds(10)), by: 0.2)
        upkeep.nextSegmentScan = now + pause
        if scanning.isTakersRun { upkeep.nextWholeScan = now + pause }
        var effects: [Effect] = []
        if isMeasured, scanning.isTakersRun {
            effects.append(.report(WorkerMeasure(.takeLeases(nil), duration: now - scanning.at, isSuccess: false)))
        }
        if upkeep.scanFailures == 2 || upkeep.scanFailures % 20 == 0 {
            effects.append(.emit(WorkerEvent(.throttled, at: .zero, message: message)))
        }
        return effects
    }

    // MARK: Shard sync, audit and cleanup (kcl.md §5)

    mutating func shardsListed(_ listed: ShardTree?, _ now: Timestamp) -> [Effect] {
        upkeep.isListing = false
        isStreamGone = listed == nil
        if let listed { tree = listed }
        upkeep.checkedKeys.formUnion(upkeep.unknownKeys)
        upkeep.unknownKeys = []
        var effects: [Effect] = []
        if upkeep.syncWanted, let listed {
            upkeep.syncWanted = false
            let result = shardSync(
                listed, leases: rows.values.compactMap(\.lease).sorted { $0.leaseKey < $1.leaseKey },
                at: configuration.initialPosition,
                ignoreUnexpectedChildShards: configuration.ignoreUnexpectedChildShards)
            // An open child of an open parent is an inconsistent listing; the next audit looks again.
            if !result.leasesToCreate.isEmpty { effects.append(.create(result.leasesToCreate, lookedAt: now)) }
            effects.append(
                .emit(
                    WorkerEvent(
                        .shardSynced, at: .zero,
                        message: "\(result.leasesToCreate.count) leases to create, \(result.unexpectedChildren.count) "
                            + "shards listed inconsistently")))
        }
        if upkeep.cleanupWanted {
            upkeep.cleanupWanted = false
            effects += cleanUp(listed)
        }
        return effects + takeLeases(maySteal: false, now)
    }

    mutating func listFailed(_ now: Timestamp) -> [Effect] {
        upkeep.isListing = false
        return []
    }

    mutating func created(_ leases: [Lease], _ failure: String?, _ now: Timestamp) -> [Effect] {
        note(leases.filter { rows[$0.leaseKey] == nil }.map { .lease($0) }, isWhole: false, now)
        var effects: [Effect] = leases.map {
            .emit(WorkerEvent(.leaseCreated, at: .zero, shardID: $0.shardID, checkpoint: $0.checkpoint))
        }
        if let failure {
            upkeep.syncWanted = true
            effects.append(.emit(WorkerEvent(.throttled, at: .zero, message: failure)))
        }
        return effects + takeLeases(maySteal: false, now)
    }

    /// The elected worker looks for hash ranges that no lease covers; seen often enough, the shards are synced.
    private mutating func audit(_ now: Timestamp) -> [Effect] {
        guard isElected else {
            upkeep.holeSightings = 0
            return isMeasured ? [.report(WorkerMeasure(.auditByAnother))] : []
        }
        if !rows.values.contains(where: { $0.lease != nil }) {
            upkeep.syncWanted = true
            return isMeasured ? [.report(WorkerMeasure(.audit(hasHoles: true, wantsSync: true)))] : []
        }
        var effects: [Effect] = []
        var ranges: [HashKeyRange] = []
        let leases = rows.values.compactMap(\.lease).filter { !$0.isEnded && isOurs($0) }
        for lease in leases.sorted(by: { $0.leaseKey < $1.leaseKey }) {
            guard let range = lease.hashKeyRange ?? tree[lease.leaseKey]?.hashKeyRange else { continue }
            ranges.append(range)
            if lease.hashKeyRange == nil { effects.append(.setHashKeyRange(key: lease.leaseKey, range)) }
        }
        let found = holes(in: ranges)
        upkeep.holeSightings = found.isEmpty ? 0 : found == upkeep.lastHoles ? upkeep.holeSightings + 1 : 1
        upkeep.lastHoles = found
        if upkeep.holeSightings >= configuration.leasesRecoveryAuditorConfidenceThreshold {
            upkeep.holeSightings = 0
            upkeep.syncWanted = true
        }
        if isMeasured {
            let operation = WorkerMeasure.Operation.audit(hasHoles: !found.isEmpty, wantsSync: upkeep.syncWanted)
            effects.append(.report(WorkerMeasure(operation)))
        }
        return effects
    }

    /// Ended leases whose children are on their way: of this worker, and, by the elected one, of nobody.
    private func cleanUp(_ listed: ShardTree?) -> [Effect] {
        let leases = rows.compactMapValues(\.lease)
        let living = liveOwners()
        // Ended leases may name the dead for long; they are not elected.
        let leader = shardSyncLeader(owners: leases.values.compactMap(\.leaseOwner).filter(living.contains))
        let isLeader = leader == nil || leader == configuration.workerID
        return leases.keys.sorted().compactMap { key in
            guard let lease = leases[key], lease.isEnded, isOurs(lease) || isStreamGone else { return nil }
            // Rows that name us from an earlier run are ended by nobody else.
            let isMine = tenures[key]?.shard.hasEnded ?? (lease.leaseOwner == configuration.workerID)
            let isOrphan = !(lease.leaseOwner.map(living.contains) ?? false)
            guard isMine || (isLeader && isOrphan) else { return nil }
            guard mayDelete(lease, leases: leases, tree: listed) else { return nil }
            return .delete(key: key, LeaseTable.deletion(of: lease, by: configuration.workerID))
        }
    }

    mutating func deleted(_ key: String, _ result: WriteResult, _ now: Timestamp) -> [Effect] {
        guard case .stored = result else { return [] }
        rows[key] = nil
        liveness.forget(key: key)
        var effects: [Effect] = [.emit(WorkerEvent(.leaseDeleted, at: .zero, shardID: key))]
        if var tenure = tenures[key] {
            _ = tenure.held.abandon()
            tenures[key] = tenure
            if !tenure.held.isWriting { effects += forget(key, tenure) }
        }
        return effects
    }
}
