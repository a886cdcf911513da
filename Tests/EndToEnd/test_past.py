"""Rewind, the past, marked shards on the screen; leases made and deleted by hand, and taken back."""

import re
import time

import pytest

from harness import DONE, REFUSED, wait_until
from test_operate import Fleet
from test_screen import demo, first_shard  # noqa: F401

SHARDS = [f"shardId-{number:012}" for number in range(2)]


def test_a_rewind_in_the_demo_delivers_again_and_a_skip_wants_the_name(demo):  # noqa: F811
    screen = demo()
    time.sleep(6)
    shard, _ = first_shard(screen)
    screen.type("w")
    screen.shows(f"rewind or advance {shard}", "TRIM_HORIZON")
    screen.write("5s")
    screen.type("Enter")
    screen.shows("rewind?", "UpdateItem shardtop-demo", "it is delivered again")
    screen.type("y")
    screen.matches(r"duplicates [1-9]")
    screen.matches(rf"ZOMBIE +{shard}")
    screen.type("w")
    screen.write("LATEST")
    screen.type("Enter")
    screen.shows("type shardtop-demo to confirm")
    screen.type("y", "Enter")
    screen.shows("type shardtop-demo to confirm")
    screen.type("BSpace")
    screen.write("shardtop-demo")
    screen.type("Enter")
    screen.matches(rf"OPERATOR +{shard}")


def test_the_past_is_shown_as_such_and_left(demo):  # noqa: F811
    screen = demo()
    shard, owner = first_shard(screen)
    screen.type("e")
    screen.shows("evict?")
    screen.type("y")
    screen.matches(rf"ZOMBIE +{shard}")
    wait_until(lambda: re.search(r"OK  \d workers read every shard", screen.text), 20)
    time.sleep(4)
    screen.type("[")
    screen.matches(r"PAST \d\d:\d\d:\d\dZ \d")
    screen.type("e")
    screen.shows("nothing can be done in the past")
    screen.type("{")
    screen.matches(rf"\d\d:\d\d:\d\dZ  .*{shard}")
    screen.type("Escape")
    screen.shows_no("PAST")


def test_marked_shards_are_evicted_one_after_the_other(demo):  # noqa: F811
    screen = demo()
    # Every lease needs an owner to evict.
    time.sleep(5)
    screen.type("g", "Space", "Space")
    screen.shows("2 marked")
    screen.type("e")
    screen.shows("evict 2 shards?", "one after the other")
    screen.type("y")
    screen.shows("all 2 done")
    wait_until(lambda: len(set(re.findall(r"ZOMBIE +(0\d{3})", screen.text))) >= 2, 20, lambda: screen.text)


@pytest.fixture
def idle(bench):
    """A fleet whose worker has checkpointed and ended."""
    fleet = Fleet(bench)
    fleet.emulator.put("orders", [f"record {i}" for i in range(60)])
    wait_until(lambda: all(row["checkpoint"].isdigit() for row in fleet.leases.values()), 30)
    fleet.worker.stop()
    return fleet


def test_a_missing_lease_is_made_and_unmade(idle):
    idle.emulator.dynamodb.delete_item(TableName=idle.application, Key={"leaseKey": {"S": SHARDS[0]}})
    create = ["lease", "create", idle.application, SHARDS[0], "--stream", "orders"]
    for more, status in [([], REFUSED), (["--dry-run"], DONE), (["--write", "--yes", "--at", "LATEST"], REFUSED)]:
        assert idle.run(*create, *more).returncode == status, more
    assert SHARDS[0] not in idle.leases
    ended = idle.run("lease", "create", idle.application, SHARDS[0], "--write", "--yes")
    assert ended.returncode == REFUSED and "--stream" in ended.stderr
    ended = idle.run(*create, "--write", "--yes")
    assert ended.returncode == DONE, ended.stderr
    assert idle.leases[SHARDS[0]]["checkpoint"] == "TRIM_HORIZON" and int(idle.leases[SHARDS[0]]["leaseCounter"]) == 0
    assert idle.run(*create, "--write", "--yes").returncode == REFUSED
    undo = ["lease", "undo", idle.application, SHARDS[0], "--stream", "orders", "--write", "--yes"]
    ended = idle.run(*undo)
    assert ended.returncode == DONE, ended.stderr
    assert SHARDS[0] not in idle.leases
    assert idle.run(*undo).returncode == REFUSED
    assert [line["action"] for line in idle.audit() if line["phase"] == "after"] == ["create", "undo"]


def test_an_orphan_is_deleted_and_put_back(idle):
    gone = "shardId-000000000099"
    row = idle.emulator.dynamodb.get_item(TableName=idle.application, Key={"leaseKey": {"S": SHARDS[0]}})["Item"]
    idle.emulator.dynamodb.put_item(TableName=idle.application, Item={**row, "leaseKey": {"S": gone}})
    delete = ["lease", "delete", idle.application, "--stream", "orders", "--write", "--yes"]
    # Too short a look proves nothing, and a lease with a shard is never deleted.
    assert idle.run(*delete, gone, "--observe", "0").returncode == REFUSED
    assert idle.run(*delete, SHARDS[1], "--observe", "0").returncode == REFUSED
    # More than a minute: two lists of the shards must lie so far apart.
    ended = idle.run(*delete, gone, seconds=180)
    assert ended.returncode == DONE, ended.stderr
    assert gone not in idle.leases and len(idle.leases) == 2
    ended = idle.run("lease", "undo", idle.application, gone, "--write", "--yes")
    assert ended.returncode == DONE, ended.stderr
    assert idle.leases[gone]["checkpoint"] == row["checkpoint"]["S"]
    assert int(idle.leases[gone]["leaseCounter"]) == int(row["leaseCounter"]["N"]) + 1
