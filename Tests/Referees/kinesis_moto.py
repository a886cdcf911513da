"""The emulator's Kinesis beside moto's: kinesis_moto.py EMULATOR_URL MOTO_URL

Sends the same control and error requests to both and compares the error's type, and its message where moto has the
service's words. moto has no ChildShards, no ShardFilter, no limits and numbers its records 1, 2, 3; those are not
compared. Prints "N passed, N failed"; the status is 1 where something failed.
"""

import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

KEYS = dict(region_name="us-east-1", aws_access_key_id="referee", aws_secret_access_key="secret")
# Parameters are checked by the services, not by boto3.
CONFIG = Config(retries={"max_attempts": 0}, parameter_validation=False)
ours, motos = (boto3.client("kinesis", endpoint_url=url, config=CONFIG, **KEYS) for url in sys.argv[1:3])
NAME = f"moto-{int(time.time())}"
SHARDS = [f"shardId-{i:012d}" for i in range(8)]
passed = failed = 0


def outcome(client, operation, arguments):
    try:
        answer = getattr(client, operation)(**arguments)
        answer.pop("ResponseMetadata")
        return "done", answer
    except ClientError as e:
        return e.response["Error"]["Code"], e.response["Error"]["Message"]


def settle():
    while ours.describe_stream_summary(StreamName=NAME)["StreamDescriptionSummary"]["StreamStatus"] != "ACTIVE":
        time.sleep(0.1)


def compare(operation, words=False, pick=None, **arguments):
    """`words`: the messages must be equal too. `pick`: what of a successful answer must be equal."""
    global passed, failed
    a, b = outcome(ours, operation, arguments), outcome(motos, operation, arguments)
    same = a[0] == b[0] and (not words or a[1] == b[1])
    if same and a[0] == "done" and pick:
        same = pick(a[1]) == pick(b[1])
    if same:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {operation} {arguments}\n  emulator {a}\n  moto     {b}", file=sys.stderr)


def shards(answer):
    return [(s["ShardId"], s["HashKeyRange"], s.get("ParentShardId"), s.get("AdjacentParentShardId"))
            for s in answer["Shards"]]


compare("create_stream", StreamName=NAME, ShardCount=3)
settle()
compare("create_stream", StreamName=NAME, ShardCount=3)
compare("list_shards", pick=shards, StreamName=NAME)
compare("describe_stream_summary", words=True, StreamName="none")
compare("describe_stream", words=True, StreamName="none")
compare("delete_stream", words=True, StreamName="none")
compare("put_record", words=True, StreamName="none", Data=b"x", PartitionKey="k")
compare("put_records", words=True, StreamName="none", Records=[{"Data": b"x", "PartitionKey": "k"}])
compare("split_shard", words=True, StreamName="none", ShardToSplit=SHARDS[0], NewStartingHashKey="5")
compare("split_shard", words=True, StreamName=NAME, ShardToSplit=SHARDS[7], NewStartingHashKey="5")
compare("split_shard", words=True, StreamName=NAME, ShardToSplit="no-shard", NewStartingHashKey="5")
compare("merge_shards", words=True, StreamName=NAME, ShardToMerge=SHARDS[0], AdjacentShardToMerge=SHARDS[7])
compare("merge_shards", StreamName=NAME, ShardToMerge=SHARDS[0], AdjacentShardToMerge=SHARDS[2])
for key, shard in [("k", SHARDS[0]), ("a", SHARDS[0]), ("key", SHARDS[0]), ("", SHARDS[0])]:
    compare("put_record", pick=lambda a: a["ShardId"], StreamName=NAME, Data=b"x", PartitionKey=key or "zz")
compare("put_record", pick=lambda a: a["ShardId"], StreamName=NAME, Data=b"x", PartitionKey="k",
        ExplicitHashKey=str(2**127))
compare("put_record", StreamName=NAME, Data=b"x", PartitionKey="k", ExplicitHashKey=str(2**128))
compare("put_records", words=False, StreamName=NAME, Records=[{"Data": b"x", "PartitionKey": "k"}] * 501)
compare("put_records", words=False, StreamName=NAME, Records=[{"Data": b"x" * (1 << 20 | 1), "PartitionKey": "k"}])
# More than 10 MiB with its keys; moto stays at the older 5 MiB, and says so.
compare("put_records", words=False, StreamName=NAME, Records=[{"Data": b"x" * (1 << 20), "PartitionKey": "k"}] * 10)
compare("get_shard_iterator", StreamName=NAME, ShardId=SHARDS[7], ShardIteratorType="LATEST")
compare("increase_stream_retention_period", words=True, StreamName=NAME, RetentionPeriodHours=23)
compare("increase_stream_retention_period", words=True, StreamName=NAME, RetentionPeriodHours=8761)
compare("increase_stream_retention_period", StreamName=NAME, RetentionPeriodHours=48)
compare("increase_stream_retention_period", words=True, StreamName=NAME, RetentionPeriodHours=24)
compare("decrease_stream_retention_period", words=True, StreamName=NAME, RetentionPeriodHours=72)
compare("describe_stream_summary", pick=lambda a: a["StreamDescriptionSummary"]["RetentionPeriodHours"],
        StreamName=NAME)
compare("split_shard", StreamName=NAME, ShardToSplit=SHARDS[0], NewStartingHashKey=str(2**100))
settle()
compare("split_shard", words=True, StreamName=NAME, ShardToSplit=SHARDS[0], NewStartingHashKey=str(2**99))
compare("list_shards", pick=shards, StreamName=NAME)
compare("merge_shards", StreamName=NAME, ShardToMerge=SHARDS[3], AdjacentShardToMerge=SHARDS[4])
settle()
compare("list_shards", pick=shards, StreamName=NAME)
compare("describe_stream_summary", pick=lambda a: a["StreamDescriptionSummary"]["OpenShardCount"], StreamName=NAME)
compare("delete_stream", StreamName=NAME)
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
