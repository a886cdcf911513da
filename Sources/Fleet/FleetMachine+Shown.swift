import AWSWire
import Leases
import Machine

/// The rows that a person looks at, read between two scans: what they show counts as if a scan had shown it, but for
/// rows that come or go.
extension FleetMachine {
    /// What scans leave of the budget where they would take all of it.
    private static let share = 0.2

    /// The part of the budget that is the scans': all of it, unless a part less lets the rows that a person looks at be
    /// read oftener than a table so large.
    var scanShare: Double {
        let limit = readUnitsPerSecondLimit
        guard !shown.keys.isEmpty, limit.isFinite, failures[.rows]?.failure.meaning != .denied else { return 1 }
        let interval = max(ShownRows.interval, .seconds(min(shown.units / (limit * Self.share), 86_400)))
        return interval < meter.timeOfScan(at: limit * (1 - Self.share)) ? 1 - Self.share : 1
    }

    /// The whole table costs less than the rows on the screen: each of those takes half a unit, a scan half of one for
    /// 4 KB. Then it is read as often as they would be, and they are not read by themselves.
    var isScanCheaper: Bool { meter.unitsPerScan > 0 && meter.unitsPerScan < shown.units }

    /// How often they are read; `nil` where a scan comes as soon, or reading may take no more.
    var shownInterval: Duration? {
        guard !shown.keys.isEmpty, scans > 0, notALeaseTable == nil, failures[.scan] == nil else { return nil }
        // What is denied costs nothing; its pause is in the time of the next read.
        if failures[.rows]?.failure.meaning == .denied { return ShownRows.interval }
        let limit = readUnitsPerSecondLimit
        // As slowly as scans where reads are throttled, or nothing changes.
        var interval = ShownRows.interval * max(meter.slowness, limit.isFinite ? meter.idleness : 1)
        if limit.isFinite {
            var spare = limit - meter.unitsPerScan / refreshInterval.inSeconds
            if sides.metrics == .read { spare -= sides.metricsUnits / metricsInterval.inSeconds }
            guard spare > 0 else { return nil }
            interval = max(interval, .seconds(min(shown.units / spare, 86_400)))
        }
        return interval < refreshInterval ? interval : nil
    }

    mutating func dueShownRows(at now: Timestamp) -> [Effect] {
        guard shown.nextRead <= now, let next = shownWake(at: now), next <= now, let interval = shownInterval else {
            return []
        }
        shown.nextRead = now + interval
        let keys = shown.read(at: now) { key in
            // An ended lease stays as it is.
            rows.position(of: key).map { !(rows.slots[$0].lease?.isEnded ?? false) } ?? false
        }
        return keys.isEmpty ? [] : [.readRows(keys)]
    }

    /// When they are read next; `nil` where the scan that comes, or is under way, shows them about as soon.
    func shownWake(at now: Timestamp) -> Timestamp? {
        guard pass == nil, !shown.isUnderWay, let interval = shownInterval else { return nil }
        let next = max(now, shown.nextRead)
        return schedule.nextScan - next >= interval / 4 ? next : nil
    }

    mutating func rowsRead(_ answer: RowsRead, _ info: CallInfo, at now: Timestamp) {
        guard let asked = shown.answered(answer, units: info.readUnits) else { return }
        clock.note(info, at: now)
        meter.note(info, at: now)
        succeeded(.rows)
        // What the service did not come to was throttled; it waits as it would after an error.
        if !answer.unprocessed.isEmpty { backOffShownRows(at: now) }
        var hasChanged = false
        var isSuspect = false
        for item in answer.items {
            // Rows that come are a scan's to tell, as are those that went.
            guard let key = item[LeaseTable.hashKey]?.string, let place = rows.position(of: key),
                !rows.slots[place].isNewer(than: item)
            else { continue }
            let before = quiet(key)
            if read(item, at: now, asked: asked) {
                hasChanged = true
                rows.slots[place].isAhead = true
            } else if isJudgedAnew(from: before, to: quiet(key)) {
                isSuspect = true
            }
        }
        if hasChanged {
            shown.changed()
            meter.moved()
            // Scans that were slowed because nothing changed are no longer.
            if let lastScanAt { schedule.nextScan = min(schedule.nextScan, max(now, lastScanAt + refreshInterval)) }
        }
        if hasChanged || isSuspect { schedule.isDirty = true }
    }

    /// For how long the counter of a lease surely stood.
    private func quiet(_ key: String) -> Duration { liveness[key].map { $0.notBefore - $0.changedAt } ?? .zero }

    /// Whether its owner is LATE or EXPIRED that was not before; otherwise there is no reason for another picture.
    private func isJudgedAnew(from before: Duration, to after: Duration) -> Bool {
        [failover.duration / 2, failover.duration].contains { before < $0 && $0 <= after }
    }

    mutating func rowsReadFailed(_ error: AWSError, _ info: CallInfo, at now: Timestamp) {
        _ = shown.answered(nil)
        if error.meaning == .throttled { backOffShownRows(at: now) }
        failed(.rows, error, info, at: now)
    }

    private mutating func backOffShownRows(at now: Timestamp) {
        meter.throttled()
        shown.nextRead = max(shown.nextRead, now + ShownRows.interval * meter.slowness)
    }

    /// A recorded answer's question was not asked here.
    mutating func expectRows(at now: Timestamp) {
        shown.expect(at: now)
    }
}
