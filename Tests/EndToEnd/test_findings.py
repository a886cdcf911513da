"""What the doctor finds, each trouble made for real: rows that workers of a certain kind leave, watched as they change."""

import json
import threading
import time

import pytest

from harness import wait_until
from test_adversity import WrongClock
from test_generations import APPLICATION, FIRST, number, text
from test_generations import Fleet as ThirdFleet
from test_policies import set_faults


class Watched:
    """A lease table whose workers are played, and `status --watch` in front of it."""

    def __init__(self, bench, emulator):
        self.bench, self.emulator = bench, emulator
        self.is_over = threading.Event()
        self.threads = []
        self.status = None

    def lease(self, index, owner=None, of=4, **more):
        space = 1 << 128
        self.emulator.dynamodb.put_item(TableName=APPLICATION, Item={
            "leaseKey": text(key(index)), **({"leaseOwner": text(owner)} if owner else {}), "leaseCounter": number(7),
            "checkpoint": text("TRIM_HORIZON"), "checkpointSubSequenceNumber": number(0),
            "ownerSwitchesSinceCheckpoint": number(0), "startingHashKey": text(str(space * index // of)),
            "endingHashKey": text(str(space * (index + 1) // of - 1)), **more})

    def renew(self, indices, every, owners=None):
        """Renews rows until the end, as `owners` by turns where there are any."""
        keys = [key(index) for index in indices]

        def turns():
            turn = 0
            while not self.is_over.wait(every):
                turn += 1
                for each in keys:
                    update(self.emulator, each, owners[turn % len(owners)] if owners else None)

        self.threads.append(threading.Thread(target=turns, daemon=True))
        self.threads[-1].start()

    def watch(self, *arguments):
        self.status = self.bench.start(
            "status", APPLICATION, "--watch", "--refresh", "1s", *arguments, AWS_ENDPOINT_URL=self.emulator.endpoint)

    def found(self, kind, seconds=20):
        """The first problem of that kind, and the pictures before it."""
        def look():
            for place, line in enumerate(list(self.status.lines)):
                for problem in json.loads(line)["problems"]:
                    if problem["kind"] == kind:
                        return problem, place
            return None

        return wait_until(look, seconds, lambda: self.status.lines[-1:] or self.status.stderr, 0.2)

    def close(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join(10)


def key(index):
    return f"shardId-{index:012d}"


def update(emulator, lease_key, owner=None):
    values = {":one": number(1)}
    if owner:
        values[":owner"] = text(owner)
    emulator.dynamodb.update_item(
        TableName=APPLICATION, Key={"leaseKey": text(lease_key)}, ExpressionAttributeValues=values,
        UpdateExpression="ADD leaseCounter :one" + (" SET leaseOwner = :owner" if owner else ""))


def first_record(fleet):
    """The sequence number of a record in the stream `orders`."""
    fleet.emulator.put("orders", ["one"])
    iterator = fleet.emulator.kinesis.get_shard_iterator(
        StreamName="orders", ShardId=key(0), ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    return fleet.emulator.kinesis.get_records(ShardIterator=iterator)["Records"][0]["SequenceNumber"]


@pytest.fixture
def watched(bench):
    made = []

    def start(*streams, emulator=None):
        if not emulator:
            emulator = bench.emulator(*streams)
            emulator.create_table(APPLICATION)
        made.append(Watched(bench, emulator))
        return made[-1]

    yield start
    for each in made:
        each.close()


def test_a_lease_that_nobody_takes(watched):
    fleet = watched()
    fleet.lease(0, "a", 2)
    fleet.lease(1, None, 2)
    fleet.renew([0], 0.5)
    fleet.watch("--failover-time", "2s")
    problem, _ = fleet.found("UNOWNED")
    assert problem["shardIds"] == [key(1)] and "no worker takes it" in problem["message"]


def test_an_owner_that_wanders(watched):
    fleet = watched()
    fleet.lease(0, "a", 1)
    fleet.renew([0], 1, ["a", "b"])
    fleet.watch("--failover-time", "3s")
    problem, _ = fleet.found("FLAPPING")
    assert problem["shardIds"] == [key(0)] and "(a, b)" in problem["message"]


def test_workers_of_two_minds_about_the_failover_time(watched):
    fleet = watched()
    for index, owner in enumerate(["quick", "quick", "slow", "slow"]):
        fleet.lease(index, owner)
    fleet.renew([0, 1], 1)
    fleet.renew([2, 3], 5)
    fleet.watch()
    problem, _ = fleet.found("FAILOVER_DIFFERS", 90)
    assert "one failoverTimeMillis" in problem["message"]


def test_a_worker_that_takes_less_than_its_share(watched):
    fleet = watched()
    for index in range(6):
        fleet.lease(index, "poor" if index == 0 else "rich", 6)
    fleet.renew(range(6), 0.5)
    fleet.watch("--failover-time", "2s")
    problem, _ = fleet.found("UNEVEN", 30)
    assert "rich has 5 leases, poor 1" in problem["message"]


def test_a_row_that_workers_stumble_over(watched):
    fleet = watched()
    fleet.lease(0, "a", 1, leaseCounter=text("seven"))
    fleet.watch()
    problem, before = fleet.found("ODD_ROW")
    assert problem["shardIds"] == [key(0)] and before == 0


def test_a_table_that_is_throttled(watched):
    fleet = watched()
    fleet.lease(0, "a", 1)
    fleet.watch()
    wait_until(lambda: fleet.status.lines, 20)
    set_faults(fleet, {"do": "throttle", "operation": "Scan"})
    problem, _ = fleet.found("THROTTLED")
    assert "reading more slowly" in problem["message"]


def test_a_stream_that_was_made_anew_under_its_name(watched):
    fleet = watched("orders:1")
    fleet.lease(0, "a", 1, checkpoint=text(first_record(fleet)))
    fleet.renew([0], 0.5)
    fleet.emulator.kinesis.delete_stream(StreamName="orders")
    time.sleep(2.1)  # its creation is a number of seconds
    wait_until(lambda: "orders" not in fleet.emulator.kinesis.list_streams()["StreamNames"], 20)
    fleet.emulator.kinesis.create_stream(StreamName="orders", ShardCount=1)
    fleet.emulator.wait_for_stream("orders")
    fleet.watch("--stream", "orders")
    problem, _ = fleet.found("STREAM_RECREATED")
    assert problem["shardIds"] == [key(0)] and "so nobody reads" in problem["message"]


@pytest.mark.parametrize("hours, kind, words", [
    (13, "DATA_LOSS_RISK", "may fall out of the retention in 10h"), (25, "DATA_LOST", "the retention 1d")])
def test_a_checkpoint_as_old_as_the_retention(watched, hours, kind, words):
    """By a service whose clock is hours ahead of the one that stored the record. An idle shard looks the same."""
    fleet = watched("orders:1")
    fleet.lease(0, "a", 1, checkpoint=text(first_record(fleet)))
    fleet.renew([0], 0.5)
    service = WrongClock(fleet.emulator.endpoint, hours * 3600)
    try:
        fleet.watch("--stream", "orders", "--endpoint-url", service.endpoint)
        problem, _ = fleet.found(kind)
        assert words in problem["message"] and "an idle shard looks the same" in problem["message"], problem
        assert problem["severity"] == "info"
        assert "CLOCK" in {each["kind"] for each in json.loads(fleet.status.lines[-1])["problems"]}
    finally:
        service.shutdown()
        service.server_close()


def test_a_handover_that_does_not_end(bench, watched):
    fleet = ThirdFleet(bench)
    done = fleet.run("lease", "assign", APPLICATION, FIRST, "--to", "worker-c", "--write", "--yes")
    assert done.returncode == 0, done.stderr
    fleet = watched(emulator=fleet.emulator)
    fleet.renew([0, 1], 0.5)
    fleet.watch("--failover-time", "2s")
    problem, _ = fleet.found("HANDOFF_STUCK", 120)
    assert problem["shardIds"] == [FIRST]


def test_a_leader_that_sends_no_heartbeat(bench, watched):
    third = ThirdFleet(bench, single=True)
    third.state("Leader", "LEADER", ownerName=text("worker-a"), leaseDuration=text("3000"),
                recordVersionNumber=text("1"))
    fleet = watched(emulator=third.emulator)
    fleet.renew([0, 1], 0.5)
    fleet.watch("--failover-time", "2s")
    problem, _ = fleet.found("LEADER_LOST", 60)
    assert problem["workerId"] == "worker-a" and "nobody hands out leases" in problem["message"]


def test_two_workers_of_one_id(bench, watched):
    third = ThirdFleet(bench, single=True)
    fleet = watched(emulator=third.emulator)
    fleet.renew([0, 1], 0.5)
    fleet.watch("--failover-time", "2s")
    # By the workers' clocks a quarter of a minute passes between two pictures.
    begin = time.time() - 600
    for step in range(24):
        third.report("worker-a", at=begin + 15 * step)
        third.report("worker-b", at=begin + 30 * (step // 2))
        seen = len(fleet.status.lines)
        wait_until(lambda: len(fleet.status.lines) >= seen + 2, 30, "no picture came")
    problem, _ = fleet.found("SAME_ID")
    assert problem["workerId"] == "worker-a" and "two workers have this id" in problem["message"]
    assert "reports every 15s" in problem["message"]
