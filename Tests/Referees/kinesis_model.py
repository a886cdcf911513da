"""All operations of the Kinesis service model against the emulator: kinesis_model.py ENDPOINT [--encoding json|cbor]

Each operation is called as its documentation says, and every answer is held against botocore's model. Then each member
of each input is left out, too short, too long, out of bounds, of the wrong type, … as the model's constraints say,
and the error's type and status must be the service's. Prints "N passed, N failed"; 1 where something failed.
"""

import argparse
import base64
import contextlib
import copy
import json
import sys
import time
import traceback

from constraints import try_forbidden
from raw import REGION, Raw, Timestamp, misfits, model

ACCOUNT_INVALID = {"InvalidArgumentException", "ValidationException"}
MODEL = model("kinesis")
SHAPES, OPERATIONS = MODEL["shapes"], MODEL["operations"]

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("endpoint")
parser.add_argument("--encoding", choices=["json", "cbor"], default="json")
parser.add_argument("--only", action="append", help="part of a check's name")
options = parser.parse_args()
ENCODING = options.encoding
raw = Raw(options.endpoint, encoding=ENCODING)
covered = set()
checks = []


def check(function):
    checks.append(function)
    return function


def call(operation, **members):
    """A call that must do; its answer fits the model."""
    covered.add(operation)
    answer = raw.send(operation, members)
    assert answer.status == 200, f"{operation} {members} -> {answer}"
    assert answer.headers.get("x-amzn-requestid"), f"{operation}: no x-amzn-RequestId"
    output = OPERATIONS[operation].get("output")
    if output is None:
        # An empty body, or one without members.
        assert not answer.body, f"{operation} answers {answer.body}"
        return {}
    assert answer.headers.get("content-type", "").split(";")[0] == raw.type, answer.headers
    wrong = misfits(MODEL, output["shape"], answer.body, ENCODING)
    assert not wrong, f"{operation} {members}: {wrong[:5]}"
    return answer.body


def refused(operation, *types, **members):
    """A call that must fail with one of `types`; its message."""
    answer = raw.send(operation, members)
    shown = {k: (v if len(repr(v)) < 200 else f"{repr(v)[:80]}…") for k, v in members.items()}
    assert answer.status == 400, f"{operation} {shown} -> {answer}, expected 400 {types}"
    assert answer.error in types, f"{operation} {shown} -> {answer}, expected {types}"
    assert answer.headers.get("content-type", "").split(";")[0] == raw.type, f"error in {answer.headers}"
    assert answer.message, f"{operation} {shown}: {answer.error} without a message"
    return answer.message


def until(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return value


def summary(name):
    return call("DescribeStreamSummary", StreamName=name)["StreamDescriptionSummary"]


def active(name):
    return until(lambda: (s := summary(name))["StreamStatus"] == "ACTIVE" and s, f"{name} ACTIVE")


def gone(name):
    until(lambda: raw.send("DescribeStreamSummary", {"StreamName": name}).error == "ResourceNotFoundException",
          f"{name} gone")


@contextlib.contextmanager
def stream(name, shards=1, **members):
    """A stream of this run's encoding, deleted in the end; its summary."""
    name = f"{name}-{ENCODING}"
    if raw.send("DeleteStream", {"StreamName": name, "EnforceConsumerDeletion": True}).status == 200:
        gone(name)
    call("CreateStream", StreamName=name, **({"ShardCount": shards} if shards else {}), **members)
    try:
        yield active(name)
    finally:
        raw.send("DeleteStream", {"StreamName": name, "EnforceConsumerDeletion": True})


def data(value):
    """What a blob of an answer holds."""
    return value if ENCODING == "cbor" else base64.b64decode(value)


def seconds(value):
    """A timestamp of an answer."""
    value = getattr(value, "value", value)
    return value / 1000 if ENCODING == "cbor" else value


def read(name, shard, wanted, **position):
    """At least `wanted` records, or what there is within 5 s; and the last answer."""
    token = call("GetShardIterator", StreamName=name, ShardId=shard, **position)["ShardIterator"]
    found, answer, deadline = [], None, time.monotonic() + 5
    while token and (len(found) < wanted or wanted == 0) and time.monotonic() < deadline:
        answer = call("GetRecords", ShardIterator=token)
        found += answer["Records"]
        token = answer.get("NextShardIterator")
    return found, answer


# MARK: each operation as documented


@check
def streams_are_made_described_listed_and_deleted():
    with stream("life", 3, Tags={"colour": "red"}) as told:
        name, arn = told["StreamName"], told["StreamARN"]
        assert arn == f"arn:aws:kinesis:{REGION}:{arn.split(':')[4]}:stream/{name}", arn
        assert told["OpenShardCount"] == 3 and told["RetentionPeriodHours"] == 24 and told["ConsumerCount"] == 0, told
        assert told["StreamModeDetails"] == {"StreamMode": "PROVISIONED"} and told["EncryptionType"] == "NONE", told
        assert abs(seconds(told["StreamCreationTimestamp"]) - time.time()) < 120
        assert told["EnhancedMonitoring"] == [{"ShardLevelMetrics": []}], told["EnhancedMonitoring"]
        tags = call("ListTagsForStream", StreamName=name)
        assert tags["Tags"] == [{"Key": "colour", "Value": "red"}] and tags["HasMoreTags"] is False
        for by in ({"StreamName": name}, {"StreamARN": arn}, {"StreamName": name, "StreamARN": arn}):
            described = call("DescribeStream", **by)["StreamDescription"]
            assert described["StreamARN"] == arn and described["HasMoreShards"] is False
            assert [s["ShardId"] for s in described["Shards"]] == [f"shardId-{i:012d}" for i in range(3)]
        assert all("EndingSequenceNumber" not in s["SequenceNumberRange"] for s in described["Shards"])
        first = call("DescribeStream", StreamName=name, Limit=2)["StreamDescription"]
        assert len(first["Shards"]) == 2 and first["HasMoreShards"] is True
        rest = call("DescribeStream", StreamName=name, ExclusiveStartShardId=first["Shards"][-1]["ShardId"])
        assert [s["ShardId"] for s in rest["StreamDescription"]["Shards"]] == ["shardId-000000000002"]
        limits = call("DescribeLimits")
        assert 3 <= limits["OpenShardCount"] <= limits["ShardLimit"], limits
        refused("CreateStream", "ResourceInUseException", StreamName=name, ShardCount=1)
        call("DeleteStream", StreamName=name)
        gone(name)
        refused("DeleteStream", "ResourceNotFoundException", StreamName=name)


@check
def streams_are_listed_in_pages():
    with stream("list-a"), stream("list-b"), stream("list-c"):
        wanted = {f"list-{x}-{ENCODING}" for x in "abc"}
        found, token = [], None
        while True:
            answer = call("ListStreams", Limit=1, **({"NextToken": token} if token else {}))
            found += answer["StreamNames"]
            assert [s["StreamName"] for s in answer["StreamSummaries"]] == answer["StreamNames"]
            token = answer.get("NextToken")
            assert answer["HasMoreStreams"] is (token is not None), answer
            if not token:
                break
        assert wanted <= set(found) and found == sorted(found), found
        start = call("ListStreams", ExclusiveStartStreamName=f"list-a-{ENCODING}")["StreamNames"]
        assert f"list-a-{ENCODING}" not in start and f"list-b-{ENCODING}" in start
        assert refused("ListStreams", "ExpiredNextTokenException", *ACCOUNT_INVALID, NextToken="made up")


@check
def tags_are_added_listed_and_removed_by_stream_and_by_resource():
    with stream("tags") as told:
        name, arn = told["StreamName"], told["StreamARN"]
        call("AddTagsToStream", StreamName=name, Tags={f"k{i:02d}": f"v{i}" for i in range(30)})
        call("TagResource", ResourceARN=arn, Tags={"k00": "again", "more": ""})
        found, start = {}, None
        while True:
            page = call("ListTagsForStream", StreamName=name, Limit=10,
                        **({"ExclusiveStartTagKey": start} if start else {}))
            assert len(page["Tags"]) <= 10
            found.update({t["Key"]: t["Value"] for t in page["Tags"]})
            if not page["HasMoreTags"]:
                break
            start = page["Tags"][-1]["Key"]
        assert len(found) == 31 and found["k00"] == "again" and found["more"] == "", found
        listed = call("ListTagsForResource", ResourceARN=arn)["Tags"]
        assert {t["Key"]: t.get("Value", "") for t in listed} == found
        call("RemoveTagsFromStream", StreamARN=arn, TagKeys=["k01", "unknown"])
        call("UntagResource", ResourceARN=arn, TagKeys=["k02"])
        assert len(call("ListTagsForResource", ResourceARN=arn)["Tags"]) == 29
        refused("AddTagsToStream", *ACCOUNT_INVALID, "LimitExceededException", StreamName=name,
                Tags={f"n{i:02d}": "" for i in range(40)})
        consumer = call("RegisterStreamConsumer", StreamARN=arn, ConsumerName="tagged", Tags={"a": "b"})["Consumer"]
        of_consumer = call("ListTagsForResource", ResourceARN=consumer["ConsumerARN"])["Tags"]
        assert of_consumer == [{"Key": "a", "Value": "b"}], of_consumer


@check
def retention_grows_and_shrinks_within_its_limits():
    with stream("keep") as told:
        name = told["StreamName"]
        call("IncreaseStreamRetentionPeriod", StreamName=name, RetentionPeriodHours=8760)
        assert active(name)["RetentionPeriodHours"] == 8760
        call("DecreaseStreamRetentionPeriod", StreamARN=told["StreamARN"], RetentionPeriodHours=48)
        assert active(name)["RetentionPeriodHours"] == 48
        refused("IncreaseStreamRetentionPeriod", "InvalidArgumentException", StreamName=name, RetentionPeriodHours=47)
        refused("DecreaseStreamRetentionPeriod", "InvalidArgumentException", StreamName=name, RetentionPeriodHours=49)
        refused("IncreaseStreamRetentionPeriod", "InvalidArgumentException", StreamName=name, RetentionPeriodHours=8761)
        refused("DecreaseStreamRetentionPeriod", "InvalidArgumentException", StreamName=name, RetentionPeriodHours=23)


@check
def enhanced_monitoring_keeps_its_state():
    with stream("watched") as told:
        name = told["StreamName"]
        on = call("EnableEnhancedMonitoring", StreamName=name, ShardLevelMetrics=["IncomingBytes", "OutgoingBytes"])
        assert on["StreamName"] == name and on["CurrentShardLevelMetrics"] == [], on
        assert sorted(on["DesiredShardLevelMetrics"]) == ["IncomingBytes", "OutgoingBytes"]
        assert sorted(active(name)["EnhancedMonitoring"][0]["ShardLevelMetrics"]) == ["IncomingBytes", "OutgoingBytes"]
        off = call("DisableEnhancedMonitoring", StreamARN=told["StreamARN"], ShardLevelMetrics=["IncomingBytes"])
        assert off["DesiredShardLevelMetrics"] == ["OutgoingBytes"], off
        active(name)
        everything = call("EnableEnhancedMonitoring", StreamName=name, ShardLevelMetrics=["ALL"])
        assert len(everything["DesiredShardLevelMetrics"]) >= 7, everything
        active(name)
        call("DisableEnhancedMonitoring", StreamName=name, ShardLevelMetrics=["ALL"])
        assert active(name)["EnhancedMonitoring"] == [{"ShardLevelMetrics": []}]


@check
def encryption_keeps_its_state_and_shows_in_answers():
    with stream("secret") as told:
        name = told["StreamName"]
        call("StartStreamEncryption", StreamName=name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
        told = active(name)
        assert told["EncryptionType"] == "KMS" and told["KeyId"] == "alias/aws/kinesis", told
        assert call("PutRecord", StreamName=name, Data=b"x", PartitionKey="a")["EncryptionType"] == "KMS"
        records, _ = read(name, "shardId-000000000000", 1, ShardIteratorType="TRIM_HORIZON")
        assert records[0]["EncryptionType"] == "KMS", records
        call("StopStreamEncryption", StreamARN=told["StreamARN"], EncryptionType="KMS", KeyId="alias/aws/kinesis")
        assert active(name)["EncryptionType"] == "NONE"


@check
def policies_are_kept_for_streams_and_consumers():
    with stream("ruled") as told:
        arn = told["StreamARN"]
        consumer = call("RegisterStreamConsumer", StreamARN=arn, ConsumerName="ruled")["Consumer"]["ConsumerARN"]
        for resource in (arn, consumer):
            policy = json.dumps({"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "kinesis:PutRecord",
                "Resource": resource}]})
            call("PutResourcePolicy", ResourceARN=resource, Policy=policy)
            assert json.loads(call("GetResourcePolicy", ResourceARN=resource)["Policy"]) == json.loads(policy)
            call("DeleteResourcePolicy", ResourceARN=resource)
            answer = raw.send("GetResourcePolicy", {"ResourceARN": resource})
            assert answer.error == "ResourceNotFoundException" or answer.body == {"Policy": "{}"}, answer
        refused("PutResourcePolicy", *ACCOUNT_INVALID, ResourceARN=arn, Policy="no JSON")


@check
def account_settings_are_kept():
    assert "MinimumThroughputBillingCommitment" in call("DescribeAccountSettings")
    on = call("UpdateAccountSettings", MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    assert on["MinimumThroughputBillingCommitment"]["Status"] == "ENABLED", on
    told = call("DescribeAccountSettings")["MinimumThroughputBillingCommitment"]
    # It may run since an earlier test: a commitment cannot be ended at once.
    assert told["Status"] == "ENABLED" and seconds(told["StartedAt"]) < time.time() + 1, told
    off = call("UpdateAccountSettings", MinimumThroughputBillingCommitment={"Status": "DISABLED"})
    assert off["MinimumThroughputBillingCommitment"]["Status"] in ("DISABLED", "ENABLED_UNTIL_EARLIEST_ALLOWED_END")


@check
def records_are_put_and_read_from_every_position():
    with stream("words") as told:
        name, shard = told["StreamName"], "shardId-000000000000"
        before = time.time() - 0.001
        one = call("PutRecord", StreamName=name, Data=b"\x00\xff one", PartitionKey="k", ExplicitHashKey="0")
        assert one["ShardId"] == shard and len(one["SequenceNumber"]) == 56, one
        many = call("PutRecords", StreamARN=told["StreamARN"], Records=[
            {"Data": str(i).encode(), "PartitionKey": f"ключ {i}"} for i in range(500)])
        assert many["FailedRecordCount"] == 0 and len(many["Records"]) == 500
        numbers = [int(r["SequenceNumber"]) for r in many["Records"]]
        assert numbers == sorted(numbers) and numbers[0] > int(one["SequenceNumber"])
        after = call("PutRecord", StreamName=name, Data=b"", PartitionKey="k",
                     SequenceNumberForOrdering=many["Records"][-1]["SequenceNumber"])
        assert int(after["SequenceNumber"]) > numbers[-1]
        everything, answer = read(name, shard, 502, ShardIteratorType="TRIM_HORIZON")
        assert [data(r["Data"]) for r in everything] == [b"\x00\xff one", *(str(i).encode() for i in range(500)), b""]
        assert everything[1]["PartitionKey"] == "ключ 0" and answer["MillisBehindLatest"] == 0, answer
        assert all(abs(seconds(r["ApproximateArrivalTimestamp"]) - time.time()) < 120 for r in everything)
        at, _ = read(name, shard, 2, ShardIteratorType="AT_SEQUENCE_NUMBER",
                     StartingSequenceNumber=many["Records"][-1]["SequenceNumber"])
        assert [data(r["Data"]) for r in at] == [b"499", b""]
        behind, _ = read(name, shard, 1, ShardIteratorType="AFTER_SEQUENCE_NUMBER",
                         StartingSequenceNumber=many["Records"][-1]["SequenceNumber"])
        assert [data(r["Data"]) for r in behind] == [b""]
        timed, _ = read(name, shard, 502, ShardIteratorType="AT_TIMESTAMP", Timestamp=Timestamp(before))
        assert len(timed) == 502
        token = call("GetShardIterator", StreamName=name, ShardId=shard, ShardIteratorType="LATEST")["ShardIterator"]
        assert call("GetRecords", ShardIterator=token)["Records"] == []
        call("PutRecord", StreamName=name, Data=b"new", PartitionKey="k")
        limited = call("GetRecords", ShardIterator=token, Limit=1, StreamARN=told["StreamARN"])
        assert [data(r["Data"]) for r in limited["Records"]] == [b"new"]


@check
def positions_and_iterators_that_make_no_sense_are_refused():
    with stream("places") as told, stream("places-other"):
        name, shard = told["StreamName"], "shardId-000000000000"
        number = call("PutRecord", StreamName=name, Data=b"x", PartitionKey="a")["SequenceNumber"]
        bad = "InvalidArgumentException"
        at = dict(StreamName=name, ShardId=shard)
        refused("GetShardIterator", *ACCOUNT_INVALID, **at, ShardIteratorType="AT_SEQUENCE_NUMBER")
        refused("GetShardIterator", *ACCOUNT_INVALID, **at, ShardIteratorType="AT_TIMESTAMP")
        refused("GetShardIterator", bad, **at, ShardIteratorType="AT_TIMESTAMP", Timestamp=Timestamp(time.time() + 3600))
        refused("GetShardIterator", bad, **at, ShardIteratorType="TRIM_HORIZON", StartingSequenceNumber=number)
        refused("GetShardIterator", bad, **at, ShardIteratorType="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber="5")
        refused("GetShardIterator", "ResourceNotFoundException", StreamName=name, ShardId="shardId-000000000009",
                ShardIteratorType="LATEST")
        refused("GetShardIterator", "ResourceNotFoundException", bad, StreamName=name, ShardId="nonsense",
                ShardIteratorType="LATEST")
        refused("GetRecords", bad, ShardIterator="made up")
        refused("GetRecords", bad, ShardIterator="AAAAAAAAAAF" + "x" * 200)
        token = call("GetShardIterator", **at, ShardIteratorType="LATEST")["ShardIterator"]
        refused("GetRecords", bad, ShardIterator=token[:-6] + "AAAA" + token[-2:])
        other = summary(f"places-other-{ENCODING}")["StreamARN"]
        refused("GetRecords", bad, "ValidationException", ShardIterator=token, StreamARN=other)


@check
def shards_are_listed_with_every_filter_and_in_pages():
    with stream("shards", 4) as told:
        name = told["StreamName"]
        time.sleep(0.05)
        before = time.time()
        time.sleep(0.05)
        call("MergeShards", StreamName=name, ShardToMerge="shardId-000000000000",
             AdjacentShardToMerge="shardId-000000000001")
        active(name)

        def ids(**members):
            return [int(s["ShardId"][-12:]) for s in call("ListShards", StreamName=name, **members)["Shards"]]

        assert ids() == [0, 1, 2, 3, 4]
        assert ids(ExclusiveStartShardId="shardId-000000000002") == [3, 4]
        assert ids(ShardFilter={"Type": "AT_LATEST"}) == [2, 3, 4]
        assert ids(ShardFilter={"Type": "AT_TRIM_HORIZON"}) == [0, 1, 2, 3]
        assert ids(ShardFilter={"Type": "FROM_TRIM_HORIZON"}) == [0, 1, 2, 3, 4]
        assert ids(ShardFilter={"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000001"}) == [2, 3, 4]
        assert ids(ShardFilter={"Type": "AT_TIMESTAMP", "Timestamp": Timestamp(before)}) == [0, 1, 2, 3]
        assert ids(ShardFilter={"Type": "FROM_TIMESTAMP", "Timestamp": Timestamp(time.time() - 0.01)}) in (
            [2, 3, 4], [0, 1, 2, 3, 4])
        merged = call("ListShards", StreamName=name)["Shards"][-1]
        assert merged["ParentShardId"] == "shardId-000000000000"
        assert merged["AdjacentParentShardId"] == "shardId-000000000001"
        refused("ListShards", *ACCOUNT_INVALID, StreamName=name, ShardFilter={"Type": "AFTER_SHARD_ID"})
        refused("ListShards", *ACCOUNT_INVALID, StreamName=name, ShardFilter={"Type": "AT_TIMESTAMP"})
        page = call("ListShards", StreamName=name, MaxResults=2)
        found = [s["ShardId"] for s in page["Shards"]]
        while token := page.get("NextToken"):
            refused("ListShards", *ACCOUNT_INVALID, StreamName=name, NextToken=token)
            page = call("ListShards", NextToken=token, MaxResults=2)
            found += [s["ShardId"] for s in page["Shards"]]
        assert found == [f"shardId-{i:012d}" for i in range(5)]
        refused("ListShards", "ExpiredNextTokenException", *ACCOUNT_INVALID, NextToken="made up")


@check
def reshards_close_parents_and_refuse_nonsense():
    with stream("cut", 2) as told:
        name = told["StreamName"]
        bad = "InvalidArgumentException"
        shard = call("ListShards", StreamName=name)["Shards"][0]
        top = int(shard["HashKeyRange"]["EndingHashKey"])
        first, middle = shard["ShardId"], str(top // 2)
        call("PutRecord", StreamName=name, Data=b"last", PartitionKey="a", ExplicitHashKey="0")
        refused("SplitShard", bad, "ValidationException", StreamName=name, ShardToSplit=first, NewStartingHashKey="0")
        refused("SplitShard", bad, "ValidationException", StreamName=name, ShardToSplit=first,
                NewStartingHashKey=str(top + 2))
        refused("SplitShard", "ResourceNotFoundException", StreamName=name, ShardToSplit="shardId-000000000099",
                NewStartingHashKey=middle)
        refused("MergeShards", bad, "ValidationException", StreamName=name, ShardToMerge=first,
                AdjacentShardToMerge=first)
        call("SplitShard", StreamName=name, ShardToSplit=first, NewStartingHashKey=middle)
        refused("SplitShard", "ResourceInUseException", StreamName=name, ShardToSplit=first, NewStartingHashKey=middle)
        active(name)
        # kinesalite let a shard be split again and again.
        refused("SplitShard", bad, StreamName=name, ShardToSplit=first, NewStartingHashKey=middle)
        refused("MergeShards", bad, "ValidationException", StreamName=name, ShardToMerge="shardId-000000000001",
                AdjacentShardToMerge="shardId-000000000002")
        records, answer = read(name, first, 0, ShardIteratorType="TRIM_HORIZON")
        assert [data(r["Data"]) for r in records] == [b"last"] and "NextShardIterator" not in answer, answer
        children = sorted(answer["ChildShards"], key=lambda c: c["ShardId"])
        assert [c["ParentShards"] for c in children] == [[first]] * 2
        assert [c["HashKeyRange"]["StartingHashKey"] for c in children] == ["0", middle]
        call("PutRecord", StreamName=name, Data=b"child", PartitionKey="a", ExplicitHashKey="0")
        for shard in call("ListShards", StreamName=name)["Shards"]:
            assert ("EndingSequenceNumber" in shard["SequenceNumberRange"]) == (shard["ShardId"] == first)


@check
def the_shard_count_scales_uniformly_within_its_limits():
    with stream("scale", 2) as told:
        name = told["StreamName"]
        answer = call("UpdateShardCount", StreamName=name, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
        assert answer["CurrentShardCount"] == 2 and answer["TargetShardCount"] == 4, answer
        assert active(name)["OpenShardCount"] == 4
        refused("UpdateShardCount", "InvalidArgumentException", "LimitExceededException", "ValidationException",
                StreamName=name, TargetShardCount=9, ScalingType="UNIFORM_SCALING")
        refused("UpdateShardCount", "InvalidArgumentException", "LimitExceededException", "ValidationException",
                StreamName=name, TargetShardCount=1, ScalingType="UNIFORM_SCALING")


@check
def modes_record_sizes_and_warm_throughput():
    with stream("demand", None, StreamModeDetails={"StreamMode": "ON_DEMAND"}) as told:
        name, arn = told["StreamName"], told["StreamARN"]
        assert told["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"} and told["OpenShardCount"] == 4, told
        assert call("DescribeLimits")["OnDemandStreamCount"] >= 1
        refused("UpdateShardCount", *ACCOUNT_INVALID, "ResourceInUseException", StreamName=name, TargetShardCount=8,
                ScalingType="UNIFORM_SCALING")
        warm = raw.send("UpdateStreamWarmThroughput", {"StreamARN": arn, "WarmThroughputMiBps": 100})
        covered.add("UpdateStreamWarmThroughput")
        # Real accounts need the commitment for it; an emulator may take it either way, but must say what it knows.
        assert warm.status == 200 or warm.error in ACCOUNT_INVALID | {"LimitExceededException"}, warm
        active(name)
        call("UpdateStreamMode", StreamARN=arn, StreamModeDetails={"StreamMode": "PROVISIONED"})
        told = active(name)
        assert told["StreamModeDetails"] == {"StreamMode": "PROVISIONED"} and told["OpenShardCount"] >= 4, told
        call("UpdateMaxRecordSize", StreamARN=arn, MaxRecordSizeInKiB=2048)
        assert active(name)["MaxRecordSizeInKiB"] == 2048
        call("PutRecord", StreamName=name, Data=bytes(1_500_000), PartitionKey="a")
        refused("PutRecord", *ACCOUNT_INVALID, StreamName=name, Data=bytes(2048 * 1024 + 1), PartitionKey="a")
    with stream("small") as told:
        assert told.get("MaxRecordSizeInKiB", 1024) == 1024, told
        refused("PutRecord", *ACCOUNT_INVALID, StreamName=told["StreamName"], Data=bytes(1_100_000), PartitionKey="a")


@check
def fan_out_consumers_live_and_end():
    with stream("fans") as told:
        name, arn = told["StreamName"], told["StreamARN"]
        made = call("RegisterStreamConsumer", StreamARN=arn, ConsumerName="reader")["Consumer"]
        assert made["ConsumerStatus"] in ("CREATING", "ACTIVE") and made["ConsumerARN"].startswith(
            f"{arn}/consumer/reader:"), made
        refused("RegisterStreamConsumer", "ResourceInUseException", StreamARN=arn, ConsumerName="reader")

        def described(**by):
            return call("DescribeStreamConsumer", **by)["ConsumerDescription"]

        told = until(lambda: (d := described(ConsumerARN=made["ConsumerARN"]))["ConsumerStatus"] == "ACTIVE" and d,
                     "the consumer ACTIVE")
        assert told == described(StreamARN=arn, ConsumerName="reader") and told["StreamARN"] == arn
        call("RegisterStreamConsumer", StreamARN=arn, ConsumerName="second")
        page = call("ListStreamConsumers", StreamARN=arn, MaxResults=1)
        rest = call("ListStreamConsumers", StreamARN=arn, MaxResults=1, NextToken=page["NextToken"])
        assert {c["ConsumerName"] for c in page["Consumers"] + rest["Consumers"]} == {"reader", "second"}
        assert summary(name)["ConsumerCount"] == 2
        refused("DescribeStreamConsumer", "ResourceNotFoundException", StreamARN=arn, ConsumerName="nobody")
        refused("DescribeStreamConsumer", *ACCOUNT_INVALID, ConsumerName="reader")
        refused("DeleteStream", "ResourceInUseException", StreamName=name)
        call("DeregisterStreamConsumer", ConsumerARN=made["ConsumerARN"])
        until(lambda: raw.send("DescribeStreamConsumer", {"ConsumerARN": made["ConsumerARN"]}).error
              == "ResourceNotFoundException", "the consumer gone")
        refused("DeregisterStreamConsumer", "ResourceNotFoundException", StreamARN=arn, ConsumerName="reader")
        call("DeleteStream", StreamName=name, EnforceConsumerDeletion=True)
        gone(name)


@check
def twenty_consumers_and_no_more():
    with stream("crowd") as told:
        for i in range(20):
            made = raw.send("RegisterStreamConsumer", {"StreamARN": told["StreamARN"], "ConsumerName": f"c{i}"})
            while made.error == "LimitExceededException":  # five at a time in CREATING
                time.sleep(0.05)
                made = raw.send("RegisterStreamConsumer", {"StreamARN": told["StreamARN"], "ConsumerName": f"c{i}"})
            assert made.status == 200, made
        until(lambda: all(c["ConsumerStatus"] == "ACTIVE" for c in call(
            "ListStreamConsumers", StreamARN=told["StreamARN"])["Consumers"]), "all ACTIVE")
        refused("RegisterStreamConsumer", "LimitExceededException", StreamARN=told["StreamARN"], ConsumerName="c20")


def consumer(told, name="reader"):
    """An active fan-out consumer's ARN."""
    arn = call("RegisterStreamConsumer", StreamARN=told["StreamARN"], ConsumerName=name)["Consumer"]["ConsumerARN"]
    until(lambda: call("DescribeStreamConsumer", ConsumerARN=arn)["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE",
          "the consumer ACTIVE")
    return arn


def subscribe(arn, shard="shardId-000000000000", **position):
    covered.add("SubscribeToShard")
    other = Raw(options.endpoint, encoding="json")
    head, events = other.events(
        "SubscribeToShard", {"ConsumerARN": arn, "ShardId": shard, "StartingPosition": position})
    if events is None:
        return head, None
    assert head.headers["content-type"] == "application/vnd.amazon.eventstream", head.headers
    headers, payload = next(events)
    assert headers[":message-type"] == "event" and headers[":event-type"] == "initial-response", headers
    assert json.loads(payload or b"{}") == {}, payload
    return head, parsed(events)


def parsed(events):
    for headers, payload in events:
        if headers[":message-type"] == "exception":
            yield {"exception": headers[":exception-type"]}
            continue
        assert headers[":event-type"] == "SubscribeToShardEvent", headers
        assert headers[":content-type"] == "application/x-amz-json-1.1", headers
        event = json.loads(payload)
        wrong = misfits(MODEL, "SubscribeToShardEvent", event, "json")
        if "ChildShards" in event:
            wrong = [w for w in wrong if "ContinuationSequenceNumber is missing" not in w]
        assert not wrong, wrong
        yield event


@check
def a_subscription_delivers_goes_on_and_ends_with_the_shard():
    with stream("pushed") as told:
        name, arn = told["StreamName"], consumer(told)
        call("PutRecord", StreamName=name, Data=b"old", PartitionKey="a")
        _, events = subscribe(arn, Type="TRIM_HORIZON")
        found = []
        event = next(events)
        while not event["Records"]:
            event = next(events)
        found += [base64.b64decode(r["Data"]) for r in event["Records"]]
        call("PutRecord", StreamName=name, Data=b"new", PartitionKey="a")
        began = time.monotonic()
        while len(found) < 2:
            event = next(events)
            found += [base64.b64decode(r["Data"]) for r in event["Records"]]
        assert found == [b"old", b"new"] and time.monotonic() - began < 2, (found, time.monotonic() - began)
        continuation = event["ContinuationSequenceNumber"]
        began = time.monotonic()
        idle = next(events)
        assert idle["Records"] == [] and idle["MillisBehindLatest"] == 0 and time.monotonic() - began < 6.5, idle
        # A second subscription at once is refused.
        head, second = subscribe(arn, Type="LATEST")
        if second is None:
            assert head.error == "ResourceInUseException" and head.status == 400, head
        call("SplitShard", StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(1 << 127))
        last = None
        for event in (events if second is None else second):
            last = event
            if "ChildShards" in event:
                break
        assert last.get("ContinuationSequenceNumber") is None and len(last["ChildShards"]) == 2, last
        assert next(events if second is None else second, None) is None, "something after the end of the shard"
        time.sleep(5.2)
        _, events = subscribe(arn, Type="AFTER_SEQUENCE_NUMBER", SequenceNumber=continuation)
        event = next(events)
        while "ChildShards" not in event:
            assert event["Records"] == []
            event = next(events)


@check
def a_subscription_from_nowhere_is_refused():
    with stream("nowhere") as told:
        arn = consumer(told)
        for wanted, shard, position in (
            ("ResourceNotFoundException", "shardId-000000000009", {"Type": "LATEST"}),
            ("InvalidArgumentException", None, {"Type": "AT_SEQUENCE_NUMBER"}),
            ("InvalidArgumentException", None, {"Type": "AT_TIMESTAMP"}),
            ("ValidationException", None, {"Type": "SOMEWHERE"}),
            ("ValidationException", None, {}),
        ):
            head, events = subscribe(arn, shard or "shardId-000000000000", **position)
            assert events is None and head.status == 400, (position, head)
            assert head.error == wanted or {head.error, wanted} <= ACCOUNT_INVALID, (position, head)
        head, events = subscribe(arn.replace("reader", "nobody"), Type="LATEST")
        assert events is None and head.error == "ResourceNotFoundException", head


@check
def a_record_of_a_batch_that_is_too_much_fails_alone_or_with_the_batch():
    with stream("batch") as told:
        name = told["StreamName"]
        record = {"Data": b"x", "PartitionKey": "a"}
        refused("PutRecords", "ValidationException", StreamName=name, Records=[record] * 501)
        refused("PutRecords", "ValidationException", StreamName=name, Records=[])
        refused("PutRecords", *ACCOUNT_INVALID, StreamName=name, Records=[record, {**record, "Data": bytes(1 << 21)}])
        refused("PutRecords", *ACCOUNT_INVALID, StreamName=name,
                Records=[{"Data": bytes(1_000_000), "PartitionKey": str(i)} for i in range(11)])
        refused("PutRecords", *ACCOUNT_INVALID, StreamName=name,
                Records=[record, {**record, "ExplicitHashKey": str(1 << 128)}])
        assert read(name, "shardId-000000000000", 1, ShardIteratorType="TRIM_HORIZON")[0] == [], "a part was written"


# MARK: each member of each input as the model forbids it

# What the service checks by itself, with another error than the model's constraint would give.
OTHERWISE = {
    # A record's bound is the stream's MaxRecordSizeInKiB, not the model's.
    ("PutRecord", "Data", "long"): ACCOUNT_INVALID,
    ("PutRecords", "Records[0].Data", "long"): ACCOUNT_INVALID,
    # Tags have bounds of their own.
    ("*", "Tags", "long"): ACCOUNT_INVALID | {"LimitExceededException"},
}


def valid_inputs(told, reader):
    """An input for each operation that has all of its members' places."""
    name, arn, shard = told["StreamName"], told["StreamARN"], "shardId-000000000000"
    by = {"StreamName": name}
    return {
        "AddTagsToStream": {**by, "Tags": {"a": "b"}}, "CreateStream": {
            "StreamName": f"never-{ENCODING}", "ShardCount": 1, "StreamModeDetails": {"StreamMode": "PROVISIONED"},
            "Tags": {"a": "b"}},
        "DecreaseStreamRetentionPeriod": {**by, "RetentionPeriodHours": 24},
        "DeleteResourcePolicy": {"ResourceARN": arn}, "DeleteStream": {"StreamName": f"never-{ENCODING}"},
        "DeregisterStreamConsumer": {"StreamARN": arn, "ConsumerName": "never"},
        "DescribeAccountSettings": {}, "DescribeLimits": {},
        "DescribeStream": {**by, "Limit": 5}, "DescribeStreamSummary": {**by},
        "DescribeStreamConsumer": {"ConsumerARN": reader},
        "DisableEnhancedMonitoring": {**by, "ShardLevelMetrics": ["ALL"]},
        "EnableEnhancedMonitoring": {**by, "ShardLevelMetrics": ["ALL"]},
        "GetRecords": {"ShardIterator": "AAAA", "Limit": 1}, "GetResourcePolicy": {"ResourceARN": arn},
        "GetShardIterator": {**by, "ShardId": shard, "ShardIteratorType": "LATEST"},
        "IncreaseStreamRetentionPeriod": {**by, "RetentionPeriodHours": 24},
        "ListShards": {**by, "MaxResults": 5, "ShardFilter": {"Type": "AT_LATEST"}},
        "ListStreamConsumers": {"StreamARN": arn, "MaxResults": 5}, "ListStreams": {"Limit": 5},
        "ListTagsForResource": {"ResourceARN": arn}, "ListTagsForStream": {**by, "Limit": 5},
        "MergeShards": {**by, "ShardToMerge": shard, "AdjacentShardToMerge": shard},
        "PutRecord": {**by, "Data": b"x", "PartitionKey": "a"},
        "PutRecords": {**by, "Records": [{"Data": b"x", "PartitionKey": "a"}]},
        "PutResourcePolicy": {"ResourceARN": arn, "Policy": "{}"},
        "RegisterStreamConsumer": {"StreamARN": arn, "ConsumerName": "reader"},
        "RemoveTagsFromStream": {**by, "TagKeys": ["a"]},
        "SplitShard": {**by, "ShardToSplit": shard, "NewStartingHashKey": "0"},
        "StartStreamEncryption": {**by, "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"},
        "StopStreamEncryption": {**by, "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"},
        "SubscribeToShard": {"ConsumerARN": reader, "ShardId": shard, "StartingPosition": {"Type": "LATEST"}},
        "TagResource": {"ResourceARN": arn, "Tags": {"a": "b"}},
        "UntagResource": {"ResourceARN": arn, "TagKeys": ["a"]},
        "UpdateAccountSettings": {"MinimumThroughputBillingCommitment": {"Status": "DISABLED"}},
        "UpdateMaxRecordSize": {"StreamARN": arn, "MaxRecordSizeInKiB": 1024},
        "UpdateShardCount": {**by, "TargetShardCount": 1, "ScalingType": "UNIFORM_SCALING"},
        "UpdateStreamMode": {"StreamARN": arn, "StreamModeDetails": {"StreamMode": "PROVISIONED"}},
        "UpdateStreamWarmThroughput": {"StreamARN": arn, "WarmThroughputMiBps": 1},
    }


@check
def every_forbidden_input_is_refused_as_the_model_says():
    with stream("forbidden", 2) as told:
        reader = f"{told['StreamARN']}/consumer/reader:1"
        # Subscriptions are asked for in JSON, whatever the rest speaks.
        json_raw = Raw(options.endpoint)
        inputs = valid_inputs(told, reader)
        missing = set(OPERATIONS) - set(inputs)
        assert not missing, f"the model has {missing}, this referee has not"
        found, tried = [], 0
        for operation, base in sorted(inputs.items()):
            door = json_raw if operation == "SubscribeToShard" else raw
            wrong, count = try_forbidden(MODEL, door, operation, base, OTHERWISE)
            found += wrong
            tried += count
        print(f"# {tried} forbidden inputs")
        assert not found, f"{len(found)} of {tried} forbidden inputs:\n  " + "\n  ".join(found)


@check
def an_unknown_stream_is_not_found_by_any_operation():
    with stream("known") as told:
        arn, found = told["StreamARN"], []
        inputs = valid_inputs(told, f"{arn}/consumer/reader:1")
        for operation, base in sorted(inputs.items()):
            members = SHAPES[OPERATIONS[operation]["input"]["shape"]]["members"]
            if operation in ("CreateStream", "GetRecords", "SubscribeToShard", "DescribeStreamConsumer",
                             "DeregisterStreamConsumer"):
                continue
            nowhere = copy.deepcopy(base)
            if "StreamName" in base:
                nowhere["StreamName"] = "nowhere"
            elif "StreamARN" in base:
                nowhere["StreamARN"] = arn.replace("/known", "/nowhere")
            elif "ResourceARN" in base:
                nowhere["ResourceARN"] = arn.replace("/known", "/nowhere")
            else:
                continue
            if operation == "PutResourcePolicy":
                nowhere["Policy"] = json.dumps({"Version": "2012-10-17", "Statement": []})
            answer = raw.send(operation, nowhere)
            if answer.status != 400 or answer.error != "ResourceNotFoundException":
                if not (operation == "PutResourcePolicy" and answer.error in ACCOUNT_INVALID):
                    found.append(f"{operation}: unknown stream: got {answer}")
            if "StreamARN" in members and "StreamName" in base:
                both = {**base, "StreamARN": arn.replace("/known", "/other")}
                answer = raw.send(operation, both)
                if answer.status != 400 or answer.error not in ACCOUNT_INVALID:
                    found.append(f"{operation}: StreamName and StreamARN disagree: got {answer}")
                neither = {k: v for k, v in base.items() if k != "StreamName"}
                answer = raw.send(operation, neither)
                if answer.status != 400 or answer.error not in ACCOUNT_INVALID:
                    found.append(f"{operation}: neither StreamName nor StreamARN: got {answer}")
        assert not found, "\n  ".join(found)


@check
def a_stream_id_stands_beside_a_name_wherever_the_model_has_it():
    with stream("named") as told:
        if "StreamId" not in told:
            raise AssertionError("DescribeStreamSummary tells no StreamId")
        found = []
        for operation, members in (
            ("DescribeStreamSummary", {}), ("DescribeStream", {}), ("ListShards", {}), ("ListTagsForStream", {}),
            ("PutRecord", {"Data": b"x", "PartitionKey": "a"}),
            ("GetShardIterator", {"ShardId": "shardId-000000000000", "ShardIteratorType": "LATEST"}),
        ):
            for by in ({"StreamName": told["StreamName"]}, {"StreamARN": told["StreamARN"]}):
                answer = raw.send(operation, {**by, "StreamId": told["StreamId"], **members})
                if answer.status != 200:
                    found.append(f"{operation} {list(by)} + StreamId: {answer}")
        assert not found, "\n  ".join(found)


@check
def what_is_no_request_gets_an_answer_that_sdks_understand():
    found = []

    def told(what, answer, *types, status=(400,)):
        if answer.status not in status or (types and answer.error not in types):
            found.append(f"{what}: got {answer}, expected {status} {types}")

    told("an unknown operation", raw.send("MakeCoffee", {}), "UnknownOperationException")
    told("a wrong service", raw.send("ListStreams", {}, X_Amz_Target="Nothing_20131202.ListStreams"),
         "UnknownOperationException")
    told("no target", raw.send("ListStreams", {}, X_Amz_Target=None), status=(400, 403, 404))
    told("an unknown content type", raw.send("ListStreams", {}, Content_Type="text/plain"), status=(400, 404, 415))
    broken = b"\xbf\x61" if ENCODING == "cbor" else b'{"Limit": 5'
    for what, body in (
        ("half a body", broken), ("a body that is a number", b"\x05" if ENCODING == "cbor" else b"5"),
        ("a body that is a list", b"\x9f\xff" if ENCODING == "cbor" else b"[]"),
        ("something behind the body", (b"\xbf\xff" if ENCODING == "cbor" else b"{}") + b"\x01"),
        ("deep nesting", b"\x81" * 100_000 if ENCODING == "cbor" else b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        ("bytes that are no text", b"\xa1\x61\xff\x01" if ENCODING == "cbor" else b'{"a":"\xff\xfe"}'),
        ("a length of terabytes", b"\xbb\x00\x00\xff\xff\xff\xff\xff\xff" if ENCODING == "cbor" else b'{"Limit":1e999}'),
    ):
        told(what, raw.send("ListStreams", body), "SerializationException", "ValidationException")
    told("no body", raw.send("ListStreams", b""), status=(200, 400))
    assert not found, "\n  ".join(found)


@check
def every_operation_of_the_model_was_called():
    left = set(OPERATIONS) - covered
    assert not left, f"never called: {sorted(left)}"
    assert len(OPERATIONS) == 39, len(OPERATIONS)


def main():
    passed = failed = 0
    for function in checks:
        if options.only and not any(part in function.__name__ for part in options.only):
            continue
        try:
            function()
            passed += 1
        except Exception as failure:  # noqa: BLE001
            failed += 1
            told = str(failure) if isinstance(failure, AssertionError) else traceback.format_exc()[-1500:]
            print(f"FAILED ({ENCODING}) {function.__name__}: {told}")
            raw.close()
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
