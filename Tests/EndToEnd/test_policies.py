"""Least privilege: `shardtop iam` against the calls that are really made, and what a missing permission turns off."""

import fnmatch
import json
import signal
import time
import urllib.request

import pytest

import test_generations as generations
from harness import DONE, FAILED, wait_until
from test_operate import SHARD

ACCOUNT = "123456789012"
PLACE = ["--region", "us-east-1", "--account", ACCOUNT]
KINESIS = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/"
DYNAMODB = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/"
# Of the rows that a screen shows.
SCREEN = ("LeaseTable", "dynamodb:BatchGetItem")


class Account:
    """An emulator that writes down its calls, and a stream `orders` in it."""

    def __init__(self, bench, shards=2, **more):
        self.bench = bench
        self.capture = bench.directory / "capture"
        self.emulator = bench.emulator(f"orders:{shards}", arguments=["--capture", self.capture], **more)
        self.seen = 0

    def run(self, *arguments, **more):
        return self.bench.run(*arguments, AWS_ENDPOINT_URL=self.emulator.endpoint, **more)

    def calls(self):
        """(action, ARN) of every call since the last time that was asked."""
        lines = self.capture.read_text().splitlines() if self.capture.exists() else []
        new, self.seen = lines[self.seen:], len(lines)
        return made_in(new)

    def policy(self, *arguments):
        ended = self.run("iam", *arguments, *PLACE)
        assert ended.returncode == DONE, ended.stderr
        return json.loads(ended.stdout)["Statement"]


def made_in(lines):
    return {call(json.loads(line)) for line in lines if json.loads(line).get("operation")}


def call(line):
    service, operation = line["operation"].split(".")
    values = line.get("input") or {}
    if service == "DynamoDB":
        return f"dynamodb:{operation}", DYNAMODB + (values.get("TableName") or next(iter(values["RequestItems"])))
    arn = values.get("ConsumerARN") or values.get("StreamARN") or KINESIS + values.get("StreamName", "orders")
    return f"kinesis:{operation}", arn


def allows(statement, action, arn):
    return statement["Effect"] == "Allow" and action in statement["Action"] \
        and fnmatch.fnmatchcase(arn, statement["Resource"])


def compare(policy, calls, optional=()):
    """Every call is allowed, and everything that is allowed was called, but for what is optional."""
    assert calls
    forbidden = {made for made in calls if not any(allows(s, *made) for s in policy)}
    assert not forbidden, forbidden
    unused = {(s["Sid"], action) for s in policy for action in s["Action"]
              if not any(made[0] == action and allows(s, *made) for made in calls)}
    assert unused <= set(optional), unused - set(optional)


def dead_fleet(account, *, texts=()):
    """Leases that a worker left behind when it was killed; its own calls are not counted."""
    worker = account.bench.consume(account.emulator.endpoint, "orders")
    worker.wait_for("initialized", 2)
    for text in texts:
        account.emulator.put("orders", [text] * 20)
        wait_until(lambda: worker.texts.count(text) >= 20, 30)
        time.sleep(1.1)
    rows = lambda: account.emulator.leases(worker.application).values()
    wait_until(lambda: not texts or any(row["checkpoint"].isdigit() for row in rows()), 20)
    worker.process.send(signal.SIGKILL)
    worker.process.ended()
    account.calls()
    return worker.application


def of_a_3x_fleet(bench, application, *commands):
    """What is called of a fleet with a leader and side tables, as if it had the other application's name."""
    capture = bench.directory / "capture-3x"
    fleet = generations.Fleet(bench, arguments=["--capture", str(capture)])
    before = len(capture.read_text().splitlines())
    for command in commands:
        ended = fleet.run(*command)
        assert ended.returncode == DONE, ended.stderr
    made = made_in(capture.read_text().splitlines()[before:])
    return {(action, arn.replace(generations.APPLICATION, application)) for action, arn in made}


def test_the_policy_for_watching_is_what_watching_calls(bench, terminal):
    account = Account(bench)
    application = dead_fleet(account)
    stream = ["--stream", "orders"]
    for command in (["status", application, *stream, "--observe", "2s"], ["status", application, "--observe", "0"],
                    ["lease", "list", application]):
        ended = account.run(*command)
        assert ended.returncode == DONE, ended.stderr
    account.run("check", application, *stream, "--observe", "2s")
    recording = bench.directory / "recording"
    process = bench.start("watch", application, *stream, "--headless", "--record", recording, "--refresh", "1s",
                          AWS_ENDPOINT_URL=account.emulator.endpoint)
    wait_until(lambda: recording.exists() and recording.read_text().count('"is":"scan"') >= 3, 30)
    process.send(signal.SIGTERM)
    assert process.ended() == DONE
    made = account.calls() | of_a_3x_fleet(bench, application, ["status", generations.APPLICATION, "--observe", "0"])
    rows = ("dynamodb:BatchGetItem", DYNAMODB + application)
    assert rows not in made
    screen = terminal(AWS_ENDPOINT_URL=account.emulator.endpoint)
    # Scans that come seldom leave the rows to be read by themselves.
    screen.launch("watch", application, *stream, "--refresh", "60s")
    wait_until(lambda: rows in (seen := account.calls()) and (made.update(seen) or True), 30, lambda: screen.text)
    screen.type("q")
    screen.is_back()
    compare(account.policy("watch", application, *stream), made)


def test_the_policy_for_probing_is_what_a_probe_calls(bench):
    account = Account(bench)
    application = dead_fleet(account, texts=["waiting"])
    stream = ["--stream", "orders", "--lag", "probe"]
    ended = account.run("status", application, *stream, "--observe", "3s")
    assert ended.returncode == DONE, ended.stderr
    compare(account.policy("watch", application, *stream), account.calls(),
            {SCREEN, ("WorkerMetrics", "dynamodb:Scan")})


def test_the_policy_for_operating_is_what_operating_calls(bench):
    account = Account(bench)
    application = dead_fleet(account, texts=["early", "late"])
    rows = account.emulator.leases(application)
    shard = next(key for key, row in sorted(rows.items()) if row["checkpoint"].isdigit())
    other = next(key for key in rows if key != shard)
    account.emulator.dynamodb.delete_item(TableName=application, Key={"leaseKey": {"S": other}})
    account.calls()
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 30))
    stream, yes = ["--stream", "orders"], ["--write", "--yes"]
    commands = [
        ["status", application, *stream, "--observe", "1s"],
        ["lease", "create", application, other, *stream, *yes],
        ["lease", "undo", application, other, *stream, *yes],
        ["lease", "evict", application, shard, *yes],
        ["lease", "rewind", application, shard, "--to", moment, *stream, *yes],
        ["lease", "undo", application, shard, *yes],
        ["shard", "split", "orders", "shardId-000000000000", *yes],
        ["shard", "merge", "orders", "shardId-000000000002", "shardId-000000000003", *yes],
        ["stream", "scale", "orders", "--shards", "4", *yes],
        ["stream", "show", "orders"],
    ]
    made = set()
    for command in commands:
        ended = account.run(*command)
        assert ended.returncode == DONE, (command, ended.stderr)
        made |= account.calls()
        account.emulator.wait_for_stream("orders")
        # That was the test's own.
        account.calls()
    named = generations.APPLICATION
    made |= of_a_3x_fleet(
        bench, application, ["lease", "assign", named, generations.FIRST, "--to", "worker-c", "--write", "--yes"],
        ["lease", "complete-handoff", named, generations.FIRST, "--write", "--yes"])
    compare(account.policy("operate", application, *stream), made, {SCREEN})


@pytest.mark.parametrize("fan_out", [False, True])
def test_the_policy_for_consuming_is_what_a_worker_calls(bench, fan_out):
    account = Account(bench)
    account.calls()
    reading = dict(retrievalMode="FANOUT") if fan_out else {}
    worker = bench.consume(account.emulator.endpoint, "orders", completedLeaseCleanupIntervalMillis=1000,
                           metricsLevel="DETAILED", metricsBufferTimeMillis=1000, **reading)
    worker.wait_for("initialized", 2)
    made = account.calls()
    # A table of its own is created, a shard ends, its lease is cleaned up: the whole life of a stream.
    for number in range(3):
        account.emulator.put("orders", [f"{number} {i}" for i in range(40)])
    made |= own(account.calls())
    split(account)
    worker.wait_for("initialized", 4, 60)
    for number in range(3):
        account.emulator.put("orders", [f"{number} {i}" for i in range(40)])
        time.sleep(1)
    wait_until(lambda: worker.seen("leaseDeleted"), 60, lambda: {e["event"] for e in worker.events})
    made |= own(account.calls())
    file = next(bench.directory.glob("worker-*.properties"))
    policy = account.policy("consume", file)
    counts = json.load(urllib.request.urlopen(f"{account.emulator.endpoint}/_shardtop/counts"))
    assert "CloudWatch.PutMetricData" in json.dumps(counts)
    made.add(("cloudwatch:PutMetricData", "*"))
    assert worker.stop() == DONE
    # One worker alone needs these only after a lost answer or beside another; they are in the policy for that.
    optional = {("LeaseTable", "dynamodb:GetItem")}
    if fan_out:
        # The consumer is asked for by its ARN once it is registered.
        optional |= {("Consumer", "kinesis:DescribeStreamConsumer")}
    compare(policy, made, optional)


def own(calls):
    """Without what the test itself asks for."""
    return {made for made in calls if made[0] not in
            ("kinesis:PutRecords", "kinesis:SplitShard", "kinesis:DescribeStreamSummary")}


def split(account):
    account.emulator.kinesis.split_shard(
        StreamName="orders", ShardToSplit=SHARD, NewStartingHashKey=str((1 << 126) + 5))


# MARK: a permission that is missing


def denied(operation, **more):
    return dict(do="error", type="AccessDeniedException", message="not you", status=400, operation=operation, **more)


@pytest.mark.parametrize("operation, permission", [
    ("DescribeTable", "dynamodb:DescribeTable"), ("DynamoDB.GetItem", "dynamodb:GetItem"),
    ("DescribeStreamSummary", "kinesis:DescribeStreamSummary"), ("ListShards", "kinesis:ListShards"),
])
def test_a_denied_call_turns_off_what_needs_it_and_nothing_else(bench, operation, permission):
    account = Account(bench)
    application = dead_fleet(account)
    set_faults(account, denied(operation))
    ended = account.run("status", application, "--stream", "orders", "--observe", "1s", "--format", "json")
    assert ended.returncode == DONE, ended.stderr
    report = json.loads(ended.stdout)
    assert len(report["leases"]) == 2
    messages = [p["message"] for p in report["problems"] if p["kind"] == "DENIED"]
    assert len(messages) == 1 and f"must allow {permission}" in messages[0], report["problems"]


@pytest.mark.parametrize("operation, permission, command", [
    ("DynamoDB.GetItem", "dynamodb:GetItem", ["lease", "evict", "{0}", SHARD]),
    ("UpdateItem", "dynamodb:UpdateItem", ["lease", "evict", "{0}", SHARD]),
    ("SplitShard", "kinesis:SplitShard", ["shard", "split", "orders", SHARD]),
    ("UpdateShardCount", "kinesis:UpdateShardCount", ["stream", "scale", "orders", "--shards", "4"]),
])
def test_a_denied_action_says_which_permission_it_wants(bench, operation, permission, command):
    account = Account(bench)
    application = dead_fleet(account)
    before = account.emulator.leases(application)
    set_faults(account, denied(operation))
    ended = account.run(*(part.format(application) for part in command), "--write", "--yes")
    assert ended.returncode == FAILED and f"must allow {permission}" in ended.stderr, ended
    set_faults(account)
    assert account.emulator.leases(application) == before
    assert account.emulator.summary("orders")["OpenShardCount"] == 2


def test_a_screen_whose_rows_may_not_be_read_shows_what_the_scans_do_and_says_so(bench, terminal):
    account = Account(bench)
    application = dead_fleet(account)
    set_faults(account, denied("BatchGetItem"))
    screen = terminal(160, 45, AWS_ENDPOINT_URL=account.emulator.endpoint)
    screen.launch("watch", application, "--refresh", "3s")
    screen.shows("DENIED", "0000", "0001")
    screen.type("6", "Enter")
    screen.shows("allow dynamodb:BatchGetItem; rows on screen are as old as the last scan")
    screen.type("Escape")
    screen.shows_no("as old as the last scan")
    screen.type("q")
    screen.is_back()


def test_without_the_scan_there_is_nothing_to_show_and_that_is_said(bench):
    account = Account(bench)
    application = dead_fleet(account)
    set_faults(account, denied("Scan"))
    ended = account.run("status", application, "--observe", "1s")
    assert ended.returncode == FAILED and "must allow dynamodb:Scan" in ended.stderr
    ended = account.run("check", application, "--observe", "1s")
    assert ended.returncode == 3 and "must allow dynamodb:Scan" in ended.stdout


def set_faults(account, *faults):
    request = urllib.request.Request(
        f"{account.emulator.endpoint}/_shardtop/faults", data=json.dumps({"faults": faults}).encode(), method="PUT")
    urllib.request.urlopen(request).close()
