"""`consume` as a service: probes and scrapers, KCL's metrics in CloudWatch, and the least policy that it needs."""

import http.client
import json
import re
import socket
import urllib.error
import urllib.request

import pytest

from harness import DONE, REGION, USAGE, texts, wait_until
from multilang import FIRST, consume, put


def address(worker):
    """Where it listens, as it says."""
    found = wait_until(
        lambda: re.search(r"listening on http://(127\.0\.0\.1:\d+)", worker.process.stderr), 20,
        lambda: worker.process.stderr)
    return found[1]


def page(place, path, method="GET"):
    """Status and text."""
    request = urllib.request.Request(f"http://{place}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def value(text, name, **labels):
    """The sample of that name whose labels hold these."""
    for line in text.splitlines():
        if re.match(rf"{name}[{{ ]", line) and all(f'{k}="{v}"' in line for k, v in labels.items()):
            return float(line.rsplit(" ", 1)[1])
    return None


def test_probes_and_figures_of_a_worker_with_children(bench):
    emulator = bench.emulator("words:2")
    family = consume(bench, emulator, "app_v3.py", flags=["--listen", "0"])
    place = address(family)
    family.wait_for("initialized", 2)
    sent = put(emulator, texts(200))
    family.wait_for_texts(sent)
    wait_until(lambda: page(place, "/readyz")[0] == 200, 20, lambda: page(place, "/readyz"))
    assert page(place, "/healthz")[0] == 200
    wait_until(lambda: value(page(place, "/metrics")[1], "shardtop_checkpoints_total", shard=FIRST), 20, "a checkpoint")
    shards = {s for s, _, _ in sent.values()}

    def done():
        text = page(place, "/metrics")[1]
        return sum(value(text, "shardtop_records_processed_total", shard=s) or 0 for s in shards)

    # A record counts once its child has answered for the batch.
    wait_until(lambda: done() >= 200, 20, lambda: done())
    text = page(place, "/metrics")[1]
    assert value(text, "shardtop_leases_held") == 2 and value(text, "shardtop_ready") == 1
    assert done() == 200
    assert value(text, "shardtop_child_pid", shard=FIRST) in family.pids
    assert value(text, "shardtop_child_resident_bytes", shard=FIRST) > 1_000_000
    # Every sample has its help and its type before it.
    names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    assert {n for n in names if f"# TYPE {n} " not in text or f"# HELP {n} " not in text} == set()
    assert family.stop() == DONE
    with pytest.raises(OSError):
        page(place, "/healthz")


def test_a_stopped_shard_is_not_ready_but_healthy(bench):
    emulator = bench.emulator("words:1")
    family = consume(bench, emulator, "misfit.py", "exits", "early", flags=["--listen", ":0"], childFailuresMax=1)
    place = address(family)
    wait_until(lambda: page(place, "/readyz")[0] == 503 and "stopped" in page(place, "/readyz")[1], 30,
               lambda: page(place, "/readyz"))
    assert page(place, "/healthz")[0] == 200
    assert value(page(place, "/metrics")[1], "shardtop_shards_stopped") == 1
    assert family.stop() == DONE


def test_the_listener_serves_nothing_else_and_bears_bad_clients(bench):
    emulator = bench.emulator("words:1")
    family = consume(bench, emulator, "app_v3.py", flags=["--listen", "0"])
    place = address(family)
    host, port = place.split(":")
    assert page(place, "/")[0] == 404 and page(place, "/metrics/../etc/passwd")[0] == 404
    assert page(place, "/healthz", "POST")[0] == 405
    assert page(place, "/metrics", "HEAD") == (200, "")
    for rubbish in (b"rubbish\r\n\r\n", b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=10) as line:
            try:
                line.sendall(rubbish)
                assert not line.recv(65536).startswith(b"HTTP/1.1 200")
            except ConnectionError:
                pass
    idle = [socket.create_connection((host, int(port)), timeout=10) for _ in range(40)]
    for line in idle:
        line.close()
    wait_until(lambda: answers(place), 20, "an answer after forty idle connections")
    assert family.stop() == DONE


def answers(place):
    try:
        return page(place, "/healthz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.mark.parametrize("listen", ["nowhere", "127.0.0.1:70000", "::1:80"])
def test_an_address_that_is_none_is_named(bench, listen):
    ended = bench.run("consume", "any.properties", "--listen", listen)
    assert ended.returncode == USAGE and listen in ended.stderr


def test_kcls_metrics_and_the_least_policy(bench):
    calls = bench.directory / "calls.ndjson"
    emulator = bench.emulator("words:2", arguments=["--log-calls", calls])
    family = consume(
        bench, emulator, "app_v3.py", metricsLevel="DETAILED", metricsBufferTimeMillis=1000,
        **{"cloudWatchClient.endpointOverride": emulator.endpoint})
    family.wait_for("initialized", 2)
    before = len(calls.read_text().splitlines())
    sent = put(emulator, texts(100))
    family.wait_for_texts(sent)
    emulator.kinesis.split_shard(
        StreamName="words", ShardToSplit=FIRST, NewStartingHashKey=str((1 << 126) + 5))
    family.wait_for("shardEnded", seconds=40)

    def made():
        lines = [json.loads(line) for line in calls.read_text().splitlines()[:-1]]
        return {(c["service"], c["operation"]) for c in lines if c["status"] == 200}

    wait_until(lambda: ("monitoring", "PutMetricData") in made(), 20, made)
    assert family.stop() == DONE
    # The tests' own calls are not the worker's.
    tests = {("kinesis", o) for o in ("DescribeStreamSummary", "PutRecords", "SplitShard", "CreateStream")}
    names = {"monitoring": "cloudwatch"}
    worker = {f"{names.get(s, s)}:{o}" for s, o in made() - tests}
    file = next(bench.directory.glob("family-*.properties"))
    ended = bench.run("iam", "consume", file, "--account", "123456789012", AWS_REGION=REGION)
    assert ended.returncode == DONE, ended.stderr
    policy = json.loads(ended.stdout)
    allowed = {a for s in policy["Statement"] for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])}
    assert worker <= allowed, f"not allowed: {worker - allowed}"
    # What is allowed and was not called here belongs to what did not happen in this run.
    assert allowed - worker <= {"dynamodb:DeleteItem", "dynamodb:CreateTable"}, allowed - worker
    assert before
