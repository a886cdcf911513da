"""`status`, `lease` and `shard`: what they show, what they write, and when they write nothing."""

import csv
import io
import json
import signal
import stat
import time

import pytest

from harness import DONE, INTENT_GONE, REFUSED, USAGE, Bench, run_python, wait_until

SHARD = "shardId-000000000000"


class Fleet:
    """An emulator and a worker on it."""

    def __init__(self, bench: Bench, shards=2, **properties):
        self.bench = bench
        self.emulator = bench.emulator(f"orders:{shards}")
        self.worker = bench.consume(self.emulator.endpoint, "orders", **properties)
        self.worker.wait_for("initialized", shards)
        self.application = self.worker.application

    def run(self, *arguments, **more):
        return self.bench.run(*arguments, AWS_ENDPOINT_URL=self.emulator.endpoint, **more)

    @property
    def leases(self):
        return self.emulator.leases(self.application)

    def audit(self):
        lines = []
        for path in (self.bench.directory / "state" / "shardtop").glob("*"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
            lines += [json.loads(line) for line in path.read_text().splitlines()]
        return lines


@pytest.fixture
def fleet(bench):
    return Fleet(bench)


# MARK: status


NUMBER, TEXT = (int, float), str
OR_NULL = (type(None),)
REPORT = {
    "version": (int,), "application": (TEXT,), "stream": (TEXT, *OR_NULL), "region": (TEXT,),
    "account": (TEXT, *OR_NULL), "tableArn": (TEXT,), "takenAt": (TEXT,), "observedSeconds": NUMBER,
    "generation": (TEXT,), "mode": (TEXT, *OR_NULL), "leader": (TEXT, *OR_NULL), "failoverTimeMillis": (int,),
    "failoverTimeSource": (TEXT,), "retentionHours": (int,), "leases": (list,), "workers": (list,),
    "problems": (list,), "totals": (dict,), "cost": (dict,),
}
LEASE = {
    "leaseKey": (TEXT,), "shardId": (TEXT,), "stream": (TEXT, *OR_NULL), "owner": (TEXT, *OR_NULL),
    "checkpointOwner": (TEXT, *OR_NULL), "state": (TEXT,), "why": (TEXT,), "checkpoint": (TEXT,),
    "checkpointSubSequenceNumber": (int,), "checkpointAgeSeconds": (*NUMBER, *OR_NULL),
    "checkpointLagMilliseconds": (int, *OR_NULL), "deliveredLagMilliseconds": (int, *OR_NULL), "lagSource": (TEXT,),
    "secondsToTrim": (int, *OR_NULL), "leaseCounter": (int,), "counterAgeSeconds": (*NUMBER, *OR_NULL),
    "ownerSwitchesSinceCheckpoint": (int,), "parentShardIds": (list,), "childShardIds": (list,),
    "startingHashKey": (TEXT,), "endingHashKey": (TEXT,), "pendingCheckpoint": (TEXT, *OR_NULL),
    "throughputKBps": (*NUMBER, *OR_NULL), "progress": (TEXT, *OR_NULL), "secondsToCatchUp": (*NUMBER, *OR_NULL),
    "catchesUp": (bool, *OR_NULL),
}
STATES = set("LEARNING LIVE LATE EXPIRED FREE HANDOFF PENDING BLOCKED DRAIN ENDED ORPHAN MISSING HOLE".split())


def has_shape(value, shape):
    for name, types in shape.items():
        assert name in value, f"{name} is missing"
        assert isinstance(value[name], types), f"{name} is {value[name]!r}"


def test_status_json_has_the_documented_shape(fleet):
    fleet.emulator.put("orders", [f"r{i}" for i in range(100)])
    ended = fleet.run("status", fleet.application, "--stream", "orders", "--format", "json", "--observe", "6s")
    assert ended.returncode == DONE, ended.stderr
    report = json.loads(ended.stdout)
    has_shape(report, REPORT)
    assert report["version"] == 1 and report["application"] == fleet.application and report["stream"] == "orders"
    assert report["generation"] == "2.x" and report["retentionHours"] == 24 and report["account"] == "123456789012"
    assert 5 <= report["observedSeconds"] < 20
    assert report["failoverTimeSource"] in ("given", "inferred", "default")
    assert [lease["shardId"] for lease in report["leases"]] == [SHARD, "shardId-000000000001"]
    for lease in report["leases"]:
        has_shape(lease, LEASE)
        assert lease["state"] in STATES and lease["lagSource"] in "exact cloudwatch probe estimate none".split()
        assert lease["owner"] == fleet.worker.worker_id and lease["state"] == "LIVE", lease
    worker, = report["workers"]
    assert (worker["workerId"], worker["leases"], worker["activeLeases"]) == (fleet.worker.worker_id, 2, 2)
    assert worker["state"] == "LIVE"
    assert {"open": 2, "draining": 0, "ended": 0, "unowned": 0}.items() <= report["totals"].items()
    assert report["cost"]["calls"] > 0 and report["cost"]["readCapacityUnits"] >= 0
    for problem in report["problems"]:
        assert problem["severity"] in ("critical", "warning", "info") and problem["kind"] and problem["message"]


def test_status_without_observing_knows_no_heartbeat(fleet):
    ended = fleet.run("status", fleet.application, "--observe", "0", "--format", "json")
    report = json.loads(ended.stdout)
    assert {lease["state"] for lease in report["leases"]} == {"LEARNING"} and report["stream"] is None


def test_status_calls_a_dead_owner_expired(fleet):
    fleet.worker.process.send(signal.SIGKILL)
    ended = fleet.run("status", fleet.application, "--stream", "orders", "--format", "json", "--observe", "6s",
                      "--failover-time", "3s")
    assert {lease["state"] for lease in json.loads(ended.stdout)["leases"]} == {"EXPIRED"}


def test_status_as_a_table_and_as_csv(fleet):
    table = fleet.run("status", fleet.application, "--stream", "orders", "--observe", "0").stdout
    assert fleet.application in table and SHARD in table and fleet.worker.worker_id in table
    text = fleet.run("status", fleet.application, "--stream", "orders", "--observe", "0", "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["shardId"] for row in rows] == [SHARD, "shardId-000000000001"]
    listed = fleet.run("lease", "list", fleet.application)
    assert listed.returncode == DONE and listed.stdout.count("\n") == 3 and not listed.stdout.endswith("\n\n")


def test_status_writes_nothing(fleet):
    fleet.worker.process.send(signal.SIGKILL)
    before = fleet.leases
    fleet.run("status", fleet.application, "--stream", "orders", "--observe", "3s")
    assert fleet.leases == before


# MARK: evict


def evict(fleet, *more, **env):
    return fleet.run("lease", "evict", fleet.application, SHARD, *more, **env)


def test_evict_needs_write_and_a_yes(fleet):
    before = fleet.worker.worker_id
    for arguments, env in [([], {}), (["--yes"], {}), (["--write"], {}),
                           (["--write", "--yes"], dict(SHARDTOP_READ_ONLY="1"))]:
        ended = evict(fleet, *arguments, **env)
        assert ended.returncode == REFUSED, (arguments, ended)
    assert fleet.leases[SHARD]["leaseOwner"] == before and not fleet.worker.seen("leaseLost")
    assert not fleet.audit()


def test_evict_with_dry_run_shows_the_write_and_writes_nothing(bench):
    fleet = Fleet(bench)
    fleet.worker.process.send(signal.SIGKILL)
    before = fleet.leases
    ended = evict(fleet, "--dry-run")
    assert ended.returncode == DONE, ended.stderr
    assert "leaseOwner" in ended.stderr and "UpdateItem" in ended.stderr and "leaseCounter" in ended.stderr
    assert fleet.leases == before and not fleet.audit()


def test_evict_makes_the_owner_a_zombie_and_is_audited(fleet):
    fleet.emulator.put("orders", [f"r{i}" for i in range(200)])
    counter = int(fleet.leases[SHARD]["leaseCounter"])
    ended = evict(fleet, "--write", "--yes", "--reason", "a test of it")
    assert ended.returncode == DONE, ended.stderr
    assert int(fleet.leases[SHARD]["leaseCounter"]) > counter
    fleet.worker.wait_for("leaseLost")
    lost, = fleet.worker.seen("leaseLost")
    assert lost["shardId"] == SHARD and lost["reason"] == "ZOMBIE"
    audit = fleet.audit()
    assert len(audit) == 2, audit
    assert "a test of it" in json.dumps(audit) and fleet.worker.worker_id in json.dumps(audit)
    # Alone in the fleet, it takes the lease again, and nothing is lost.
    fleet.worker.wait_for("initialized", 3)
    wait_until(lambda: {f"r{i}" for i in range(200)} <= set(fleet.worker.texts), 20)


def test_an_eviction_whose_intent_is_gone_writes_nothing(fleet):
    """Between what is shown and the yes, the owner changes: exit status 3."""
    from harness import Screen
    fleet.worker.process.send(signal.SIGKILL)
    fleet.worker.process.ended()
    screen = Screen(fleet.bench.directory, AWS_ENDPOINT_URL=fleet.emulator.endpoint)
    try:
        screen.launch("lease", "evict", fleet.application, SHARD, "--write")
        screen.shows("Type yes")
        fleet.emulator.dynamodb.update_item(
            TableName=fleet.application, Key={"leaseKey": {"S": SHARD}},
            UpdateExpression="SET leaseOwner = :o, leaseCounter = leaseCounter + :one",
            ExpressionAttributeValues={":o": {"S": "somebody-else"}, ":one": {"N": "1"}})
        before = fleet.leases
        screen.write("yes")
        screen.type("Enter")
        wait_until(lambda: screen.child is None, 20, lambda: screen.text)
        assert screen.status == INTENT_GONE
        assert "nothing was written" in screen.text
        assert fleet.leases == before
    finally:
        screen.close()


def test_an_eviction_follows_a_counter_that_moves(bench):
    """The owner renews between what is shown and the write; the intent still holds."""
    fleet = Fleet(bench, failoverTimeMillis=1000)
    for _ in range(3):
        ended = evict(fleet, "--write", "--yes")
        assert ended.returncode in (DONE, REFUSED), ended.stderr
    assert fleet.worker.seen("leaseLost")


def test_evict_without_an_audit_does_nothing(fleet):
    (fleet.bench.directory / "state").write_text("not a directory")
    owner = fleet.leases[SHARD]["leaseOwner"]
    ended = evict(fleet, "--write", "--yes")
    assert ended.returncode != DONE and "audit" in ended.stderr.lower(), ended
    assert fleet.leases[SHARD]["leaseOwner"] == owner and not fleet.worker.seen("leaseLost")


# MARK: shard


def test_split_in_the_middle_and_at_a_key(bench):
    emulator = bench.emulator("orders:1")

    def shards():
        return {s["ShardId"]: s for s in emulator.kinesis.list_shards(StreamName="orders")["Shards"]}

    def split(*arguments):
        return bench.run("shard", "split", "orders", *arguments, AWS_ENDPOINT_URL=emulator.endpoint)

    assert split(SHARD).returncode == REFUSED
    assert split(SHARD, "--dry-run").returncode == DONE
    assert len(shards()) == 1
    assert split(SHARD, "--write", "--yes").returncode == DONE
    emulator.wait_for_stream("orders")
    ranges = [shards()[f"shardId-{i:012d}"]["HashKeyRange"] for i in (1, 2)]
    assert ranges[0]["EndingHashKey"] == str(2**127 - 1) and ranges[1]["StartingHashKey"] == str(2**127)
    ended = split("shardId-000000000001", "--at", "1000", "--write", "--yes")
    assert ended.returncode == DONE, ended.stderr
    emulator.wait_for_stream("orders")
    assert shards()["shardId-000000000004"]["HashKeyRange"]["StartingHashKey"] == "1000"
    # A closed shard, and a key outside of the shard.
    assert split(SHARD, "--write", "--yes").returncode == REFUSED
    assert split("shardId-000000000002", "--at", "5", "--write", "--yes").returncode == REFUSED


def test_merge_takes_neighbours_only(bench):
    emulator = bench.emulator("orders:3")

    def merge(a, b):
        return bench.run("shard", "merge", "orders", f"shardId-{a:012d}", f"shardId-{b:012d}", "--write", "--yes",
                         AWS_ENDPOINT_URL=emulator.endpoint)

    assert merge(0, 2).returncode == REFUSED
    assert merge(0, 0).returncode == REFUSED
    assert merge(2, 1).returncode == DONE
    emulator.wait_for_stream("orders")
    shards = emulator.kinesis.list_shards(StreamName="orders")["Shards"]
    child = [s for s in shards if s["ShardId"] == "shardId-000000000003"][0]
    assert {child["ParentShardId"], child["AdjacentParentShardId"]} == {"shardId-000000000001", "shardId-000000000002"}


def test_put_counts_and_paces(bench):
    emulator = bench.emulator("orders:2")
    ended = bench.run("put", "orders", "--count", 150, "--rate", 1000, AWS_ENDPOINT_URL=emulator.endpoint)
    assert ended.returncode == DONE and "150 records" in ended.stderr and ended.stdout == ""
    worker = bench.consume(emulator.endpoint, "orders")
    wait_until(lambda: len(worker.texts) == 150, 30, lambda: len(worker.texts))


def test_put_gets_through_a_throttled_stream(bench):
    emulator = bench.emulator(
        "orders:1", faults=[{"do": "throttle", "operation": "PutRecords", "count": 2},
                            {"do": "throttle", "operation": "PutRecords", "probability": 0.3, "count": 20}])
    lines = [f"line {i}" for i in range(1200)]
    ended = bench.run("put", "orders", "--stdin", text="\n".join(lines), AWS_ENDPOINT_URL=emulator.endpoint)
    assert ended.returncode == DONE, ended.stderr
    worker = bench.consume(emulator.endpoint, "orders")
    wait_until(lambda: sorted(worker.texts) == sorted(lines), 30, lambda: len(worker.texts))


# MARK: rewind


def rewind(fleet, to, *more, stream=True, **env):
    return fleet.run("lease", "rewind", fleet.application, SHARD, "--to", to,
                     *(["--stream", "orders"] if stream else []), *more, **env)


def test_a_rewind_delivers_again_from_the_time_on_and_is_audited(bench):
    fleet = Fleet(bench, shards=1)
    fleet.emulator.put("orders", [f"early {i}" for i in range(50)])
    wait_until(lambda: len(fleet.worker.texts) == 50, 20)
    time.sleep(1.2)
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    time.sleep(1.1)
    late = [f"late {i}" for i in range(50)]
    fleet.emulator.put("orders", late)
    wait_until(lambda: len(fleet.worker.texts) == 100 and fleet.leases[SHARD]["checkpoint"].isdigit(), 20)
    for arguments, status in [([], REFUSED), (["--yes"], REFUSED), (["--dry-run"], DONE)]:
        assert rewind(fleet, moment, *arguments).returncode == status, arguments
    # The table alone names no stream to look a time up in.
    assert rewind(fleet, moment, "--write", "--yes", stream=False).returncode == REFUSED
    assert not fleet.audit() and not fleet.worker.seen("leaseLost")
    ended = rewind(fleet, moment, "--write", "--yes", "--reason", "read again")
    assert ended.returncode == DONE, ended.stderr
    fleet.worker.wait_for("leaseLost")
    wait_until(lambda: len(fleet.worker.texts) >= 150, 20, lambda: fleet.worker.texts[100:])
    assert fleet.worker.texts[100:] == late
    # A line more before each further try, where the owner wrote in between.
    before, *_, after = fleet.audit()
    assert before["action"] == "rewind" and before["reason"] == "read again" and after["outcome"] == "written"
    assert after["newRow"]["checkpointSubSequenceNumber"] == {"N": "-1"} and "leaseOwner" not in after["newRow"]
    # It has read everything again: nothing is left to undo.
    wait_until(lambda: fleet.leases[SHARD]["checkpoint"] == after["oldRow"]["checkpoint"]["S"], 20)
    assert fleet.run("lease", "undo", fleet.application, SHARD, "--write", "--yes").returncode == REFUSED


def test_what_skips_records_wants_the_applications_name(fleet):
    for to, arguments, status in [
            ("LATEST", ["--write", "--yes"], REFUSED), ("LATEST", ["--write", "--confirm", "another"], REFUSED),
            ("AT_TIMESTAMP", ["--write", "--yes"], REFUSED), ("SHARD_END", ["--write", "--yes"], REFUSED),
            ("TRIM_HORIZON", ["--write", "--yes"], REFUSED), ("2100-01-01", ["--write", "--yes"], REFUSED),
            ("tomorrow", ["--write", "--yes"], USAGE)]:
        ended = rewind(fleet, to, *arguments)
        assert ended.returncode == status, (to, ended)
    assert not fleet.audit()
    ended = rewind(fleet, "LATEST", "--write", "--confirm", fleet.application)
    assert ended.returncode == DONE, ended.stderr
    assert "SKIPPED" in ended.stderr
    fleet.worker.wait_for("leaseLost")
    wait_until(lambda: "leaseOwner" in fleet.leases[SHARD], 20)
    ended = fleet.run("lease", "undo", fleet.application, SHARD, "--write", "--yes")
    assert ended.returncode == DONE, ended.stderr
    assert fleet.audit()[-1]["newRow"]["checkpoint"] == {"S": "TRIM_HORIZON"}
    assert fleet.run("lease", "undo", fleet.application, SHARD, "--write", "--yes").returncode == REFUSED


def test_nothing_is_said_against_a_fleet_that_is_well():
    """The long proof: Tests/Referees/healthy_fleet.py."""
    run = run_python("healthy_fleet.py", "--minutes", 0.5, "--leases", 40, "--workers", 3, seconds=300)
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
