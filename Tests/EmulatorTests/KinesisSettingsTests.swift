import AWSWire
import Emulator
import Machine
import Testing

@Suite("Settings of streams") struct KinesisSettingsTests {
    private let words: AWSValue = .string(Subject.arn())

    private func tags(_ answer: AWSValue) -> [String] {
        (answer["Tags"]?.list ?? []).map { "\($0["Key"]?.string ?? "")=\($0["Value"]?.string ?? "")" }
    }

    @Test("Tags are added, listed in pages and removed, under both families of operations", arguments: Door.allCases)
    func tags(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.call(
                "CreateStream", ["StreamName": "words", "ShardCount": 1, "Tags": ["team": "a", "zone": "ü0 _./=+-@:"]])
            try await subject.call("AddTagsToStream", ["StreamName": "words", "Tags": ["team": "b", "empty": ""]])
            try await subject.call("TagResource", ["ResourceARN": words, "Tags": ["more": "1"]])
            let first = try await subject.call("ListTagsForStream", ["StreamName": "words", "Limit": 2])
            #expect(tags(first) == ["empty=", "more=1"])
            #expect(first["HasMoreTags"]?.bool == true)
            let second = try await subject.call(
                "ListTagsForStream", ["StreamName": "words", "ExclusiveStartTagKey": "more"])
            #expect(tags(second) == ["team=b", "zone=ü0 _./=+-@:"])
            #expect(second["HasMoreTags"]?.bool == false)
            try await subject.call("RemoveTagsFromStream", ["StreamName": "words", "TagKeys": ["team", "none"]])
            try await subject.call("UntagResource", ["ResourceARN": words, "TagKeys": ["zone"]])
            let rest = try await subject.call("ListTagsForResource", ["ResourceARN": words])
            #expect(tags(rest) == ["empty=", "more=1"])
        }
    }

    @Test("Consumers have tags and policies of their own")
    func consumers() async throws {
        try await through(.inProcess) { (subject) async throws in
            try await subject.stream()
            let registered = try await subject.call(
                "RegisterStreamConsumer", ["StreamARN": words, "ConsumerName": "readers", "Tags": ["a": "1"]])
            let arn = try #require(registered["Consumer"]?["ConsumerARN"])
            try await subject.call("TagResource", ["ResourceARN": arn, "Tags": ["b": "2"]])
            #expect(tags(try await subject.call("ListTagsForResource", ["ResourceARN": arn])) == ["a=1", "b=2"])
            #expect(tags(try await subject.call("ListTagsForResource", ["ResourceARN": words])) == [])
            let none: AWSValue = .string((arn.string ?? "") + "0")
            #expect(
                try await subject.failure("ListTagsForResource", ["ResourceARN": none])?.type
                    == "ResourceNotFoundException")
            let policy: AWSValue = #"{"Statement":[]}"#
            try await subject.call("PutResourcePolicy", ["ResourceARN": arn, "Policy": policy])
            #expect(try await subject.call("GetResourcePolicy", ["ResourceARN": arn])["Policy"] == policy)
            #expect(
                try await subject.failure("GetResourcePolicy", ["ResourceARN": words])?.type
                    == "ResourceNotFoundException")
            try await subject.call("DeleteResourcePolicy", ["ResourceARN": arn])
            #expect(
                try await subject.failure("GetResourcePolicy", ["ResourceARN": arn])?.type
                    == "ResourceNotFoundException")
            #expect(
                try await subject.failure("PutResourcePolicy", ["ResourceARN": arn, "Policy": "x"])?.type
                    == "InvalidArgumentException")
        }
    }

    @Test("Tags that the service refuses are refused in its words")
    func badTags() async throws {
        try await through(.inProcess) { (subject) async throws in
            try await subject.stream()
            func add(_ tags: AWSValue) async throws -> Failure? {
                try await subject.failure("AddTagsToStream", ["StreamName": "words", "Tags": tags])
            }
            let invalid = Failure(
                "InvalidArgumentException",
                "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, "
                    + "_ . / = + - % @.")
            #expect(try await add(["a;b": "1"]) == invalid)
            #expect(try await add(["a": "x\ty"]) == invalid)
            #expect(
                try await add(["a%b": "1"])
                    == Failure(
                        "InvalidArgumentException",
                        "Failed to add tags to stream words under account 123456789012 because some tags contained "
                            + "illegal characters. The allowed characters are Unicode letters, white-spaces, "
                            + "'_',',','/','=','+','-','@'."))
            #expect(try await add(["aws:x": "1"])?.type == "InvalidArgumentException")
            let long = String(repeating: "k", count: 129)
            #expect(
                try await add([long: "1"])
                    == Failure(
                        "ValidationException",
                        "1 validation error detected: Value '{\(long)=1}' at 'tags' failed to satisfy constraint: Map "
                            + "keys must satisfy constraint: [Member must have length less than or equal to 128, Member "
                            + "must have length greater than or equal to 1]"))
            #expect(
                try await add(["a": .string(String(repeating: "v", count: 257))])?.message
                    .hasSuffix(
                        "Map value must satisfy constraint: [Member must have length less than or equal to 256, Member "
                            + "must have length greater than or equal to 0]") == true)
            #expect(try await add([:])?.message.hasSuffix("length greater than or equal to 1") == true)
            #expect(
                try await subject.failure("RemoveTagsFromStream", ["StreamName": "words", "TagKeys": ["", "b"]])?
                    .message
                    == "1 validation error detected: Value '[, b]' at 'tagKeys' failed to satisfy constraint: Member "
                    + "must satisfy constraint: [Member must have length less than or equal to 128, Member must have "
                    + "length greater than or equal to 1]")
            var many: AWSValue = [:]
            for number in 0..<51 { many["tag-\(number)"] = "x" }
            #expect(try await add(many)?.message.contains("cannot have more than 50 tags") == true)
            #expect(tags(try await subject.call("ListTagsForStream", ["StreamName": "words"])) == [])
        }
    }

    @Test(
        "Encryption is kept and told, and each record knows whether it was encrypted", arguments: WireEncoding.allCases)
    func encryption(encoding: WireEncoding) async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.streamStatusDelay = .seconds(1)
        try await through(.inProcess, configuration) { (subject) async throws in
            try await subject.stream()
            let client = subject.client(encoding: encoding)
            let record: AWSValue = ["StreamName": "words", "Data": "YQ==", "PartitionKey": "a"]
            let entries: AWSValue = [
                "StreamName": "words", "Records": [["Data": "YQ==", "PartitionKey": "a"]],
            ]
            #expect(try await client.call("PutRecord", record)["EncryptionType"] == nil)
            let key: AWSValue = [
                "StreamName": "words", "EncryptionType": "KMS", "KeyId": "alias/words",
            ]
            subject.clock.advance(.seconds(1))
            try await subject.call("StartStreamEncryption", key)
            func summary() async throws -> AWSValue? {
                try await subject.call("DescribeStreamSummary", ["StreamName": "words"])["StreamDescriptionSummary"]
            }
            #expect(try await summary()?["StreamStatus"] == "UPDATING")
            #expect(
                try await subject.failure("StartStreamEncryption", key)?.type == "ResourceInUseException")
            subject.clock.advance(.seconds(1))
            #expect(try await summary()?["EncryptionType"] == "KMS")
            #expect(try await summary()?["KeyId"] == "alias/words")
            #expect(try await client.call("PutRecord", record)["EncryptionType"] == "KMS")
            #expect(try await client.call("PutRecords", entries)["EncryptionType"] == "KMS")
            let iterator = try await subject.iterator()
            let read = try await client.call("GetRecords", ["ShardIterator": .string(iterator)])
            #expect((read["Records"]?.list ?? []).map { $0["EncryptionType"]?.string } == [nil, "KMS", "KMS"])
            subject.clock.advance(.seconds(1))
            try await subject.call("StopStreamEncryption", key)
            subject.clock.advance(.seconds(1))
            #expect(try await summary()?["EncryptionType"] == "NONE")
            #expect(try await summary()?["KeyId"] == nil)
            #expect(
                try await subject.failure(
                    "StartStreamEncryption", ["StreamName": "words", "EncryptionType": "NONE", "KeyId": "k"])?.type
                    == "InvalidArgumentException")
        }
    }

    @Test("Shard-level metrics are switched on and off")
    func monitoring() async throws {
        try await through(.inProcess) { (subject) async throws in
            try await subject.stream()
            func change(_ operation: String, _ metrics: [AWSValue]) async throws -> (Int?, [String]?) {
                let answer = try await subject.call(
                    operation, ["StreamARN": words, "ShardLevelMetrics": .list(metrics)])
                #expect(answer["StreamName"] == "words")
                return (
                    answer["CurrentShardLevelMetrics"]?.list?.count, answer["DesiredShardLevelMetrics"]?.strings
                )
            }
            let first = try await change("EnableEnhancedMonitoring", ["OutgoingBytes", "IncomingBytes"])
            #expect(first.0 == 0)
            #expect(first.1 == ["IncomingBytes", "OutgoingBytes"])
            #expect(try await change("EnableEnhancedMonitoring", ["ALL"]).1?.count == 7)
            let summary = try await subject.call("DescribeStream", ["StreamName": "words"])
            #expect(
                summary["StreamDescription"]?["EnhancedMonitoring"]?.list?.first?["ShardLevelMetrics"]?.list?.count == 7
            )
            #expect(try await change("DisableEnhancedMonitoring", ["IncomingBytes"]).1?.count == 6)
            #expect(
                try await subject.failure(
                    "EnableEnhancedMonitoring", ["StreamARN": words, "ShardLevelMetrics": ["Heat"]])?.type
                    == "ValidationException")
        }
    }

    @Test("A stream changes between provisioned and on-demand, twice a day")
    func mode() async throws {
        var configuration = EmulatorConfiguration.immediate
        configuration.enforcesScalingLimits = true
        try await through(.inProcess, configuration) { (subject) async throws in
            try await subject.stream()
            func change(_ mode: AWSValue) async throws -> String? {
                try await subject.failure(
                    "UpdateStreamMode", ["StreamARN": words, "StreamModeDetails": ["StreamMode": mode]])?.type
            }
            func summary() async throws -> AWSValue? {
                try await subject.call("DescribeStreamSummary", ["StreamName": "words"])["StreamDescriptionSummary"]
            }
            #expect(try await change("ON_DEMAND") == nil)
            #expect(try await summary()?["StreamModeDetails"]?["StreamMode"] == "ON_DEMAND")
            #expect(try await summary()?["OpenShardCount"]?.int == 1)
            for (operation, input) in [
                ("SplitShard", ["ShardToSplit": "shardId-0", "NewStartingHashKey": "1000"] as AWSValue),
                ("MergeShards", ["ShardToMerge": "shardId-0", "AdjacentShardToMerge": "shardId-1"]),
                ("UpdateShardCount", ["TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"]),
            ] {
                var input = input
                input["StreamName"] = "words"
                #expect(
                    try await subject.failure(operation, input)
                        == Failure(
                            "ValidationException",
                            "Request is invalid. Stream words under account 123456789012 is in On-Demand mode."))
            }
            #expect(try await change("PROVISIONED") == nil)
            #expect(try await change("ON_DEMAND") == "LimitExceededException")
            subject.clock.advance(.seconds(24 * 3600))
            #expect(try await change("ON_DEMAND") == nil)
        }
    }

    @Test("An account has fifty on-demand streams, each of which can be asked to stay one")
    func onDemandMax() async throws {
        try await through(.inProcess) { (subject) async throws in
            let mode: AWSValue = ["StreamMode": "ON_DEMAND"]
            func create(_ name: String) async throws -> String? {
                try await subject.failure(
                    "CreateStream", ["StreamName": .string(name), "StreamModeDetails": mode])?.type
            }
            func change(_ name: String) async throws -> String? {
                try await subject.failure(
                    "UpdateStreamMode", ["StreamARN": .string(Subject.arn(name)), "StreamModeDetails": mode])?.type
            }
            try await subject.stream()
            for number in 0..<50 { #expect(try await create("stream-\(number)") == nil) }
            #expect(try await create("one-more") == "LimitExceededException")
            #expect(try await change("words") == "LimitExceededException")
            #expect(try await change("stream-0") == nil)
        }
    }

    @Test("Warm throughput needs a commitment, and opens as many shards")
    func warmThroughput() async throws {
        try await through(.inProcess) { (subject) async throws in
            try await subject.call(
                "CreateStream", ["StreamName": "words", "StreamModeDetails": ["StreamMode": "ON_DEMAND"]])
            func warm(_ count: Int64) async throws -> Failure? {
                try await subject.failure(
                    "UpdateStreamWarmThroughput", ["StreamName": "words", "WarmThroughputMiBps": .int(count)])
            }
            #expect(try await warm(6)?.type == "ValidationException")
            let before = try await subject.call("DescribeAccountSettings", [:])
            #expect(before["MinimumThroughputBillingCommitment"]?["Status"] == "DISABLED")
            func commit(_ status: AWSValue) async throws -> AWSValue? {
                try await subject.call(
                    "UpdateAccountSettings", ["MinimumThroughputBillingCommitment": ["Status": status]])[
                        "MinimumThroughputBillingCommitment"]?["Status"]
            }
            #expect(try await commit("ENABLED") == "ENABLED")
            #expect(try await warm(6) == nil)
            #expect(try await warm(10_241)?.type == "LimitExceededException")
            let summary = try await subject.call("DescribeStreamSummary", ["StreamName": "words"])
            #expect(summary["StreamDescriptionSummary"]?["OpenShardCount"]?.int == 6)
            #expect(summary["StreamDescriptionSummary"]?["WarmThroughput"] == ["TargetMiBps": 6, "CurrentMiBps": 6])
            #expect(try await commit("DISABLED") == "ENABLED_UNTIL_EARLIEST_ALLOWED_END")
            subject.clock.advance(.seconds(24 * 3600))
            let after = try await subject.call("DescribeAccountSettings", [:])
            #expect(after["MinimumThroughputBillingCommitment"]?["Status"] == "DISABLED")
            #expect(after["MinimumThroughputBillingCommitment"]?["EndedAt"] != nil)
        }
    }

    @Test("UpdateMaxRecordSize lets a stream take records of up to 10 MiB")
    func recordSize() async throws {
        try await through(.inProcess) { (subject) async throws in
            try await subject.stream()
            let big = PutRecord(data: Bytes([UInt8](repeating: 1, count: (1 << 20) + 1)), partitionKey: "k")
            await #expect(throws: AWSError.self) {
                _ = try await subject.kinesis.putRecords(stream: "words", [big])
            }
            try await subject.call("UpdateMaxRecordSize", ["StreamARN": words, "MaxRecordSizeInKiB": 1025])
            _ = try await subject.kinesis.putRecords(stream: "words", [big])
            let summary = try await subject.call("DescribeStreamSummary", ["StreamName": "words"])
            #expect(summary["StreamDescriptionSummary"]?["MaxRecordSizeInKiB"]?.int == 1025)
        }
    }

    @Test("A stream is named by its name, ARN or id, which must agree", arguments: Door.allCases)
    func names(door: Door) async throws {
        try await through(door) { (subject) async throws in
            try await subject.stream()
            try await subject.stream("other")
            let summary = try await subject.call("DescribeStreamSummary", ["StreamName": "words"])
            let id = try #require(summary["StreamDescriptionSummary"]?["StreamId"])
            let named = try await subject.call("DescribeStream", ["StreamId": id])
            #expect(named["StreamDescription"]?["StreamName"] == "words")
            func failure(_ input: AWSValue) async throws -> String? {
                try await subject.failure("DescribeStream", input)?.type
            }
            #expect(try await failure(["StreamId": id, "StreamName": "words", "StreamARN": words]) == nil)
            #expect(try await failure(["StreamName": "other", "StreamARN": words]) == "InvalidArgumentException")
            #expect(try await failure(["StreamName": "other", "StreamId": id]) == "InvalidArgumentException")
            #expect(try await failure(["StreamId": "aaaaaaaaaaaaaaaaaaaa-bbb"]) == "ResourceNotFoundException")
            #expect(try await failure(["StreamId": "words"]) == "ValidationException")
            #expect(try await failure([:]) == "InvalidArgumentException")
            let iterator: AWSValue = .string(try await subject.iterator())
            #expect(
                try await subject.failure(
                    "GetRecords", ["ShardIterator": iterator, "StreamARN": .string(Subject.arn("other"))])?.type
                    == "InvalidArgumentException")
            // A shard's id is read as the service reads it.
            #expect(
                try await subject.failure(
                    "GetShardIterator",
                    ["StreamName": "words", "ShardId": "shardId-0", "ShardIteratorType": "LATEST"]) == nil)
            #expect(
                try await subject.failure(
                    "GetShardIterator", ["StreamName": "words", "ShardId": "7", "ShardIteratorType": "LATEST"])?.message
                    == "Shard shardId-000000000007 in stream words under account 123456789012 does not exist")
        }
    }

    @Test("Each operation of the service model is known", arguments: Door.allCases)
    func operations(door: Door) async throws {
        let operations = [
            "AddTagsToStream", "CreateStream", "DecreaseStreamRetentionPeriod", "DeleteResourcePolicy", "DeleteStream",
            "DeregisterStreamConsumer", "DescribeAccountSettings", "DescribeLimits", "DescribeStream",
            "DescribeStreamConsumer", "DescribeStreamSummary", "DisableEnhancedMonitoring", "EnableEnhancedMonitoring",
            "GetRecords", "GetResourcePolicy", "GetShardIterator", "IncreaseStreamRetentionPeriod", "ListShards",
            "ListStreamConsumers", "ListStreams", "ListTagsForResource", "ListTagsForStream", "MergeShards",
            "PutRecord", "PutRecords", "PutResourcePolicy", "RegisterStreamConsumer", "RemoveTagsFromStream",
            "SplitShard", "StartStreamEncryption", "StopStreamEncryption", "SubscribeToShard", "TagResource",
            "UntagResource", "UpdateAccountSettings", "UpdateMaxRecordSize", "UpdateShardCount", "UpdateStreamMode",
            "UpdateStreamWarmThroughput",
        ]
        let withoutInput: Set = ["DescribeAccountSettings", "DescribeLimits", "ListStreams"]
        #expect(operations.count == 39)
        try await through(door) { (subject) async throws in
            for operation in operations {
                let type = try await subject.failure(operation, [:])?.type
                let isFine =
                    withoutInput.contains(operation)
                    ? type == nil : type == "ValidationException" || type == "InvalidArgumentException"
                #expect(isFine, "\(operation): \(type ?? "no error")")
            }
            #expect(
                try await subject.failure("PutRecords", ["StreamName": "words", "Records": .list([.null])])?.message
                    == "1 validation error detected: Value null at 'records.1.member' failed to satisfy constraint: "
                    + "Member must not be null")
        }
    }
}
