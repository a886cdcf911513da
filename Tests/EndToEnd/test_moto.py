"""Our client and our engine against moto: Kinesis and DynamoDB that nobody here wrote.

Two gaps of moto are left as they are: after a split its parent never ends (GetRecords always has a NextShardIterator),
so no TERMINATE can come, and its sequence numbers count 1, 2, 3.
"""

import signal

import pytest
import requests

from harness import DONE, wait_until
from test_consume import texts, waits_for


@pytest.fixture
def stream(moto):
    requests.post(f"{moto.endpoint}/moto-api/reset", timeout=10)
    moto.kinesis.create_stream(StreamName="orders", ShardCount=4)
    moto.wait_for_stream("orders")
    return moto


def test_put_and_two_workers_one_of_them_killed_lose_nothing(bench, stream):
    one = bench.consume(stream.endpoint, "orders")
    two = bench.consume(stream.endpoint, "orders", one.application)
    lines = texts(400, "before")
    ended = bench.run("put", "orders", "--stdin", text="\n".join(lines), AWS_ENDPOINT_URL=stream.endpoint)
    assert ended.returncode == DONE, ended.stderr
    assert "400 records" in ended.stderr
    waits_for(lines, one, two)
    wait_until(lambda: sorted(stream.owners(one.application).values()) == [2, 2], 60,
               lambda: stream.owners(one.application))
    one.process.send(signal.SIGKILL)
    more = texts(400, "after")
    bench.run("put", "orders", "--stdin", text="\n".join(more), AWS_ENDPOINT_URL=stream.endpoint)
    waits_for(more, one, two)
    assert stream.owners(one.application) == {two.worker_id: 4}
    assert two.stop() == DONE
    rows = stream.leases(one.application)
    assert len(rows) == 4 and not stream.owners(one.application)
    assert all(int(row["leaseCounter"]) > 1 for row in rows.values())


def test_status_reads_motos_table(bench, stream):
    worker = bench.consume(stream.endpoint, "orders")
    worker.wait_for("initialized", 4)
    ended = bench.run("status", worker.application, "--stream", "orders", "--observe", "5s", "--failover-time", "3s",
                      AWS_ENDPOINT_URL=stream.endpoint)
    assert ended.returncode == DONE, ended.stderr
    assert ended.stdout.count("LIVE") >= 4 and worker.worker_id in ended.stdout


def test_a_split_on_moto_starts_no_child_by_guessing(bench, stream):
    worker = bench.consume(stream.endpoint, "orders")
    worker.wait_for("initialized", 4)
    ended = bench.run("shard", "split", "orders", "shardId-000000000000", "--write", "--yes",
                      AWS_ENDPOINT_URL=stream.endpoint)
    assert ended.returncode == DONE, ended.stderr
    stream.wait_for_stream("orders")
    bench.run("put", "orders", "--count", 50, "--rate", 500, AWS_ENDPOINT_URL=stream.endpoint)
    assert not worker.seen("shardEnded")
    assert worker.process.process.poll() is None, worker.process.stderr


def test_a_table_that_moto_made_for_someone_else_is_refused(bench, stream):
    stream.create_table("shardtop-other", "id")
    worker = bench.consume(stream.endpoint, "orders", "shardtop-other")
    assert worker.process.ended(20) == 4, worker.process.stderr
