"""A lease table of several streams, as KCL's multi-stream workers leave it: it names its streams itself."""

import csv
import datetime
import io
import json

import pytest

from harness import DONE, REFUSED, USAGE, client

ACCOUNT = "123456789012"
APPLICATION = "several"
SPAN = 2**128


def shard(number):
    return f"shardId-{number:012d}"


class Several:
    """Two streams of two shards, a table with their leases; the second lease of `clicks` covers half of its shard."""

    def __init__(self, bench):
        self.bench = bench
        self.emulator = bench.emulator("orders:2", "clicks:2")
        self.emulator.create_table(APPLICATION)
        self.ids = {}
        for stream in ("orders", "clicks"):
            created = int(self.emulator.summary(stream)["StreamCreationTimestamp"].timestamp())
            self.ids[stream] = f"{ACCOUNT}:{stream}:{created}"
            for number in (0, 1):
                self.lease(stream, number)
        self.lease("clicks", 1, end=SPAN * 3 // 4 - 1)

    def key(self, stream, number):
        return f"{self.ids[stream]}:{shard(number)}"

    def lease(self, stream, number, end=None):
        """A row as KCL writes it, its checkpoint at the first record of a shard."""
        start = SPAN // 2 * number
        answer = self.emulator.kinesis.put_record(
            StreamName=stream, Data=b"x", PartitionKey="x", ExplicitHashKey=str(start))
        assert answer["ShardId"] == shard(number), answer
        row = {
            "leaseKey": {"S": self.key(stream, number)}, "leaseOwner": {"S": "java-1"}, "leaseCounter": {"N": "7"},
            "checkpoint": {"S": answer["SequenceNumber"]}, "checkpointSubSequenceNumber": {"N": "0"},
            "ownerSwitchesSinceCheckpoint": {"N": "0"}, "startingHashKey": {"S": str(start)},
            "endingHashKey": {"S": str(SPAN // 2 * (number + 1) - 1 if end is None else end)},
            "streamName": {"S": self.ids[stream]}, "shardId": {"S": shard(number)},
        }
        self.emulator.dynamodb.put_item(TableName=APPLICATION, Item=row)

    def run(self, *arguments, **more):
        return self.bench.run(*arguments, AWS_ENDPOINT_URL=self.emulator.endpoint, **more)

    def status(self, *arguments, seconds="12s"):
        ended = self.run("status", APPLICATION, "--observe", seconds, *arguments)
        assert ended.returncode == DONE, ended.stderr
        return ended.stdout

    def report(self, *arguments, seconds="12s"):
        return json.loads(self.status("--format", "json", *arguments, seconds=seconds))


@pytest.fixture
def several(bench):
    return Several(bench)


def test_the_lag_of_each_stream_and_the_hole_in_one(several):
    report = several.report()
    assert report["stream"] is None and report["streamState"] is None
    streams = {stream["name"]: stream for stream in report["streams"]}
    assert list(streams) == ["clicks", "orders"]
    for name, stream in streams.items():
        assert (stream["stream"], stream["account"]) == (several.ids[name], ACCOUNT)
        assert (stream["state"], stream["openShards"], stream["leases"]) == ("verified", 2, 2), stream
        assert stream["retentionHours"] == 24 and 0 < stream["maxCheckpointLagMilliseconds"] < 120_000
    leases = [lease for lease in report["leases"] if lease["state"] != "HOLE"]
    assert [lease["leaseKey"] for lease in leases] == [
        several.key(stream, number) for stream in ("clicks", "orders") for number in (0, 1)]
    for lease in leases:
        assert lease["shardId"] in (shard(0), shard(1)) and lease["stream"] in several.ids.values()
        assert lease["lagSource"] == "estimate" and 0 < lease["checkpointLagMilliseconds"] < 120_000, lease
        assert 86_000 < lease["secondsToTrim"] < 86_400
    hole, = [lease for lease in report["leases"] if lease["state"] == "HOLE"]
    assert hole["stream"] == several.ids["clicks"]
    assert (hole["startingHashKey"], hole["endingHashKey"]) == (str(SPAN * 3 // 4), str(SPAN - 1))
    problem, = [problem for problem in report["problems"] if problem["kind"] == "HOLE"]
    assert problem["stream"] == several.ids["clicks"] and problem["message"].startswith("clicks: a hash range")


def test_the_streams_in_every_format(several):
    rows = list(csv.DictReader(io.StringIO(several.status("--format", "csv", seconds="3s"))))
    assert [row["stream"] for row in rows if row["leaseKey"]] == [several.ids["clicks"]] * 2 + [several.ids["orders"]] * 2
    table = several.status(seconds="3s")
    assert "stream clicks  verified  2 open shards  2 leases" in table, table
    assert [line.split()[0] for line in table.splitlines() if shard(0) in line] == ["clicks", "orders"]
    page = several.status("--format", "prometheus", seconds="3s")
    for stream in several.ids.values():
        series = f'shardtop_shard_checkpoint_lag_seconds{{application="{APPLICATION}",stream="{stream}",shard="{shard(1)}"}}'
        assert series in page, page
        assert f'shardtop_stream_verified{{application="{APPLICATION}",stream="{stream}"}} 1' in page, page


def test_a_given_stream_is_the_only_one(several):
    report = several.report("--stream", "orders", seconds="3s")
    assert [stream["name"] for stream in report["streams"]] == ["orders"] and report["streamState"] == "verified"
    assert [lease["leaseKey"] for lease in report["leases"]] == [several.key("orders", n) for n in (0, 1)]
    ended = several.run("status", APPLICATION, "--stream", "others", "--observe", "3s")
    assert ended.returncode != DONE and "the table is of clicks, orders" in ended.stderr


def test_a_probe_reads_the_stream_of_the_row(several):
    several.emulator.kinesis.put_record(
        StreamName="clicks", Data=b"unread", PartitionKey="x", ExplicitHashKey="0")
    report = several.report("--lag", "probe", seconds="6s")
    lags = {lease["leaseKey"]: lease for lease in report["leases"] if lease["leaseKey"]}
    assert {lease["lagSource"] for lease in lags.values()} == {"probe"}, lags
    assert lags[several.key("orders", 0)]["checkpointLagMilliseconds"] == 0
    assert lags[several.key("clicks", 0)]["checkpointLagMilliseconds"] > 1000


def test_cloudwatch_has_a_dimension_for_the_stream(bench, moto):
    """As KCL's multi-stream workers publish: Operation, ShardId, StreamId."""
    moto.create_table(APPLICATION)
    lags = {f"{ACCOUNT}:orders:1700000000": 1234, f"{ACCOUNT}:clicks:1700000000": 5678}
    for stream in lags:
        moto.dynamodb.put_item(TableName=APPLICATION, Item={
            "leaseKey": {"S": f"{stream}:{shard(0)}"}, "leaseOwner": {"S": "java-1"}, "leaseCounter": {"N": "1"},
            "checkpoint": {"S": "TRIM_HORIZON"}, "checkpointSubSequenceNumber": {"N": "0"},
            "streamName": {"S": stream}, "shardId": {"S": shard(0)}})
    earlier = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=70)
    client("cloudwatch", moto.endpoint).put_metric_data(Namespace=APPLICATION, MetricData=[{
        "MetricName": "MillisBehindLatest", "Value": value, "Unit": "Milliseconds", "Timestamp": earlier,
        "Dimensions": [
            {"Name": "Operation", "Value": "ProcessTask"}, {"Name": "ShardId", "Value": shard(0)},
            {"Name": "StreamId", "Value": stream}],
    } for stream, value in lags.items()])
    ended = bench.run(
        "status", APPLICATION, "--format", "json", "--observe", "3s", "--lag", "cloudwatch",
        AWS_ENDPOINT_URL=moto.endpoint)
    assert ended.returncode == DONE, ended.stderr
    report = json.loads(ended.stdout)
    seen = {lease["stream"]: lease["deliveredLagMilliseconds"] for lease in report["leases"]}
    assert seen == lags, report
    # The streams are not there: that is said, and nothing worse of their rows.
    assert {problem["kind"] for problem in report["problems"] if problem["severity"] != "info"} == {"STREAM"}, report


def test_actions_name_the_stream(several):
    rows = lambda: several.emulator.leases(APPLICATION)
    ended = several.run("lease", "evict", APPLICATION, shard(0), "--write", "--yes")
    assert ended.returncode == REFUSED and "is a shard of 2 streams" in ended.stderr, ended.stderr
    ended = several.run("lease", "evict", APPLICATION, f"orders:{shard(0)}", "--write", "--yes")
    assert ended.returncode == DONE, ended.stderr
    assert "leaseOwner" not in rows()[several.key("orders", 0)]
    assert rows()[several.key("clicks", 0)]["leaseOwner"] == "java-1"

    key = several.key("clicks", 1)
    before = several.emulator.leases(APPLICATION)[key]
    several.emulator.dynamodb.delete_item(TableName=APPLICATION, Key={"leaseKey": {"S": key}})
    ended = several.run("lease", "create", APPLICATION, key, "--write", "--yes", "--observe", "3s")
    assert ended.returncode == DONE, ended.stderr
    made = rows()[key]
    assert (made["streamName"], made["shardId"], made["checkpoint"]) == (
        several.ids["clicks"], shard(1), "TRIM_HORIZON")
    assert made["startingHashKey"] == before["startingHashKey"] and made["endingHashKey"] == str(SPAN - 1)
    ended = several.run("lease", "undo", APPLICATION, key, "--write", "--yes", "--observe", "3s")
    assert ended.returncode == DONE, ended.stderr
    assert key not in rows()

    ended = several.run("lease", "rewind", APPLICATION, several.key("orders", 1), "--to", "1h", "--write", "--yes",
                        "--observe", "3s")
    assert ended.returncode == DONE, ended.stderr
    assert rows()[several.key("orders", 1)]["checkpointSubSequenceNumber"] == "-1"
    assert rows()[several.key("orders", 1)]["streamName"] == several.ids["orders"]


def test_a_probe_of_a_table_of_one_stream_needs_its_name(several):
    several.emulator.create_table("single")
    several.emulator.dynamodb.put_item(TableName="single", Item={
        "leaseKey": {"S": shard(0)}, "leaseCounter": {"N": "1"}, "checkpoint": {"S": "TRIM_HORIZON"}})
    ended = several.run("status", "single", "--lag", "probe", "--observe", "1s")
    assert ended.returncode == USAGE and "name it with --stream" in ended.stderr
