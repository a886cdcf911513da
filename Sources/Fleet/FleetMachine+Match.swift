import AWSWire
import Leases
import Machine

/// What the service writes of a shard into each of its sequence numbers.
struct ShardBirth: Hashable, Sendable {
    var created: UnixTime
    var index: UInt32

    /// `nil` where the number is not in the service's layout.
    init?(_ number: SequenceNumber?, now: UnixTime) {
        guard let number, let parts = SequenceNumberParts(number, now: now) else { return nil }
        created = parts.shardCreated
        index = parts.shardIndex
    }
}

/// The checkpoints against the shards of the same ids.
struct StreamEvidence {
    var leases = 0
    /// Leases that did not end.
    var alive = 0
    /// Of those, the ones whose shard is listed.
    var known = 0
    /// Checkpoints at a sequence number, of listed shards.
    var numbers = 0
    var matching = 0
    /// Of an earlier stream of the same name, or of one that is older: their shards.
    var earlier: [String] = []
    /// Of another stream.
    var other = 0

    /// Compares a lease with the shard of its id, where that is listed.
    mutating func note(_ lease: Lease, _ shard: ShardNote?, now: UnixTime) {
        if lease.isEnded { return }
        alive += 1
        guard let shard else { return }
        known += 1
        guard let number = lease.checkpoint.sequenceNumber else { return }
        numbers += 1
        guard let born = shard.birth, let read = SequenceNumberParts(number, now: now) else { return }
        if read.shardIndex == born.index, read.shardCreated == born.created {
            matching += 1
        } else if read.shardIndex == born.index, read.shardCreated < born.created, read.recordTime <= born.created {
            // A stream whose records are younger than this one lived beside it, so it is another.
            earlier.append(lease.leaseKey)
        } else {
            other += 1
        }
    }

    /// What speaks against the stream. It is final once the shards were listed after it was first seen, because the
    /// list may be older than a stream that was created anew.
    func objection(
        since: inout Timestamp?, listedAt: Timestamp, now: Timestamp
    ) -> (match: StreamMatch, isFinal: Bool)? {
        guard other > matching else {
            since = nil
            return nil
        }
        let first = since ?? now
        since = first
        guard first < listedAt else { return (.unverified("checkpoints do not fit its shards"), false) }
        return (.foreign("checkpoints are of another stream"), true)
    }
}

extension FleetMachine {
    /// Compares the table with the stream; called after every scan and every list that changed.
    mutating func judgeStream(at now: Timestamp) {
        guard !namesStreams else { return judgeNamedStreams(at: now) }
        guard configuration.identity.stream != nil, scans > 0 else { return }
        guard let shards, let shardsListedAt else {
            matched(.unverified("its shards are not listed yet"))
            return
        }
        if isShardListDenied {
            recreatedShards = []
            switch streamMatch {
            case .verified?, .foreign?: break
            case .unverified?, nil: matched(.unverified("its shards may not be listed any more"))
            }
            return
        }
        let evidence = evidence(now: clock.time(at: now))
        recreatedShards = evidence.earlier.sorted()
        if evidence.alive > 0, evidence.known == 0, !shards.shards.isEmpty {
            matched(.foreign("no lease is of its shards"))
            return
        }
        if let objection = evidence.objection(since: &strangeSince, listedAt: shardsListedAt, now: now) {
            if !objection.isFinal {
                schedule.nextShardList = min(schedule.nextShardList, earliestShardList(at: now))
            }
            matched(objection.match)
            return
        }
        if evidence.matching > 0 {
            matched(.verified)
        } else if !evidence.earlier.isEmpty {
            matched(.unverified("checkpoints are of an earlier stream"))
        } else if streamMatch == .verified || configuration.identity.isDemo {
            // A demo made both itself. A stream once verified stays so when its checkpoints go back to TRIM_HORIZON.
            matched(.verified)
        } else if evidence.leases == 0 {
            matched(.unverified("the table holds no lease"))
        } else {
            matched(
                .unverified(evidence.numbers == 0 ? "no checkpoint in it yet" : "its sequence numbers do not tell"))
        }
    }

    private mutating func matched(_ match: StreamMatch) {
        guard match != streamMatch else { return }
        streamMatch = match
        surveyed = nil
        schedule.isDirty = true
    }

    /// Checkpoints of an earlier stream: Kinesis refuses their sequence numbers, so nobody reads these shards.
    func recreatedFindings() -> [Finding] {
        if namesStreams { return namedRecreatedFindings() }
        guard !recreatedShards.isEmpty, let stream = configuration.identity.stream else { return [] }
        let isSure = streamMatch == .verified
        return [
            Finding(
                kind: .streamRecreated, severity: isSure ? .critical : .warning, shardIDs: recreatedShards,
                message: "\(recreatedShards.briefShards): the checkpoint is of a stream before this \(stream); "
                    + (isSure ? "" : "it was deleted and created again, or is the wrong one: ")
                    + "the service refuses such a position, so nobody reads; give the application a new table, or "
                    + "rewind to TRIM_HORIZON")
        ]
    }

    private func evidence(now: UnixTime) -> StreamEvidence {
        var evidence = StreamEvidence()
        for place in rows.slots.indices {
            guard let lease = rows.slots[place].lease else { continue }
            evidence.leases += 1
            evidence.note(lease, rows.slots[place].shard, now: now)
        }
        return evidence
    }
}
