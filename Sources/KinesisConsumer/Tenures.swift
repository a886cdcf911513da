import HeapModule
import Machine

/// The tenures of a worker by lease key, and which of them want a look: those that an event touched, and those whose
/// deadline has come.
///
/// Whoever writes to a tenure marks it, so that none is forgotten; all others would answer a look with nothing, because
/// what they do depends on themselves and on time alone. Memory that others give back is noticed at the next look, at
/// the latest at the lease's renewal.
struct Tenures: Sendable {
    private var byKey: [String: WorkerMachine.Tenure] = [:]
    private var keysByToken: [Int: String] = [:]
    private var touched: Set<String> = []
    private var agenda = Agenda()

    subscript(key: String) -> WorkerMachine.Tenure? {
        get { byKey[key] }
        set {
            if let old = byKey[key], old.token != newValue?.token { keysByToken[old.token] = nil }
            byKey[key] = newValue
            if let newValue {
                keysByToken[newValue.token] = key
                touched.insert(key)
            } else {
                touched.remove(key)
                agenda.set(key, .never)
            }
        }
    }

    var isEmpty: Bool { byKey.isEmpty }
    var keys: some Collection<String> { byKey.keys }
    var values: some Collection<WorkerMachine.Tenure> { byKey.values }

    func key(ofToken token: Int) -> String? { keysByToken[token] }

    func key(ofShard shardID: String) -> String? {
        byKey[shardID]?.shard.shardID == shardID
            ? shardID : byKey.first { $0.value.shard.shardID == shardID }?.key
    }

    /// Children that wait for one of `parents` look again.
    mutating func parentsMayHaveEnded(_ parents: Set<String>) {
        if parents.isEmpty { return }
        for (key, tenure) in byKey where tenure.shard.state == .waitingOnParentShards {
            if tenure.shard.lease.parentShardIDs.contains(where: parents.contains) {
                self[key]?.shard.parentMayHaveEnded()
            }
        }
    }

    // MARK: What wants a look

    /// Marks what is due at `now`, too.
    mutating func touchDue(_ now: Timestamp) { touched.formUnion(agenda.popDue(now)) }

    mutating func touchAll() { touched.formUnion(byKey.keys) }

    /// The first marked key after `key`. In the order of the keys, so that a run replays.
    func firstTouched(after key: String?) -> String? {
        guard let key else { return touched.min() }
        return touched.lazy.filter { $0 > key }.min()
    }

    /// Puts back a tenure that has nothing more to do until its next deadline.
    mutating func settle(_ key: String, _ tenure: WorkerMachine.Tenure, at now: Timestamp) {
        byKey[key] = tenure
        touched.remove(key)
        agenda.set(key, tenure.nextDeadline(after: now))
    }

    /// The earliest deadline of all.
    mutating func nextDeadline(after now: Timestamp) -> Timestamp {
        for key in touched { agenda.set(key, byKey[key]?.nextDeadline(after: now) ?? .never) }
        return agenda.next
    }
}

extension WorkerMachine.Tenure {
    func nextDeadline(after now: Timestamp) -> Timestamp {
        let lease = held.nextDeadline
        return min(lease > now ? lease : .never, shard.nextDeadline(after: now))
    }
}

extension ShardMachine {
    /// One that has passed hides none that is to come.
    func nextDeadline(after now: Timestamp) -> Timestamp {
        if isComplete { return .never }
        var deadline = Timestamp.never
        func consider(_ candidate: Timestamp) { if candidate > now { deadline = min(deadline, candidate) } }
        if let shutdownDeadline { consider(shutdownDeadline) }
        consider(lastWordDeadline)
        if call == nil { consider(notBefore) }
        if state == .processing, shutdownDeadline == nil { consider(retrieval.nextDeadline) }
        return deadline
    }
}

/// Moments by key, the earliest first.
struct Agenda: Sendable {
    private struct Entry: Comparable, Sendable {
        var at: Timestamp
        var key: String

        static func < (a: Entry, b: Entry) -> Bool { a.at < b.at }
    }

    private var moments: [String: Timestamp] = [:]
    /// An entry whose key has another moment by now is void.
    private var heap = Heap<Entry>()

    /// `.never` removes.
    mutating func set(_ key: String, _ at: Timestamp) {
        guard moments[key] ?? .never != at else { return }
        if at == .never {
            moments[key] = nil
            return dropVoid()
        }
        moments[key] = at
        heap.insert(Entry(at: at, key: key))
        if heap.count > 4 * moments.count + 64 {
            heap = Heap(moments.map { Entry(at: $0.value, key: $0.key) })
        }
        dropVoid()
    }

    /// `.never` where there is none.
    var next: Timestamp { heap.min?.at ?? .never }

    /// Removes the keys whose moment has come.
    mutating func popDue(_ now: Timestamp) -> [String] {
        var due: [String] = []
        while let first = heap.min, first.at <= now {
            moments[first.key] = nil
            due.append(first.key)
            dropVoid()
        }
        return due
    }

    /// The first entry is never void.
    private mutating func dropVoid() {
        while let first = heap.min, moments[first.key] != first.at { heap.removeMin() }
    }
}
