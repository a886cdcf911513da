"""Lag that is measured, not estimated, of workers that are not ours to ask."""

import datetime
import json
import signal

from harness import client, wait_until
from test_operate import Fleet


def leases(ended):
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)["leases"]


def status(fleet, *arguments, seconds="7s"):
    return leases(fleet.run(
        "status", fleet.application, "--format", "json", "--observe", seconds, *arguments))


def test_a_probe_measures_what_waits_behind_a_worker_that_hangs(bench):
    fleet = Fleet(bench, shards=1)
    fleet.emulator.put("orders", ["first"])
    fleet.worker.wait_for("checkpointed")
    lease, = status(fleet, "--stream", "orders", "--lag", "probe", seconds="3s")
    assert (lease["lagSource"], lease["checkpointLagMilliseconds"]) == ("probe", 0), lease
    fleet.worker.process.send(signal.SIGSTOP)
    fleet.emulator.put("orders", ["second"])
    lags = []
    for _ in range(2):
        lease, = status(fleet, "--stream", "orders", "--lag", "probe", seconds="3s")
        assert lease["lagSource"] == "probe", lease
        lags.append(lease["checkpointLagMilliseconds"])
    assert 0 < lags[0] < lags[1], lags
    fleet.worker.process.send(signal.SIGCONT)


def test_cloudwatch_shows_what_workers_publish(bench):
    fleet = Fleet(
        bench, shards=1, metricsLevel="SUMMARY", metricsBufferTimeMillis=500)
    fleet.emulator.put("orders", ["first"])

    def published():
        lease, = status(fleet, "--lag", "cloudwatch", seconds="3s")
        return lease["deliveredLagMilliseconds"] is not None and lease

    lease = wait_until(published, 30, "no metric came")
    assert lease["lagSource"] == "cloudwatch", lease
    assert 0 <= lease["deliveredLagMilliseconds"] < 60_000


def test_cloudwatch_of_another_party(bench, moto):
    moto.create_table("their-app")
    moto.dynamodb.put_item(TableName="their-app", Item={
        "leaseKey": {"S": "shardId-000000000000"}, "leaseOwner": {"S": "java-1"}, "leaseCounter": {"N": "1"},
        "checkpoint": {"S": "TRIM_HORIZON"}, "checkpointSubSequenceNumber": {"N": "0"}})
    now = datetime.datetime.now(datetime.timezone.utc)
    client("cloudwatch", moto.endpoint).put_metric_data(Namespace="their-app", MetricData=[{
        "MetricName": "MillisBehindLatest", "Value": value, "Unit": "Milliseconds",
        "Timestamp": now - datetime.timedelta(seconds=age),
        "Dimensions": [
            {"Name": "Operation", "Value": "ProcessTask"}, {"Name": "ShardId", "Value": "shardId-000000000000"}]}
        for value, age in [(9000, 130), (4200, 70)]])
    lease, = leases(bench.run(
        "status", "their-app", "--format", "json", "--observe", "3s", "--lag", "cloudwatch",
        AWS_ENDPOINT_URL=moto.endpoint))
    assert (lease["deliveredLagMilliseconds"], lease["lagSource"]) == (4200, "cloudwatch"), lease


def test_a_denied_probe_is_a_remark_with_the_permission(bench):
    fleet = Fleet(bench, shards=1)
    emulator = bench.emulator("other:1", faults=[
        {"do": "error", "type": "AccessDeniedException", "operation": "GetShardIterator"}])
    assert fleet.emulator.endpoint != emulator.endpoint
    ended = fleet.run(
        "status", fleet.application, "--stream", "other", "--format", "json", "--observe", "3s", "--lag", "probe",
        "--kinesis-endpoint", emulator.endpoint)
    assert ended.returncode == 0, ended.stderr
    problems = [p for p in json.loads(ended.stdout)["problems"] if p["kind"] == "DENIED"]
    assert problems and "kinesis:GetShardIterator and kinesis:GetRecords" in problems[0]["message"], problems
