"""`stream`, `watch --headless`, frugality, roles, `help` topics and shareable recordings."""

import json
import re
import signal
import subprocess
import shutil

import pytest

from harness import DONE, FAILED, REFUSED, USAGE, wait_until, write_properties
from test_operate import SHARD, Fleet
from test_service import page, value


@pytest.fixture
def fleet(bench):
    return Fleet(bench)


# MARK: stream


def test_stream_is_shown_and_scaled(bench):
    emulator = bench.emulator("orders:2")

    def stream(*arguments):
        return bench.run("stream", *arguments, AWS_ENDPOINT_URL=emulator.endpoint)

    def scale(*arguments):
        return stream("scale", "orders", *arguments)

    assert scale("--shards", "4").returncode == REFUSED
    ended = scale("--shards", "4", "--dry-run")
    assert ended.returncode == DONE and "UpdateShardCount orders" in ended.stderr and "2 -> 4" in ended.stderr
    assert emulator.summary("orders")["OpenShardCount"] == 2
    ended = scale("--shards", "4", "--write")
    assert ended.returncode == REFUSED and "--yes" in ended.stderr
    assert bench.run("stream", "scale", "orders", "--shards", "4", "--write", "--yes", SHARDTOP_READ_ONLY="1",
                     AWS_ENDPOINT_URL=emulator.endpoint).returncode == REFUSED
    ended = scale("--shards", "4", "--write", "--yes", "--reason", "a test")
    assert ended.returncode == DONE, ended.stderr
    wait_until(lambda: emulator.summary("orders")["OpenShardCount"] == 4, 20)
    emulator.wait_for_stream("orders")
    report = json.loads(stream("show", "orders", "--format", "json").stdout)
    assert (report["openShards"], report["closedShards"], report["status"]) == (4, 2, "ACTIVE")
    assert [s["state"] for s in report["shards"]] == ["closed"] * 2 + ["open"] * 4
    lines = stream("show", "orders").stdout.splitlines()
    assert lines[0] == "orders ACTIVE, 4 open shards, 2 closed, retention 24h"
    assert len(lines) == 8 and lines[2].startswith(f"{SHARD}  closed")
    # More than one call reaches, and what it has.
    for count in ("9", "1", "4", "0"):
        assert scale("--shards", count, "--write", "--yes").returncode == REFUSED
    ended = stream("show", "no-such-stream")
    assert ended.returncode == FAILED and "no-such-stream does not exist" in ended.stderr
