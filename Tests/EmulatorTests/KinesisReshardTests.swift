import AWSWire
import Emulator
import Machine
import Testing

@Suite("Resharding") struct KinesisReshardTests {
    private static let middle: UInt128 = 1 << 127

    @Test("A split closes the parent, whose reader gets its records, then its children", arguments: Door.allCases)
    func split(door: Door) async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.streamStatusDelay = .seconds(3)
        try await through(door, configuration) { (subject) async throws in
            try await subject.stream()
            try await subject.put(["before"])
            try await subject.kinesis.splitShard(stream: "words", shard: shardID(0), at: Self.middle)
            #expect(try await subject.kinesis.describeStreamSummary("words").status == "UPDATING")
            // The parent takes records until the reshard is done.
            let last = try await subject.put(["during"])[0]
            subject.clock.advance(.seconds(3))
            let shards = try await subject.kinesis.listShards(stream: "words")
            #expect(shards.map(\.shardID) == [shardID(0), shardID(1), shardID(2)])
            #expect(shards.map(\.isOpen) == [false, true, true])
            #expect(shards.map(\.parentShardIDs) == [[], [shardID(0)], [shardID(0)]])
            #expect(shards[1].hashKeyRange == HashKeyRange(start: 0, end: Self.middle - 1))
            #expect(shards[2].hashKeyRange == HashKeyRange(start: Self.middle, end: .max))

            let low = try await subject.put(["low"])[0]
            try await subject.put(["high"], hashKey: .max)
            let ended = try await subject.kinesis.getRecords(iterator: try await subject.iterator(), limit: 1)
            #expect(ended.records.map(\.data.text) == ["before"])
            #expect(ended.nextShardIterator != nil && ended.childShards.isEmpty)
            #expect(ended.millisBehindLatest == 3000)
            let rest = try await subject.kinesis.getRecords(
                iterator: try #require(ended.nextShardIterator), limit: 10)
            #expect(rest.records.map(\.data.text) == ["during"])
            #expect(rest.nextShardIterator == nil)
            #expect(
                rest.childShards
                    == [shards[1], shards[2]].map {
                        ChildShard(
                            shardID: $0.shardID, parentShardIDs: [shardID(0)], hashKeyRange: $0.hashKeyRange)
                    })
            #expect(rest.millisBehindLatest == 0)
            #expect(try await subject.read(try await subject.iterator(shard: 1)).texts == ["low"])
            #expect(try await subject.read(try await subject.iterator(shard: 2)).texts == ["high"])

            // A child's numbers follow its parent's end.
            let ending = try #require(shards[0].endingSequenceNumber.flatMap(SequenceNumber.init))
            #expect(try #require(SequenceNumber(last)) < ending)
            #expect(try #require(SequenceNumber(shards[1].startingSequenceNumber)) > ending)
            #expect(try #require(SequenceNumber(low)) > #require(SequenceNumber(shards[1].startingSequenceNumber)))
        }
    }

    @Test("An empty closed shard ends at once, from any position", arguments: Door.allCases)
    func emptyEnd(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream()
            let latest = try await subject.iterator(.latest)
            try await subject.kinesis.splitShard(stream: "words", shard: shardID(0), at: Self.middle)
            let shard = try await subject.kinesis.listShards(stream: "words")[0]
            for iterator in [
                latest, try await subject.iterator(), try await subject.iterator(.latest),
                try await subject.iterator(.atSequenceNumber(try #require(shard.endingSequenceNumber))),
            ] {
                let batch = try await subject.kinesis.getRecords(iterator: iterator, limit: 10)
                #expect(batch.records.isEmpty)
                #expect(batch.nextShardIterator == nil)
                #expect(batch.childShards.map(\.shardID) == [shardID(1), shardID(2)])
            }
        }
    }

    @Test("A merge has both parents, in their order", arguments: Door.allCases)
    func merge(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream(shards: 2)
            try await subject.put(["a"])
            try await subject.kinesis.mergeShards(stream: "words", shard: shardID(0), adjacent: shardID(1))
            let child = try await subject.kinesis.listShards(stream: "words")[2]
            #expect(child.parentShardID == shardID(0))
            #expect(child.adjacentParentShardID == shardID(1))
            #expect(child.hashKeyRange == .whole)
            let batch = try await subject.read(try await subject.iterator(shard: 1)).last
            #expect(
                batch.childShards
                    == [
                        ChildShard(
                            shardID: shardID(2), parentShardIDs: [shardID(0), shardID(1)], hashKeyRange: .whole)
                    ])
        }
    }

    @Test("What cannot be split or merged is refused in the service's words", arguments: Door.allCases)
    func refusals(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream(shards: 3)
            func split(_ shard: String, _ key: String) async throws -> Failure? {
                try await subject.failure(
                    "SplitShard",
                    [
                        "StreamName": "words", "ShardToSplit": .string(shard), "NewStartingHashKey": .string(key),
                    ])
            }
            func merge(_ shard: Int, _ adjacent: Int) async throws -> String? {
                try await subject.failure(
                    "MergeShards",
                    [
                        "StreamName": "words", "ShardToMerge": .string(shardID(shard)),
                        "AdjacentShardToMerge": .string(shardID(adjacent)),
                    ])?.message
            }
            let end = "113427455640312821154458202477256070484"
            for key in ["0", "1", end, "340282366920938463463374607431768211456"] {
                #expect(
                    try await split(shardID(0), key)
                        == Failure(
                            "InvalidArgumentException",
                            "NewStartingHashKey \(key) used in SplitShard() on shard shardId-000000000000 in stream "
                                + "words under account 123456789012 is not both greater than one plus the shard's "
                                + "StartingHashKey 0 and less than the shard's EndingHashKey \(end)."))
            }
            #expect(
                try await split("shardId-000000000007", "5")
                    == Failure(
                        "ResourceNotFoundException",
                        "Could not find shard shardId-000000000007 in stream words under account 123456789012."))
            let pair = " in stream words under account 123456789012 are not an adjacent pair of shards eligible for "
            #expect(try await merge(0, 2) == "Shards \(shardID(0)) and \(shardID(2))\(pair)merging")
            #expect(try await merge(1, 0) == "Shards \(shardID(1)) and \(shardID(0))\(pair)merging")
            #expect(try await split(shardID(0), "2") == nil)
            #expect(
                try await split(shardID(0), "5")
                    == Failure(
                        "InvalidArgumentException",
                        "Shard shardId-000000000000 in stream words under account 123456789012 has already been "
                            + "merged or split, and thus is not eligible for merging or splitting."))
        }
    }

    @Test("A stream that is UPDATING takes no second reshard", arguments: Door.allCases)
    func oneAtATime(door: Door) async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.streamStatusDelay = .seconds(1)
        try await through(door, configuration) { (subject) async throws in
            try await subject.stream(shards: 2)
            try await subject.kinesis.mergeShards(stream: "words", shard: shardID(0), adjacent: shardID(1))
            for operation in ["SplitShard", "MergeShards", "UpdateShardCount"] {
                #expect(
                    try await subject.failure(
                        operation,
                        [
                            "StreamName": "words", "ShardToSplit": .string(shardID(0)), "NewStartingHashKey": "9",
                            "ShardToMerge": .string(shardID(0)), "AdjacentShardToMerge": .string(shardID(1)),
                            "TargetShardCount": 3, "ScalingType": "UNIFORM_SCALING",
                        ])
                        == Failure(
                            "ResourceInUseException",
                            "Stream words under account 123456789012 not ACTIVE, instead in state UPDATING"))
            }
        }
    }

    @Test("Scaling ends in uniform ranges that cover the space", arguments: [(1, 2), (4, 8), (8, 4), (3, 5), (7, 4)])
    func scale(from: Int, to: Int) async throws {
        try await through(.inProcess) { (subject) async throws in
            try await subject.stream(shards: from)
            try await subject.put((0..<50).map { "\($0)" }, hashKey: .max / 3)
            let answer = try await subject.call(
                "UpdateShardCount",
                ["StreamName": "words", "TargetShardCount": .int(Int64(to)), "ScalingType": "UNIFORM_SCALING"])
            #expect(answer["CurrentShardCount"]?.int == from)
            #expect(answer["TargetShardCount"]?.int == to)
            let shards = try await subject.kinesis.listShards(stream: "words")
            let open = shards.filter(\.isOpen).sorted { $0.hashKeyRange.start < $1.hashKeyRange.start }
            try await subject.stream("uniform", shards: to)
            let uniform = try await subject.kinesis.listShards(stream: "uniform")
            #expect(open.map(\.hashKeyRange) == uniform.map(\.hashKeyRange))
            // Every shard but the first ones has parents whose ranges hold its own, and every parent is closed.
            let byID = Dictionary(uniqueKeysWithValues: shards.map { ($0.shardID, $0) })
            for shard in shards where !shard.parentShardIDs.isEmpty {
                for parent in try shard.parentShardIDs.map({ try #require(byID[$0]) }) {
                    #expect(!parent.isOpen)
                    let start = try #require(SequenceNumber(shard.startingSequenceNumber))
                    #expect(start > (parent.endingSequenceNumber.flatMap(SequenceNumber.init) ?? .zero))
                }
            }
            // Records of any key still have exactly one way to go.
            for key in uniform.flatMap({ [$0.hashKeyRange.start, $0.hashKeyRange.end] }) {
                let expected = try #require(open.first { $0.hashKeyRange.contains(key) })
                let outcome = try await subject.kinesis.putRecords(
                    stream: "words", [PutRecord(data: Bytes("x"), partitionKey: "k", explicitHashKey: key)])
                guard case .stored(expected.shardID, _) = outcome[0] else {
                    Issue.record("\(key) went to \(outcome[0])")
                    continue
                }
            }
        }
    }

    @Test("Scaling keeps to double, half and ten times a day, unless that is switched off")
    func scalingLimits() async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.enforcesScalingLimits = true
        try await through(.inProcess, configuration) { (subject) async throws in
            try await subject.stream(shards: 4)
            func scale(_ target: Int64) async throws -> Failure? {
                try await subject.failure(
                    "UpdateShardCount",
                    [
                        "StreamName": "words", "TargetShardCount": .int(target), "ScalingType": "UNIFORM_SCALING",
                    ])
            }
            #expect(
                try await scale(9)
                    == Failure(
                        "InvalidArgumentException",
                        "UpdateShardCount cannot scale up over double your current open shard count. Current open "
                            + "shard count: 4 Target shard count: 9"))
            #expect(
                try await scale(1)
                    == Failure(
                        "InvalidArgumentException",
                        "UpdateShardCount cannot scale down below half your current open shard count. Current open "
                            + "shard count: 4 Target shard count: 1"))
            for round in 0..<10 { #expect(try await scale(round % 2 == 0 ? 5 : 4) == nil) }
            #expect(try await scale(5)?.type == "LimitExceededException")
            subject.clock.advance(.seconds(86_400))
            #expect(try await scale(5) == nil)
        }
        try await through(.inProcess) { (subject) async throws in
            try await subject.stream(shards: 1)
            try await subject.kinesis.updateShardCount(stream: "words", target: 32)
            #expect(try await subject.kinesis.describeStreamSummary("words").openShards == 32)
        }
    }

    @Test("ListShards filters by time and place", arguments: Door.allCases)
    func filters(door: Door) async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.retention = .seconds(100)
        try await through(door, configuration) { (subject) async throws in
            try await subject.stream(shards: 2)
            subject.clock.advance(.seconds(50))
            let split = subject.clock.wall
            try await subject.kinesis.splitShard(stream: "words", shard: shardID(0), at: 1000)
            subject.clock.advance(.seconds(20))
            func list(_ filter: AWSValue) async throws -> [Int] {
                let answer = try await subject.call("ListShards", ["StreamName": "words", "ShardFilter": filter])
                return (answer["Shards"]?.list ?? []).compactMap {
                    $0["ShardId"]?.string.flatMap { Int($0.dropFirst(8)) }
                }
            }
            func at(_ type: String, _ time: UnixTime) -> AWSValue {
                ["Type": .string(type), "Timestamp": .double(time.seconds)]
            }
            #expect(try await subject.kinesis.listShards(stream: "words").count == 4)
            #expect(try await list(["Type": "AT_TRIM_HORIZON"]) == [0, 1])
            #expect(try await list(["Type": "FROM_TRIM_HORIZON"]) == [0, 1, 2, 3])
            #expect(try await list(["Type": "AT_LATEST"]) == [1, 2, 3])
            #expect(try await list(at("AT_TIMESTAMP", split + .milliseconds(-1))) == [0, 1])
            #expect(try await list(at("AT_TIMESTAMP", split)) == [1, 2, 3])
            #expect(try await list(at("AT_TIMESTAMP", UnixTime(milliseconds: 0))) == [0, 1])
            #expect(try await list(at("FROM_TIMESTAMP", split + .seconds(1))) == [1, 2, 3])
            #expect(try await list(at("FROM_TIMESTAMP", split)) == [0, 1, 2, 3])
            #expect(try await list(["Type": "AFTER_SHARD_ID", "ShardId": .string(shardID(1))]) == [2, 3])
            // The closed parent goes with the retention; its children keep its name.
            subject.clock.advance(.seconds(81))
            #expect(try await list(["Type": "FROM_TRIM_HORIZON"]) == [1, 2, 3])
            let rest = try await subject.kinesis.listShards(stream: "words")
            #expect(rest.map(\.parentShardIDs) == [[], [shardID(0)], [shardID(0)]])
            #expect(try await subject.put(["still"]).count == 1)
        }
    }

    @Test("ListShards pages with a token that keeps the filter", arguments: Door.allCases)
    func pages(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream(shards: 5)
            try await subject.kinesis.splitShard(stream: "words", shard: shardID(1), at: .max / 3)
            let filter: AWSValue = ["Type": "AT_LATEST"]
            var ids: [String] = []
            var answer = try await subject.call(
                "ListShards", ["StreamName": "words", "MaxResults": 4, "ShardFilter": filter])
            while true {
                let page = answer["Shards"]?.list ?? []
                #expect(page.count <= 4)
                ids += page.compactMap { $0["ShardId"]?.string }
                guard let token = answer["NextToken"] else { break }
                answer = try await subject.call("ListShards", ["NextToken": token, "MaxResults": 4])
            }
            #expect(ids == [0, 2, 3, 4, 5, 6].map(shardID))
            let after = try await subject.call(
                "ListShards", ["StreamName": "words", "ExclusiveStartShardId": .string(shardID(5))])
            #expect(after["Shards"]?.list?.count == 1)
            #expect(
                try await subject.failure("ListShards", ["StreamName": "words", "NextToken": "eA=="])
                    == Failure(
                        "InvalidArgumentException", "NextToken and StreamName cannot be provided together."))
            #expect(
                try await subject.failure("ListShards", [:])
                    == Failure(
                        "InvalidArgumentException", "Either NextToken or StreamName should be provided."))
        }
    }
}
