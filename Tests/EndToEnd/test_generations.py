"""Fleets of Java KCL 3.x: their tables, written from its contract, watched and operated by the command line."""

import json
import time

import pytest

from harness import DONE, REFUSED

FIRST, SECOND = "shardId-000000000000", "shardId-000000000001"
APPLICATION = "orders-app"


def number(value):
    return {"N": str(value)}


def text(value):
    return {"S": value}


class Fleet:
    """The tables of a fleet that nobody runs, on an emulator."""

    def __init__(self, bench, version="CLIENT_VERSION_3X", single=False, arguments=()):
        self.bench = bench
        self.emulator = bench.emulator(arguments=list(arguments))
        self.single = single
        self.emulator.create_table(APPLICATION)
        half = 1 << 127
        self.lease(FIRST, "worker-a", 0, half - 1)
        self.lease(SECOND, "worker-b", half, (1 << 128) - 1)
        if not single:
            self.emulator.create_table(f"{APPLICATION}-CoordinatorState", key="key")
            self.emulator.create_table(f"{APPLICATION}-WorkerMetricStats", key="wid")
        self.state("Migration3.0", "CLIENT_VERSION_MIGRATION", cv=text(version), mb=text("worker-a"),
                   mts=number(int((time.time() - 3600) * 1000)))
        self.state("Leader", "LEADER", ownerName=text("worker-a"), leaseDuration=text("120000"),
                   recordVersionNumber=text("1"))
        for worker in ("worker-a", "worker-b", "worker-c"):
            self.report(worker)

    def put(self, table, item):
        self.emulator.dynamodb.put_item(TableName=table, Item=item)

    def lease(self, key, owner, start, end):
        self.put(APPLICATION, {
            "leaseKey": text(key), "leaseOwner": text(owner), "leaseCounter": number(7), "checkpoint": text("LATEST"),
            "checkpointSubSequenceNumber": number(0), "ownerSwitchesSinceCheckpoint": number(0),
            "startingHashKey": text(str(start)), "endingHashKey": text(str(end)), "throughputKBps": number(1.5)})

    def state(self, key, kind, **attributes):
        if self.single:
            self.put(APPLICATION, {"leaseKey": text(key), "entityType": text(kind), **attributes})
        else:
            self.put(f"{APPLICATION}-CoordinatorState", {"key": text(key), **attributes})

    def report(self, worker, age=0, at=None):
        row = {
            "lut": number(int(at or time.time() - age)), "properties": {"M": {}},
            "sts": {"M": {"C": {"L": [number(20), number(37.5)]}}}, "opr": {"M": {"C": {"L": [number(80)]}}}}
        if self.single:
            self.put(APPLICATION, {"leaseKey": text(worker), "entityType": text("WORKER_METRIC_STATS"), **row})
        else:
            self.put(f"{APPLICATION}-WorkerMetricStats", {"wid": text(worker), **row})

    def run(self, *arguments):
        return self.bench.run(*arguments, AWS_ENDPOINT_URL=self.emulator.endpoint)

    def status(self):
        ended = self.run("status", APPLICATION, "--format", "json", "--observe", "0")
        assert ended.returncode == DONE, ended.stderr
        return json.loads(ended.stdout)

    def row(self, key):
        return self.emulator.leases(APPLICATION)[key]


@pytest.mark.parametrize("single", [False, True])
def test_status_tells_what_a_3x_fleet_is(bench, single):
    fleet = Fleet(bench, "CLIENT_VERSION_3X_WITH_ROLLBACK", single=single)
    report = fleet.status()
    assert report["generation"] == "3.x" and report["mode"] == "3.x (with rollback)" and report["leader"] == "worker-a"
    assert report["layout"] == ("single-table" if single else "side-tables")
    assert report["migration"]["clientVersion"] == "CLIENT_VERSION_3X_WITH_ROLLBACK"
    assert report["leaderHeartbeatAgeSeconds"] is not None and report["assignment"] == "the leader assigns by CPU"
    workers = {worker["workerId"]: worker for worker in report["workers"]}
    assert set(workers) == {"worker-a", "worker-b", "worker-c"} and workers["worker-c"]["leases"] == 0
    told = workers["worker-b"]["report"]
    assert told["percent"]["cpu"] == 37.5 and told["operatingRange"]["cpu"] == 80 and told["isFresh"]
    assert 0 <= told["reportAgeSeconds"] < 30
    table = fleet.run("status", APPLICATION, "--observe", "0").stdout
    assert "38%" in table and "leader worker-a, heartbeat" in table


@pytest.mark.parametrize("single", [False, True])
def test_a_lease_is_handed_over_and_the_handover_completed(bench, single):
    fleet = Fleet(bench, single=single)
    assign = ("lease", "assign", APPLICATION, FIRST, "--to", "worker-c")
    shown = fleet.run(*assign, "--dry-run")
    assert shown.returncode == DONE and "may move it back" in shown.stderr and fleet.row(FIRST)["leaseCounter"] == "7"
    assert fleet.run(*assign, "--yes").returncode == REFUSED
    done = fleet.run(*assign, "--write", "--yes")
    assert done.returncode == DONE, done.stderr
    row = fleet.row(FIRST)
    assert (row["leaseOwner"], row["checkpointOwner"], row["leaseCounter"]) == ("worker-c", "worker-a", "7")
    again = fleet.run(*assign, "--write", "--yes")
    assert again.returncode == REFUSED and "being handed over to worker-c already" in again.stderr
    done = fleet.run("lease", "complete-handoff", APPLICATION, FIRST, "--write", "--yes")
    assert done.returncode == DONE and "NOT KNOWN TO BE STUCK" in done.stderr
    row = fleet.row(FIRST)
    assert (row["leaseOwner"], row["leaseCounter"], row["ownerSwitchesSinceCheckpoint"]) == ("worker-c", "8", "1")
    assert "checkpointOwner" not in row
    hard = fleet.run("lease", "assign", APPLICATION, FIRST, "--to", "worker-b", "--hard", "--write", "--yes")
    assert hard.returncode == DONE and fleet.row(FIRST)["leaseOwner"] == "worker-b"
    nothing = fleet.run("lease", "complete-handoff", APPLICATION, FIRST, "--write", "--yes")
    assert nothing.returncode == REFUSED and "nothing to complete" in nothing.stderr


def test_a_worker_that_does_not_report_gets_nothing(bench):
    fleet = Fleet(bench)
    fleet.report("worker-b", age=90)
    silent = fleet.run("lease", "assign", APPLICATION, FIRST, "--to", "worker-b", "--write", "--yes")
    assert silent.returncode == REFUSED and "reported 1m" in silent.stderr
    ghost = fleet.run("lease", "assign", APPLICATION, FIRST, "--to", "ghost", "--write", "--yes")
    assert ghost.returncode == REFUSED and "worker-a, worker-c" in ghost.stderr
    assert fleet.row(FIRST)["leaseOwner"] == "worker-a" and fleet.row(FIRST)["leaseCounter"] == "7"


@pytest.mark.parametrize("version", ["CLIENT_VERSION_2X", "CLIENT_VERSION_UPGRADE_FROM_2X"])
def test_workers_that_take_leases_are_assigned_none(bench, version):
    fleet = Fleet(bench, version)
    refused = fleet.run("lease", "assign", APPLICATION, FIRST, "--to", "worker-c", "--write", "--yes")
    assert refused.returncode == REFUSED and "evict" in refused.stderr
    evict = fleet.run("lease", "evict", APPLICATION, FIRST, "--dry-run")
    assert ("restarts the fleet's 10-minute timer" in evict.stderr) == (version == "CLIENT_VERSION_UPGRADE_FROM_2X")


@pytest.mark.parametrize("purpose", ["watch", "operate"])
def test_the_least_policy_allows_every_call(bench, purpose):
    capture = bench.directory / "capture.ndjson"
    fleet = Fleet(bench, arguments=["--capture", str(capture)])
    before = len(capture.read_text().splitlines())
    fleet.status()
    if purpose == "operate":
        done = fleet.run("lease", "assign", APPLICATION, FIRST, "--to", "worker-c", "--write", "--yes")
        assert done.returncode == DONE, done.stderr
    made = {(call["operation"].split(".")[-1], call["input"]["TableName"])
            for call in map(json.loads, capture.read_text().splitlines()[before:])}
    policy = json.loads(fleet.run("iam", purpose, APPLICATION, "--stream", "orders").stdout)
    allowed = {(action.split(":")[1], statement["Resource"].split("/")[-1])
               for statement in policy["Statement"] for action in statement["Action"] if action.startswith("dynamodb")}
    assert made <= allowed, made - allowed
    assert ("Scan", f"{APPLICATION}-WorkerMetricStats") in made
