"""boto3 against the emulator's Kinesis: kinesis_boto3.py http://127.0.0.1:4567 [AWS CLI command | --cbor]

Data, paging, errors and resharding as a client that nobody here wrote sees them. With the AWS CLI's command as second
argument, the CLI reads what boto3 wrote; with --cbor, boto3 speaks CBOR. Prints "N passed, N failed"; the status is 1 where something failed.
"""

import datetime
import json
import os
import subprocess
import sys
import time
import traceback

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

import cbor_boto3

ENDPOINT = sys.argv[1]
CBOR = sys.argv[2:] == ["--cbor"]
CLI = sys.argv[2] if len(sys.argv) > 2 and not CBOR else None
KEYS = dict(region_name="us-east-1", aws_access_key_id="boto3", aws_secret_access_key="secret")
if CBOR:
    cbor_boto3.install()
kinesis = boto3.client("kinesis", endpoint_url=ENDPOINT, config=Config(retries={"max_attempts": 0}), **KEYS)

passed = failed = 0
checks = []


def check(function):
    checks.append(function)
    return function


def error(call, **arguments):
    """The code and message of a call that must fail."""
    try:
        call(**arguments)
    except ClientError as e:
        assert e.response["ResponseMetadata"]["HTTPStatusCode"] == 400, e.response
        assert e.response["ResponseMetadata"]["RequestId"], e.response
        return e.response["Error"]["Code"], e.response["Error"]["Message"]
    raise AssertionError("the call did not fail")


def stream(name, shards=1):
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    return name


def active(name):
    while kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamStatus"] != "ACTIVE":
        time.sleep(0.1)


def iterator(name, shard, kind="TRIM_HORIZON", **more):
    return kinesis.get_shard_iterator(StreamName=name, ShardId=shard, ShardIteratorType=kind, **more)["ShardIterator"]


def read(name, shard):
    """All records of a shard, and its last answer."""
    token, records = iterator(name, shard), []
    while True:
        answer = kinesis.get_records(ShardIterator=token)
        records += answer["Records"]
        token = answer.get("NextShardIterator")
        if not token or (not answer["Records"] and answer["MillisBehindLatest"] == 0):
            return records, answer
        time.sleep(0.25)


@check
def answers_come_in_the_encoding_of_the_request():
    told = kinesis.list_streams()["ResponseMetadata"]["HTTPHeaders"]["content-type"]
    assert told == f"application/x-amz-{'cbor' if CBOR else 'json'}-1.1", told


@check
def records_come_back_byte_for_byte():
    name = stream("bytes", 2)
    sent = {}
    for i in range(40):
        data, key = bytes(range(256)) * (i % 5) + str(i).encode(), f"Schlüssel \"{i}\" \\ 日本"
        answer = kinesis.put_record(StreamName=name, Data=data, PartitionKey=key)
        sent[answer["SequenceNumber"]] = (data, key, answer["ShardId"])
    batch = [{"Data": f"batch {i}".encode(), "PartitionKey": str(i)} for i in range(500)]
    answer = kinesis.put_records(StreamName=name, Records=batch)
    assert answer["FailedRecordCount"] == 0 and len(answer["Records"]) == 500
    for entry, result in zip(batch, answer["Records"]):
        sent[result["SequenceNumber"]] = (entry["Data"], entry["PartitionKey"], result["ShardId"])
    got = {}
    for shard in ("shardId-000000000000", "shardId-000000000001"):
        records, _ = read(name, shard)
        numbers = [int(r["SequenceNumber"]) for r in records]
        assert numbers == sorted(numbers)
        for r in records:
            assert abs((datetime.datetime.now(datetime.timezone.utc)
                        - r["ApproximateArrivalTimestamp"]).total_seconds()) < 120
            got[r["SequenceNumber"]] = (r["Data"], r["PartitionKey"], shard)
    assert got == sent


@check
def sequence_numbers_have_the_services_layout():
    """47 hex digits behind the version, as kinesalite's parseSequence takes them apart."""
    name = stream("layout", 3)
    answer = kinesis.put_record(StreamName=name, Data=b"x", PartitionKey="a")
    number = int(answer["SequenceNumber"])
    assert len(answer["SequenceNumber"]) == 56
    digits = hex(number)[2:]
    assert len(digits) == 47 and digits[0] == "2" and digits[-1] == "2"
    assert abs(int(digits[1:10], 16) - time.time()) < 60
    assert abs(int(digits[29:38], 16) - time.time()) < 60
    assert int(digits[38:46], 16) == int(answer["ShardId"][-12:])


@check
def every_iterator_type_works():
    name = stream("iterators")
    shard = "shardId-000000000000"
    numbers = [kinesis.put_record(StreamName=name, Data=d, PartitionKey="k")["SequenceNumber"] for d in (b"a", b"b")]
    latest = iterator(name, shard, "LATEST")
    time.sleep(1.1)
    after = datetime.datetime.now(datetime.timezone.utc)
    kinesis.put_record(StreamName=name, Data=b"c", PartitionKey="k")

    def data(token):
        time.sleep(0.25)
        return b"".join(r["Data"] for r in kinesis.get_records(ShardIterator=token)["Records"])

    assert data(iterator(name, shard)) == b"abc"
    assert data(latest) == b"c"
    assert data(iterator(name, shard, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1])) == b"bc"
    assert data(iterator(name, shard, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1])) == b"c"
    assert data(iterator(name, shard, "AT_TIMESTAMP", Timestamp=after)) == b"c"


@check
def lists_have_pages():
    stream("pages", 7)
    # The service refuses StreamName beside NextToken, so boto3's own paginator fails on it after one page.
    pages = [kinesis.list_shards(StreamName="pages", MaxResults=3)]
    while "NextToken" in pages[-1]:
        pages.append(kinesis.list_shards(NextToken=pages[-1]["NextToken"], MaxResults=3))
    assert [len(p["Shards"]) for p in pages] == [3, 3, 1], pages
    described = list(kinesis.get_paginator("describe_stream").paginate(
        StreamName="pages", PaginationConfig={"PageSize": 2}))
    assert sum(len(p["StreamDescription"]["Shards"]) for p in described) == 7
    names = [n for p in kinesis.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 2})
             for n in p["StreamNames"]]
    assert names == sorted(names) and "pages" in names


@check
def a_split_ends_its_parent_and_a_merge_both():
    name = stream("reshard")
    kinesis.put_record(StreamName=name, Data=b"parent", PartitionKey="k")
    kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    active(name)
    records, last = read(name, "shardId-000000000000")
    assert [r["Data"] for r in records] == [b"parent"]
    assert "NextShardIterator" not in last
    assert [c["ShardId"] for c in last["ChildShards"]] == ["shardId-000000000001", "shardId-000000000002"]
    assert all(c["ParentShards"] == ["shardId-000000000000"] for c in last["ChildShards"])
    kinesis.merge_shards(
        StreamName=name, ShardToMerge="shardId-000000000001", AdjacentShardToMerge="shardId-000000000002")
    active(name)
    shards = kinesis.list_shards(StreamName=name)["Shards"]
    child = shards[3]
    assert child["ParentShardId"] == "shardId-000000000001"
    assert child["AdjacentParentShardId"] == "shardId-000000000002"
    assert int(child["SequenceNumberRange"]["StartingSequenceNumber"]) > max(
        int(s["SequenceNumberRange"]["EndingSequenceNumber"]) for s in shards[:3])
    kinesis.update_shard_count(StreamName=name, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    active(name)
    summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 2
    latest = kinesis.list_shards(StreamName=name, ShardFilter={"Type": "AT_LATEST"})["Shards"]
    assert [s["HashKeyRange"]["StartingHashKey"] for s in latest] == ["0", str(2**127)]


@check
def errors_are_the_services():
    name = stream("errors", 2)
    account = "under account 123456789012"
    assert error(kinesis.describe_stream, StreamName="none") == (
        "ResourceNotFoundException", f"Stream none {account} not found.")
    assert error(kinesis.create_stream, StreamName=name, ShardCount=1)[0] == "ResourceInUseException"
    assert error(kinesis.get_records, ShardIterator="made up")[0] == "InvalidArgumentException"
    assert error(kinesis.split_shard, StreamName=name, ShardToSplit="shardId-000000000009",
                 NewStartingHashKey="5") == (
        "ResourceNotFoundException", f"Could not find shard shardId-000000000009 in stream {name} {account}.")
    assert error(kinesis.merge_shards, StreamName=name, ShardToMerge="shardId-000000000001",
                 AdjacentShardToMerge="shardId-000000000000")[0] == "InvalidArgumentException"
    code, message = error(kinesis.put_records, StreamName=name,
                          Records=[{"Data": b"x" * (1 << 20 | 1), "PartitionKey": "k"}])
    assert code == "ValidationException" and "at 'records.1.member.data'" in message, message
    for exception in ("ResourceNotFoundException", "ResourceInUseException", "InvalidArgumentException",
                      "ProvisionedThroughputExceededException", "ExpiredIteratorException"):
        assert hasattr(kinesis.exceptions, exception)
    try:
        kinesis.describe_stream(StreamName="none")
    except kinesis.exceptions.ResourceNotFoundException:
        pass


@check
def limits_are_enforced():
    name = stream("limits")
    token = iterator(name, "shardId-000000000000")
    codes = []
    for _ in range(7):
        try:
            kinesis.get_records(ShardIterator=token)
        except ClientError as e:
            codes.append(e.response["Error"]["Code"])
    assert codes and set(codes) == {"ProvisionedThroughputExceededException"}, codes
    big = [{"Data": b"x" * 500_000, "PartitionKey": "k"}] * 4
    answer = kinesis.put_records(StreamName=name, Records=big)
    assert answer["FailedRecordCount"] == 2, answer["FailedRecordCount"]
    assert answer["Records"][3]["ErrorCode"] == "ProvisionedThroughputExceededException"
    assert "Rate exceeded for shard" in answer["Records"][3]["ErrorMessage"]


@check
def retention_and_deletion():
    name = stream("retention")
    kinesis.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=48)
    summary = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    assert summary["RetentionPeriodHours"] == 48
    assert error(kinesis.decrease_stream_retention_period, StreamName=name, RetentionPeriodHours=5)[0] == (
        "InvalidArgumentException")
    kinesis.delete_stream(StreamName=name)
    kinesis.get_waiter("stream_not_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    assert error(kinesis.get_shard_iterator, StreamName=name, ShardId="shardId-000000000000",
                 ShardIteratorType="LATEST")[0] == "ResourceNotFoundException"


def cli(*arguments):
    environment = dict(os.environ, AWS_ACCESS_KEY_ID="cli", AWS_SECRET_ACCESS_KEY="secret",
                       AWS_DEFAULT_REGION="us-east-1", AWS_PAGER="")
    return subprocess.run([*CLI.split(), "kinesis", *arguments, "--endpoint-url", ENDPOINT, "--output", "json"],
                          env=environment, capture_output=True, text=True, timeout=60)


@check
def the_cli_reads_what_boto3_wrote():
    if not CLI:
        return
    name = stream("cli")
    kinesis.put_record(StreamName=name, Data=b"hello", PartitionKey="k")
    token = json.loads(cli("get-shard-iterator", "--stream-name", name, "--shard-id", "shardId-000000000000",
                           "--shard-iterator-type", "TRIM_HORIZON").stdout)["ShardIterator"]
    answer = json.loads(cli("get-records", "--shard-iterator", token).stdout)
    assert answer["Records"][0]["Data"] == "aGVsbG8="
    assert cli("split-shard", "--stream-name", name, "--shard-to-split", "shardId-000000000000",
               "--new-starting-hash-key", "1000").returncode == 0
    active(name)
    shards = json.loads(cli("list-shards", "--stream-name", name, "--max-items", "2").stdout)
    assert len(shards["Shards"]) == 2 and shards["NextToken"]
    wrong = cli("describe-stream", "--stream-name", "none")
    assert wrong.returncode != 0 and "ResourceNotFoundException" in wrong.stderr, wrong.stderr


for function in checks:
    try:
        function()
        passed += 1
    except Exception:
        failed += 1
        print(f"FAILED {function.__name__}", file=sys.stderr)
        traceback.print_exc()
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
