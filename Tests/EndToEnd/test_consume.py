"""`consume` as a process: alone, in a fleet, killed, stopped, throttled, resharded."""

import collections
import signal
import subprocess
import time

from harness import BINARY, DONE, environment, in_order, texts, wait_until, waits_for

FAILOVER = 3


def test_every_record_is_printed_once_and_in_order(bench):
    emulator = bench.emulator("orders:3")
    sent = texts(2000)
    emulator.put("orders", sent)
    worker = bench.consume(emulator.endpoint, "orders")
    waits_for(sent, worker)
    assert worker.stop() == DONE, worker.process.stderr
    assert sorted(worker.texts) == sorted(sent)
    assert in_order(worker)
    assert "2000 records" in worker.process.stderr


def test_sigterm_stores_the_last_checkpoints_and_releases_the_leases(bench):
    emulator = bench.emulator("orders:2")
    worker = bench.consume(emulator.endpoint, "orders")
    worker.wait_for("initialized", 2)
    emulator.put("orders", texts(500))
    waits_for(texts(500), worker)
    assert worker.stop() == DONE, worker.process.stderr
    last = {r["shardId"]: r["sequenceNumber"] for r in worker.records}
    leases = emulator.leases(worker.application)
    assert {key: row["checkpoint"] for key, row in leases.items()} == last
    assert not emulator.owners(worker.application)
    kinds = [e["event"] for e in worker.events]
    assert kinds.count("shutdownRequested") == 2 and kinds.count("leaseReleased") == 2 and kinds[-1] == "workerStopped"


def test_sigint_ends_it_too(bench):
    emulator = bench.emulator("orders:1")
    worker = bench.consume(emulator.endpoint, "orders")
    worker.wait_for("initialized")
    worker.process.send(signal.SIGINT)
    assert worker.process.ended(20) == DONE
    assert not emulator.owners(worker.application)


def test_a_restart_goes_on_where_the_last_run_stopped(bench):
    emulator = bench.emulator("orders:2")
    first = bench.consume(emulator.endpoint, "orders")
    emulator.put("orders", texts(300))
    waits_for(texts(300), first)
    assert first.stop() == DONE
    emulator.put("orders", texts(300, "later"))
    second = bench.consume(emulator.endpoint, "orders", first.application)
    waits_for(texts(300, "later"), second)
    assert second.stop() == DONE
    assert not set(second.texts) & set(texts(300)), "records below a checkpoint came again"


def test_a_given_worker_id_keeps_its_leases_over_a_restart(bench):
    emulator = bench.emulator("orders:2")
    first = bench.consume(emulator.endpoint, "orders", workerId="house-1")
    first.wait_for("initialized", 2)
    assert first.stop() == DONE
    assert emulator.owners(first.application) == {"house-1": 2}
    started = time.monotonic()
    second = bench.consume(emulator.endpoint, "orders", first.application, workerId="house-1")
    second.wait_for("initialized", 2, seconds=20)
    assert emulator.owners(first.application) == {"house-1": 2}
    assert time.monotonic() - started < 20
    assert second.stop() == DONE


def test_a_released_lease_runs_elsewhere_soon(bench):
    """Two workers, one stops: the other must go on with everything, long before a lease could expire."""
    emulator = bench.emulator("orders:4")
    one = bench.consume(emulator.endpoint, "orders", failoverTimeMillis=30000)
    one.wait_for("initialized", 4)
    two = bench.consume(emulator.endpoint, "orders", one.application, failoverTimeMillis=30000)
    two.wait_for("initialized", 1, seconds=90)
    assert one.stop() == DONE
    wait_until(lambda: emulator.owners(one.application) == {two.worker_id: 4}, 15,
               lambda: emulator.owners(one.application))


def test_two_workers_share_the_shards_evenly(bench):
    emulator = bench.emulator("orders:4")
    one = bench.consume(emulator.endpoint, "orders")
    one.wait_for("initialized", 4)
    two = bench.consume(emulator.endpoint, "orders", one.application)
    wait_until(lambda: sorted(emulator.owners(one.application).values()) == [2, 2], 60,
               lambda: emulator.owners(one.application))
    sent = texts(1000)
    emulator.put("orders", sent)
    waits_for(sent, one, two)


def test_nothing_is_lost_when_a_worker_is_killed(bench):
    emulator = bench.emulator("orders:4")
    one = bench.consume(emulator.endpoint, "orders")
    two = bench.consume(emulator.endpoint, "orders", one.application)
    wait_until(lambda: len(emulator.owners(one.application)) == 2, 60, lambda: emulator.owners(one.application))
    before = texts(400, "before")
    emulator.put("orders", before)
    waits_for(before, one, two)
    killed = one.worker_id
    one.process.send(signal.SIGKILL)
    after = texts(400, "after")
    emulator.put("orders", after)
    waits_for(after, one, two, seconds=30)
    assert emulator.owners(one.application) == {two.worker_id: 4}
    assert [e for e in two.seen("leaseTaken") if e.get("previousOwner") == killed]
    assert not two.seen("leaseLost")


def test_a_suspended_worker_wakes_up_as_zombie_and_stores_nothing(bench):
    """SIGSTOP for longer than the failover time; the clock that decides counts on while a process stands still."""
    emulator = bench.emulator("orders:2")
    one = bench.consume(emulator.endpoint, "orders", workerId="sleeper")
    one.wait_for("initialized", 2)
    one.process.send(signal.SIGSTOP)
    try:
        two = bench.consume(emulator.endpoint, "orders", one.application, workerId="other")
        wait_until(lambda: emulator.owners(one.application) == {"other": 2}, 40,
                   lambda: emulator.owners(one.application))
        sent = texts(200)
        emulator.put("orders", sent)
        waits_for(sent, two)
        checkpoints = {k: r["checkpoint"] for k, r in emulator.leases(one.application).items()}
        seen = len(one.seen("checkpointed"))
    finally:
        one.process.send(signal.SIGCONT)
    one.wait_for("leaseLost", 2)
    assert {e["reason"] for e in one.seen("leaseLost")} == {"ZOMBIE"}
    lost = max(e["seq"] for e in one.seen("leaseLost")[:2])
    assert not [e for e in one.seen("checkpointed")[seen:] if e["seq"] < lost]
    for key, row in emulator.leases(one.application).items():
        assert int(row["checkpoint"]) >= int(checkpoints[key])


def test_a_split_in_mid_stream_loses_nothing_and_ends_the_parent(bench):
    emulator = bench.emulator("orders:1")
    worker = bench.consume(emulator.endpoint, "orders")
    worker.wait_for("initialized")
    sent = texts(600)
    emulator.put("orders", sent[:300])
    ended = bench.run("shard", "split", "orders", "shardId-000000000000", "--write", "--yes",
                      AWS_ENDPOINT_URL=emulator.endpoint)
    assert ended.returncode == DONE, ended.stderr
    emulator.wait_for_stream("orders")
    emulator.put("orders", sent[300:])
    waits_for(sent, worker)
    worker.wait_for("shardEnded")
    end, = worker.seen("shardEnded")
    assert end["shardId"] == "shardId-000000000000" and end["reason"] == "TERMINATE" and len(end["childShardIds"]) == 2
    assert emulator.leases(worker.application)["shardId-000000000000"]["checkpoint"] == "SHARD_END"
    first = {r["text"]: r["shardId"] for r in worker.records}
    assert {first[t] for t in sent[300:]} == set(end["childShardIds"])


def test_a_merge_waits_for_both_parents(bench):
    emulator = bench.emulator("orders:2")
    worker = bench.consume(emulator.endpoint, "orders")
    worker.wait_for("initialized", 2)
    sent = texts(400)
    emulator.put("orders", sent[:200])
    ended = bench.run("shard", "merge", "orders", "shardId-000000000000", "shardId-000000000001", "--write", "--yes",
                      AWS_ENDPOINT_URL=emulator.endpoint)
    assert ended.returncode == DONE, ended.stderr
    emulator.wait_for_stream("orders")
    emulator.put("orders", sent[200:])
    waits_for(sent, worker)
    worker.wait_for("shardEnded", 2)
    worker.wait_for("initialized", 3)
    child = worker.seen("initialized")[2]
    assert child["shardId"] == "shardId-000000000002"
    assert max(e["seq"] for e in worker.seen("shardEnded")) < child["seq"]


def test_lost_answers_and_throttles_lose_nothing(bench):
    faults = [
        {"do": "dropAnswer", "operation": "DynamoDB.UpdateItem", "probability": 0.1},
        {"do": "throttle", "operation": "GetRecords", "probability": 0.3},
        {"do": "expireIterator", "operation": "GetRecords", "probability": 0.1},
        {"do": "fail", "operation": "GetShardIterator", "probability": 0.2},
    ]
    emulator = bench.emulator("orders:3", faults=faults)
    one = bench.consume(emulator.endpoint, "orders")
    two = bench.consume(emulator.endpoint, "orders", one.application)
    sent = texts(1500)
    for i in range(0, len(sent), 100):
        emulator.put("orders", sent[i:i + 100])
        time.sleep(0.5)
    waits_for(sent, one, two, seconds=90)


def test_aggregated_records_come_apart_with_their_sub_sequence_numbers(bench):
    emulator = bench.emulator("orders:1")
    lines = texts(250)
    ended = bench.run("put", "orders", "--stdin", "--aggregate", "--keys", 3, text="\n".join(lines) + "\n",
                      AWS_ENDPOINT_URL=emulator.endpoint)
    assert ended.returncode == DONE, ended.stderr
    worker = bench.consume(emulator.endpoint, "orders")
    waits_for(lines, worker)
    assert sorted(worker.texts) == lines and in_order(worker)
    positions = collections.Counter(r["sequenceNumber"] for r in worker.records)
    assert max(positions.values()) > 1
    assert worker.stop() == DONE
    lease, = emulator.leases(worker.application).values()
    last = worker.records[-1]
    assert lease["checkpoint"] == last["sequenceNumber"]
    assert int(lease["checkpointSubSequenceNumber"]) == last["subSequenceNumber"] > 0


def test_an_initial_position_of_latest_skips_what_was_there_before(bench):
    emulator = bench.emulator("orders:1")
    emulator.put("orders", texts(100, "old"))
    worker = bench.consume(emulator.endpoint, "orders", initialPositionInStream="LATEST")
    worker.wait_for("initialized")
    time.sleep(2)  # the first iterator is taken after initialize, and nothing outside shows when
    emulator.put("orders", texts(100, "new"))
    waits_for(texts(100, "new"), worker)
    assert sorted(worker.texts) == texts(100, "new")


def test_unknown_attributes_and_foreign_rows_survive(bench):
    emulator = bench.emulator("orders:1")
    first = bench.consume(emulator.endpoint, "orders")
    first.wait_for("initialized")
    assert first.stop() == DONE
    table = emulator.dynamodb
    table.update_item(
        TableName=first.application, Key={"leaseKey": {"S": "shardId-000000000000"}},
        UpdateExpression="SET futureAttribute = :v", ExpressionAttributeValues={":v": {"S": "kept"}})
    table.put_item(TableName=first.application, Item={"leaseKey": {"S": "a-row-of-somebody"}, "what": {"N": "1"}})
    second = bench.consume(emulator.endpoint, "orders", first.application)
    second.wait_for("initialized")
    emulator.put("orders", texts(50))
    waits_for(texts(50), second)
    assert second.stop() == DONE
    rows = emulator.leases(first.application)
    assert rows["shardId-000000000000"]["futureAttribute"] == "kept"
    assert rows["a-row-of-somebody"] == {"leaseKey": "a-row-of-somebody", "what": "1"}


def test_a_closed_pipe_ends_it_quietly(bench):
    emulator = bench.emulator("orders:1")
    emulator.put("orders", texts(500))
    path = bench.directory / "head.properties"
    path.write_text("applicationName = shardtop-head\nstreamName = orders\nprocessor = print\n"
                    "initialPositionInStream = TRIM_HORIZON\n")
    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{BINARY}' consume '{path}' --headless | head -1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, timeout=60,
        env=environment(bench.directory, AWS_ENDPOINT_URL=emulator.endpoint))
    lines = ended.stdout.splitlines()
    assert lines[0].startswith('{"shardId"') and lines[-1] == "0", ended
    assert ended.stderr == ""


def test_check_prints_the_configuration_and_touches_nothing(bench):
    path = bench.directory / "check.properties"
    path.write_text(
        "applicationName = shardtop-check\nstreamName = orders\nprocessor = count\nfailoverTimeMillis = 4000\n")
    ended = bench.run("consume", path, "--check", AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert ended.returncode == DONE, ended.stderr
    assert "failoverTimeMillis = 4000" in ended.stdout and "tableName = shardtop-check" in ended.stdout
