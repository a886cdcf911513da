"""Each scenario of the demo, headless: what its captions promise must be in its events."""

import collections
import datetime
import re

import pytest

from harness import DONE, read_events

SUMMARY = re.compile(
    r"^shardtop demo: produced (?P<produced>\d+), delivered (?P<delivered>\d+) \(\+(?P<again>\d+) again\), checkpointed "
    r"(?P<checkpointed>\d+) times, TERMINATE (?P<terminate>\d+), ZOMBIE (?P<zombie>\d+), skipped (?P<skipped>\d+), "
    r"lost (?P<lost>\d+), out of order (?P<disorder>\d+)$", re.M)


class Play:
    """A scenario that was played to its end."""

    def __init__(self, bench, scenario):
        path = bench.directory / "events.ndjson"
        ended = bench.run("demo", "--headless", "--scenario", scenario, "--events", path, seconds=280)
        assert ended.returncode == DONE, ended.stderr
        found = SUMMARY.search(ended.stdout)
        assert found, ended.stdout
        self.summary = {name: int(value) for name, value in found.groupdict().items()}
        self.captions = ended.stderr
        self.events = read_events(path)
        assert [event["seq"] for event in self.events] == list(range(1, len(self.events) + 1))
        assert self.summary["lost"] == 0 and self.summary["disorder"] == 0 and self.summary["skipped"] == 0
        assert self.summary["delivered"] == self.summary["produced"] > 0
        assert len(self.of("shardEnded")) == self.summary["terminate"]
        assert len(self.of("leaseLost")) == self.summary["zombie"]
        self.check_families()
        self.check_tenures()

    def of(self, kind, **members):
        return [
            e for e in self.events
            if e["event"] == kind and all(e.get(name) == value for name, value in members.items())]

    def first(self, kind, **members):
        found = self.of(kind, **members)
        assert found, f"no {kind} {members}"
        return found[0]

    @property
    def children(self):
        """Parents by child, as the ends of the shards named them."""
        parents = collections.defaultdict(set)
        for end in self.of("shardEnded"):
            for child in end.get("childShardIds", []):
                parents[child].add(end["shardId"])
        return parents

    def check_families(self):
        """TERMINATE once a shard, and no child is read before every parent has ended.

        What ends a parent for everybody is its checkpoint; the worker that stored it says TERMINATE when its processor
        has returned, and by then another may have begun with the child.
        """
        ended = [event["shardId"] for event in self.of("shardEnded")]
        assert len(ended) == len(set(ended))
        assert all(event["checkpoint"] == "SHARD_END" for event in self.of("shardEnded"))
        for child, parents in self.children.items():
            read = [e["seq"] for e in self.of("recordsProcessed", shardId=child)]
            for parent in parents:
                end = self.first("checkpointed", shardId=parent, checkpoint="SHARD_END")["seq"]
                assert all(end < seq for seq in read), (parent, child)
        for child in {event["shardId"] for event in self.of("childLeaseCreated")}:
            assert child in self.children

    def check_tenures(self):
        """A ZOMBIE neither checkpoints nor gets records; the batch that it was in when it lost the lease may end."""
        lost = {}
        for event in self.events:
            key = (event.get("workerId"), event.get("shardId"))
            if event["event"] == "leaseLost":
                lost[key] = 0
            elif event["event"] in ("leaseTaken", "leaseStolen"):
                lost.pop(key, None)
            elif event["event"] in ("checkpointed", "shardEnded"):
                assert key not in lost, event
            elif event["event"] == "recordsProcessed" and key in lost:
                lost[key] += 1
                assert lost[key] == 1, event

    def taken_over(self, worker):
        """Leases that others took from `worker`."""
        return [e for e in self.of("leaseTaken") + self.of("leaseStolen")
                if e.get("previousOwner") == worker and e["owner"] != worker]


@pytest.fixture
def play(bench):
    return lambda scenario: Play(bench, scenario)


def arrival(sequence_number):
    """Seconds since 1970, which the service's sequence numbers carry in nibbles 29 to 37."""
    return int(f"{int(sequence_number):x}"[29:38], 16)


def seconds(at):
    return datetime.datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp()


def drained(run, parent):
    """How long a closed shard was still read: from its last record's arrival until its end."""
    last = run.of("recordsProcessed", shardId=parent["shardId"])[-1]
    return seconds(parent["at"]) - arrival(last["to"])


def test_split_terminates_the_parent_once_and_then_starts_two_children(play):
    run = play("split")
    assert run.summary["terminate"] == 1
    parent = run.first("shardEnded")
    assert len(run.children) == 2
    assert all(parents == {parent["shardId"]} for parents in run.children.values())
    assert len(run.of("childLeaseCreated")) == 2
    assert drained(run, parent) >= 8, "DRAIN and BLOCKED must stay visible"


def test_merge_terminates_both_parents_before_their_child_starts(play):
    run = play("merge")
    assert run.summary["terminate"] == 2
    assert len(run.children) == 1
    assert {len(parents) for parents in run.children.values()} == {2}
    assert len(run.of("childLeaseCreated")) == 1
    assert max(drained(run, parent) for parent in run.of("shardEnded")) >= 8, "DRAIN and BLOCKED must stay visible"


def test_scale_goes_to_eight_shards_and_back_to_four(play):
    run = play("scale")
    # Four shards are split, then the eight children are merged.
    assert run.summary["terminate"] == 12
    ended = {event["shardId"] for event in run.of("shardEnded")}
    started = {event["shardId"] for event in run.of("initialized")}
    assert len(started) == 16 and len(started - ended) == 4


def test_zombie_is_what_the_paused_worker_becomes_when_it_wakes_up(play):
    run = play("zombie")
    lost = run.first("leaseLost", message="not renewed for 3000 ms")
    paused = lost["workerId"]
    taken = run.taken_over(paused)
    assert taken, "nobody took the paused worker's leases"
    assert min(e["seq"] for e in taken) < lost["seq"]
    silence = [e for e in run.events if e.get("workerId") == paused and e["seq"] < lost["seq"]]
    assert silence[-1]["event"] in ("checkpointed", "recordsProcessed", "throttled"), silence[-1]
    assert run.summary["terminate"] == 0


def test_failover_gives_a_killed_workers_leases_to_the_others(play):
    run = play("failover")
    revived = [w for w in {e["workerId"] for e in run.of("workerStarted")} if len(run.of("workerStarted", workerId=w)) == 2]
    assert len(revived) == 1, "one worker is killed and started again"
    killed, = revived
    again = run.of("workerStarted", workerId=killed)[1]["seq"]
    taken = [e for e in run.taken_over(killed) if e["seq"] < again]
    assert taken, "nobody took the killed worker's leases"
    # A killed worker never finds out that it lost anything: nothing more is heard of it until it is back.
    expired = min(e["seq"] for e in taken if e["event"] == "leaseTaken")
    assert not [e for e in run.events if e.get("workerId") == killed and expired < e["seq"] < again]
    assert [e for e in run.of("leaseTaken") + run.of("leaseStolen") if e["workerId"] == killed and e["seq"] > again]


def test_hot_shard_is_throttled_and_split_where_it_is_hot(play):
    run = play("hot-shard")
    assert run.summary["terminate"] == 1
    assert len(run.children) == 2
    assert re.search(r"[Tt]hrottled", run.captions)


def test_throttle_slows_everything_down_and_loses_no_lease(play):
    run = play("throttle")
    assert run.of("throttled")
    # One may be stolen to balance a fleet that has just started; none is lost because it was not renewed.
    assert not [e for e in run.of("leaseLost") if "not renewed" in e["message"]]
    assert run.summary["terminate"] == 0


def test_tour_shows_everything(play):
    run = play("tour")
    # One split and one merge.
    assert run.summary["terminate"] == 3
    assert len(run.children) == 3
    # The robbed worker and the paused one.
    assert run.summary["zombie"] >= 2
    assert run.of("leaseStolen")
    steps = [int(n) for n in re.findall(r"^\[(\d+)/\d+\]", run.captions, re.M)]
    assert steps == list(range(1, len(steps) + 1))


def test_for_ends_the_run_in_the_middle_of_a_scenario(bench):
    ended = bench.run("demo", "--headless", "--scenario", "tour", "--for", "3s", seconds=20)
    assert ended.returncode == DONE
    assert SUMMARY.search(ended.stdout)["lost"] == "0"


def test_the_last_line_is_all_that_is_on_stdout(bench):
    ended = bench.run("demo", "--headless", "--for", "2s", seconds=20)
    assert ended.returncode == DONE and ended.stderr == ""
    assert len(ended.stdout.splitlines()) == 1 and SUMMARY.search(ended.stdout)


def test_events_go_to_stdout_on_request(bench):
    ended = bench.run("demo", "--for", "2s", "--events", "-", seconds=20)
    lines = ended.stdout.splitlines()
    assert lines[0].startswith('{"version":1,"seq":1,') and SUMMARY.search(lines[-1])
