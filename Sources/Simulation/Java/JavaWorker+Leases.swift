import AWSWire
import Leases
import Machine

/// `DynamoDBLeaseTaker.takeLeases` and `DynamoDBLeaseRenewer`.
extension JavaWorker {
    /// `RENEWAL_SLACK_PERCENTAGE` of `leaseRenewalIntervalMillis`.
    private var slowScan: Duration { configuration.failoverTime / 6 }

    func runTaker() async {
        do {
            let start = now
            guard let fresh = try await scan() else { return }
            for key in taker.update(fresh, at: now) { hooks.error("the counter of \(key) went back") }
            let isSlow = now - start > slowScan
            var take = try taker.leasesToTake(at: now, using: &generator)
            if isSlow { take = try await readAgain(take) }
            var taken: [JavaLease] = []
            for lease in take {
                if let lease = try await self.take(lease) { taken.append(lease) }
            }
            if shutdownSince == nil {
                for lease in taken { hold(lease) }
            }
        } catch {
            // What was taken before the failure is forgotten, and ours by name only.
            logged(error, in: "lease taking")
        }
    }

    /// `nil` where the table is throttled: there is one try.
    private func scan() async throws(JavaFailure) -> [JavaLease]? {
        do throws(JavaFailure) { return try await refresher.listLeases() } catch {
            if error == .throttled { return nil }
            throw error
        }
    }

    /// Stolen leases are read again after a slow scan, for their counters moved on.
    private func readAgain(_ leases: [JavaLease]) async throws -> [JavaLease] {
        var current: [JavaLease] = []
        for lease in leases {
            guard lease.isMarkedForSteal else {
                current.append(lease)
                continue
            }
            do throws(JavaFailure) {
                guard var read = try await refresher.lease(lease.leaseKey) else {
                    // The null goes among the leases to take. KCL's own cleanup deletes what ended and may be stolen
                    // at any moment; only a lease that must not go is somebody's fault.
                    throw missing(
                        lease.leaseKey, "NullPointerException: \(lease.leaseKey) is gone", mayBeCleanedUp: true)
                }
                read.isMarkedForSteal = true
                current.append(read)
            } catch {
                switch error {
                case .runtime, .ownRuntime: throw error
                case .throttled, .dependency, .invalidState, .killed: current.append(lease)
                }
            }
        }
        return current
    }

    /// Three tries where the table is throttled; `nil` where somebody else was faster.
    private func take(_ lease: JavaLease) async throws -> JavaLease? {
        for _ in 0..<3 {
            var mine = lease
            let isTaken = try await takeOnce(&mine)
            guard let isTaken else { continue }
            guard isTaken else { return nil }
            mine.lastIncrement = now
            mine.isMarkedForSteal = false
            taker.note(mine)
            emit(
                lease.isMarkedForSteal ? .leaseStolen : .leaseTaken, lease.leaseKey,
                "from \(lease.leaseOwner ?? "nobody")", counter: mine.leaseCounter)
            return mine
        }
        return nil
    }

    /// `nil` where the table is throttled.
    private func takeOnce(_ lease: inout JavaLease) async throws(JavaFailure) -> Bool? {
        do throws(JavaFailure) { return try await refresher.take(&lease, owner: configuration.workerID) } catch {
            if error == .throttled { return nil }
            throw error
        }
    }

    /// `addLeasesToRenew`.
    func hold(_ lease: JavaLease) {
        lastToken += 1
        var lease = lease
        lease.token = lastToken
        owned[lease.leaseKey] = Held(lease)
    }

    /// `renewLeases`: all at once.
    func renewAll() async {
        await withDiscardingTaskGroup { group in
            for key in owned.keys.sorted(by: >) {
                group.addTask { await self.renew(key) }
            }
        }
    }

    private func renew(_ key: String) async {
        guard let held = owned[key] else { return }
        for _ in 0..<2 {
            do {
                if try await renewOnce(held) { return }
                // By key: whatever is held under it now.
                owned[key] = nil
                emit(.leaseLost, key)
                return
            } catch {
                if error as? JavaFailure == .throttled { continue }
                logged(error, in: "renewing \(key)")
                return
            }
        }
    }

    private func renewOnce(_ held: Held) async throws -> Bool {
        await held.monitor.lock()
        defer { held.monitor.unlock() }
        if held.lease.isExpired(configuration.failoverTime, at: now) { return false }
        var lease = held.lease
        let isRenewed = try await refresher.renew(&lease)
        held.lease.leaseCounter = lease.leaseCounter
        if isRenewed { held.lease.lastIncrement = now }
        return isRenewed
    }

    /// `getCurrentlyHeldLeases`, sorted: what was not renewed in time is not held.
    func heldLeases() -> [JavaLease] {
        owned.values.map(\.lease).filter { !$0.isExpired(configuration.failoverTime, at: now) }
            .sorted { $0.leaseKey < $1.leaseKey }
    }

    func heldLease(_ key: String) -> JavaLease? {
        guard let lease = owned[key]?.lease, !lease.isExpired(configuration.failoverTime, at: now) else { return nil }
        return lease
    }

    /// `updateLease`: a checkpoint through the lease as it was acquired with `token`.
    func update(_ lease: JavaLease, token: Int) async throws(JavaFailure) -> Bool {
        guard let held = owned[lease.leaseKey], held.lease.token == token else { return false }
        await held.monitor.lock()
        defer { held.monitor.unlock() }
        // In memory at once, whatever becomes of the write.
        held.lease.update(lease)
        var written = held.lease
        guard try await refresher.update(&written) else {
            if owned[lease.leaseKey] === held { owned[lease.leaseKey] = nil }
            emit(.leaseLost, lease.leaseKey, "its checkpoint failed")
            return false
        }
        held.lease.leaseCounter = written.leaseCounter
        held.lease.lastIncrement = now
        return true
    }

    /// `dropLease`: locally.
    func drop(_ key: String) { owned[key] = nil }
}
