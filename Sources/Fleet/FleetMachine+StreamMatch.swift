import AWSWire
import Leases
import Machine

/// Whether the named streams are those that the rows were written for.
extension FleetMachine {
    /// Compares each named stream with its rows; called after every scan and every answer.
    mutating func judgeNamedStreams(at now: Timestamp) {
        guard namesStreams, scans > 0 else { return }
        let all = namedEvidence(now: clock.time(at: now))
        for place in streams.all.indices {
            let evidence = all[place]
            if streams[place].leases != evidence.leases { surveyed = nil }
            streams[place].leases = evidence.leases
            guard streams[place].isWanted else { continue }
            streams[place].recreated = evidence.earlier.sorted()
            streams[place].isKeyOfEarlier = false
            let match = judged(place, evidence, at: now)
            if match != streams[place].match {
                streams[place].match = match
                surveyed = nil
                schedule.isDirty = true
            }
        }
        guard let given = configuration.identity.stream else { return }
        let match = givenMatch(given)
        if match != streamMatch {
            streamMatch = match
            schedule.isDirty = true
        }
    }

    /// The table against the stream that a person named.
    private func givenMatch(_ given: String) -> StreamMatch {
        let meant = streams.all.filter { $0.isWanted && $0.leases > 0 }
        guard !meant.isEmpty else {
            let names = Set(streams.all.lazy.filter { $0.leases > 0 }.map(\.id.name)).sorted().prefix(3)
            return .foreign("the table is of \(names.joined(separator: ", "))")
        }
        return meant.first { $0.match == .verified }?.match ?? meant[0].match
    }

    private mutating func judged(_ place: Int, _ evidence: StreamEvidence, at now: Timestamp) -> StreamMatch {
        let stream = streams[place]
        if stream.isListDenied, stream.shards != nil { return stream.match }
        guard stream.shards != nil, let listedAt = stream.listedAt else {
            return .unverified(
                stream.failures[.shards] == nil ? "its shards are not listed yet" : "its shards cannot be listed")
        }
        if let objection = evidence.objection(since: &streams[place].strangeSince, listedAt: listedAt, now: now) {
            if !objection.isFinal { wantShards(of: place, at: now) }
            return objection.match
        }
        if evidence.matching > 0 { return .verified }
        // Workers do not check what they are told, and people make the time up: only one that can be a stream's counts.
        let isTime = stream.id.created >= Self.firstStream
        if let created = stream.created, isTime {
            let difference = created.milliseconds / 1000 - stream.id.created
            if difference > 1 {
                streams[place].isKeyOfEarlier = true
                return .unverified("the keys are of an earlier stream")
            }
            if difference >= -1, evidence.earlier.isEmpty { return .verified }
        }
        if !evidence.earlier.isEmpty { return .unverified("checkpoints are of an earlier stream") }
        if stream.match == .verified { return .verified }
        guard stream.created != nil else { return .unverified("when it was created is not known yet") }
        return .unverified(
            isTime ? "it is older than its keys say" : "its keys hold no time of creation, and no checkpoint is in it")
    }

    /// November 2013: no stream is older than the service.
    private static let firstStream: Int64 = 1_383_264_000

    private func namedEvidence(now: UnixTime) -> [StreamEvidence] {
        var all = Array(repeating: StreamEvidence(), count: streams.all.count)
        for place in rows.slots.indices {
            guard let stream = rows.slots[place].stream, let lease = rows.slots[place].lease else { continue }
            all[stream].leases += 1
            all[stream].note(lease, rows.slots[place].shard, now: now)
        }
        return all
    }

    /// Rows of a stream that was deleted and created again.
    func namedRecreatedFindings() -> [Finding] {
        var findings: [Finding] = []
        for stream in streams.all where stream.isWanted && stream.leases > 0 {
            let name = stream.id.name
            let isNewOneNamed = streams.all.contains {
                $0.id.name == name && $0.id.account == stream.id.account && $0.id.created > stream.id.created
                    && $0.leases > 0
            }
            if stream.isKeyOfEarlier {
                findings.append(keyFinding(stream, isNewOneNamed: isNewOneNamed))
            } else if !stream.recreated.isEmpty {
                let isSure = stream.match == .verified
                findings.append(
                    Finding(
                        kind: .streamRecreated, subject: stream.text, severity: isSure ? .critical : .warning,
                        shardIDs: stream.recreated, stream: stream.text,
                        message: "\(stream.recreated.briefShards): the checkpoint is of a stream before this \(name): "
                            + "the service refuses such a position, so nobody reads; rewind to TRIM_HORIZON, or give "
                            + "the workers the stream's new time of creation"))
            }
        }
        return findings
    }

    private func keyFinding(_ stream: NamedStream, isNewOneNamed: Bool) -> Finding {
        let keys = rows.slots.indices.lazy.compactMap { place -> String? in
            guard let row = self.rows.slots[place].lease,
                self.rows.slots[place].stream.map({ self.streams[$0].id })
                    == stream.id, !row.isEnded
            else { return nil }
            return row.leaseKey
        }
        let named = CivilTime(UnixTime(milliseconds: stream.id.created * 1000)).iso8601
        let created = stream.created.map { CivilTime($0).iso8601 } ?? ""
        return Finding(
            kind: .streamRecreated, subject: stream.text, severity: isNewOneNamed ? .info : .warning,
            shardIDs: Array(keys), stream: stream.text,
            message: "\(stream.id.name): the keys are of a stream created \(named), the one of this name was created "
                + "\(created): it was deleted and created again"
                + (isNewOneNamed
                    ? "; these rows are what is left of the earlier one"
                    : ", or the workers were told another time; rows of the new one have other keys"))
    }
}
