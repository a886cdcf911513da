"""`consume` with the children of the real amazon_kclpy, in the version of the 2.x daemon and of the 3.x daemon."""

import base64
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from harness import DONE, REGION, environment, texts, wait_until
from multilang import (
    FIRST, VERSIONS, consume, consume_file, install, is_alive, is_in_order, kclpy, put, split)

APPS = ["app_v1.py", "app_v2.py", "app_v3.py"]
# What they log when their lease is lost.
LOSSES = [("app_v1.py", "shutdown"), ("app_v2.py", "shutdown"), ("app_v3.py", "lease_lost")]


# MARK: what is shipped


def shipped(version, name):
    return kclpy(version) / "samples" / name


@pytest.mark.parametrize("version", VERSIONS)
def test_the_shipped_properties_load_as_they_are(bench, version):
    path = shipped(version, "sample.properties")
    ended = bench.run("consume", "--check", path, AWS_REGION=None, AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert ended.returncode == DONE, ended.stderr
    for line in ("executableName = sample_kclpy_app.py", "applicationName = PythonKCLSample",
                 "streamName = kclpysample", "tableName = PythonKCLSample",
                 "initialPositionInStream = TRIM_HORIZON", "regionName = us-east-1"):
        assert line in ended.stdout, ended.stdout
    # Where each value came from; the template's `streamArn` is of another region.
    number = path.read_text().split("\n").index("executableName = sample_kclpy_app.py") + 1
    line, = (l for l in ended.stdout.splitlines() if l.startswith("executableName"))
    assert f"{path.name}:{number}" in line
    assert "us-east-5" in ended.stderr and "error" not in ended.stderr.lower()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_shipped_sample_runs_with_its_own_properties_and_word_putter(bench, version):
    """As the AWS page says: put words, run the app. Nothing is changed but the endpoint in the environment."""
    emulator = bench.emulator()
    words = ["cat", "dog", "bird", "lobster", "Füße"]
    arguments = [word for each in words for word in ("-w", each)]
    # It makes the stream, too.
    ended = subprocess.run(
        [sys.executable, shipped(version, "sample_kinesis_wordputter.py"), "-s", "kclpysample", *arguments],
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        env=environment(bench.directory, AWS_ENDPOINT_URL=emulator.endpoint))
    assert ended.returncode == 0 and ended.stdout.count("Put word: ") == len(words), ended
    install(bench.directory / "bin", shipped(version, "sample_kclpy_app.py"))
    family = consume_file(
        bench, shipped(version, "sample.properties"), "PythonKCLSample", version=version,
        environment={"AWS_ENDPOINT_URL": emulator.endpoint, "PATH": f"{bench.directory / 'bin'}:{os.environ['PATH']}"})
    wait_until(lambda: sum(e["records"] for e in family.seen("recordsProcessed")) == len(words), 40,
               lambda: family.told("the words"))
    assert family.stop() == DONE, family.process.stderr
    # The sample writes everything to its standard error, without line ends.
    for word in words:
        assert f"Partition Key: {word}, Sequence Number: " in family.process.stderr
    assert "Shutdown has been requested, checkpointing." in family.process.stderr
    lease, = emulator.leases("PythonKCLSample").values()
    assert lease["checkpoint"] == family.seen("recordsProcessed")[-1]["to"] and "leaseOwner" not in lease


def sample(bench, emulator, version, **properties):
    """The shipped app, under properties that let it run in seconds."""
    executable = install(bench.directory / "bin", shipped(version, "sample_kclpy_app.py"))
    path = bench.directory / "sample.properties"
    values = dict(
        executableName=executable, applicationName="words-sample", streamName="words",
        AwsCredentialsProvider="DefaultCredentialsProvider", initialPositionInStream="trim_horizon", regionName=REGION,
        kinesisEndpoint=emulator.endpoint, dynamoDBEndpoint=emulator.endpoint, failoverTimeMillis=3000,
        idleTimeBetweenReadsInMillis=250, parentShardPollIntervalMillis=1000)
    values.update(properties)
    path.write_text("".join(f"{name}: {value}\n" for name, value in values.items()))
    return consume_file(bench, path, "words-sample", version=version)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_shipped_sample_follows_a_split_and_a_merge(bench, version):
    emulator = bench.emulator("words:1")
    family = sample(bench, emulator, version)
    family.wait_for("initialized")
    put(emulator, texts(20, "before"))
    split(emulator)
    put(emulator, texts(20, "between"))
    family.wait_for("initialized", 3)
    emulator.kinesis.merge_shards(
        StreamName="words", ShardToMerge="shardId-000000000001", AdjacentShardToMerge="shardId-000000000002")
    emulator.wait_for_stream("words")
    put(emulator, texts(20, "after"))
    family.wait_for("shardEnded", 3)
    family.wait_for("initialized", 4)
    wait_until(lambda: sum(e["records"] for e in family.seen("recordsProcessed")) >= 60, 20,
               lambda: family.told("60 records"))
    rows = family.checkpoints(emulator)
    assert [rows[f"shardId-00000000000{i}"] for i in range(3)] == [("SHARD_END", 0)] * 3
    assert {e["reason"] for e in family.seen("shardEnded")} == {"TERMINATE"}
    assert family.stop() == DONE, family.process.stderr
    assert family.process.stderr.count("Data Size: ") == 60, family.process.stderr
    assert family.process.stderr.count("Shard has ended checkpointing") == 3


@pytest.mark.parametrize("version", VERSIONS)
def test_a_throttle_of_the_one_checkpoint_of_the_shipped_sample_is_survived(tap, bench, version):
    """At the end of a shard it checkpoints once, and kclpy swallows the error; Java's daemon is stuck then for ever."""
    emulator = bench.emulator("words:1")
    dynamodb = tap(emulator)
    family = sample(bench, emulator, version, dynamoDBEndpoint=dynamodb.endpoint)
    family.wait_for("initialized")
    put(emulator, texts(20))
    dynamodb.refuses = lambda operation, text: operation == "UpdateItem" and '"SHARD_END"' in text
    split(emulator)
    after = put(emulator, texts(20, "after"))
    wait_until(lambda: "ThrottlingException" in family.process.stderr, 40, lambda: family.told("the sample's error"))
    assert dynamodb.refused and not family.seen("shardEnded")
    dynamodb.refuses = lambda operation, text: False
    family.wait_for("shardEnded")
    assert family.checkpoints(emulator)[FIRST] == ("SHARD_END", 0)
    wait_until(lambda: sum(e["records"] for e in family.seen("recordsProcessed")
                           if e["shardId"] in {s for s, _, _ in after.values()}) == 20, 20,
               lambda: family.told("records of the children"))
    assert "Shard has ended checkpointing" in family.process.stderr.split("ThrottlingException", 1)[1]
    assert not any(e.get("stopped") for e in family.events)


# MARK: delivery and checkpoints


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("app", APPS)
def test_every_record_arrives_in_order_on_each_interface(bench, app, version):
    emulator = bench.emulator("words:3")
    sent = put(emulator, texts(300))
    family = consume(bench, emulator, app, version=version)
    family.wait_for_texts(sent)
    late = put(emulator, texts(60, "late"))
    family.wait_for_texts(late)
    assert family.stop() == DONE, family.process.stderr
    assert sorted(family.texts) == sorted([*sent, *late]), "once each"
    for record in family.records:
        text = base64.b64decode(record["data"], validate=True).decode()
        assert (record["shard"], record["number"], record["key"]) == {**sent, **late}[text]
        assert record["sub"] == 0 and record["arrival"] > 1_600_000_000_000
    assert is_in_order(family.records)
    assert len(family.calls("initialize")) == len(family.calls("shutdown_requested")) == 3
    if app != "app_v1.py":
        assert {(e["number"], e["sub"]) for e in family.calls("initialize")} == {("TRIM_HORIZON", 0)}
        assert {type(e["behind"]) for e in family.calls("batch")} == {int}
    # All that was asked of it before the end was granted; one child for each shard.
    assert family.errors() == [] or app != "app_v3.py" and set(family.errors()) == {
        "Checkpointing is not allowed when the lease is lost"}
    assert len(family.pids) == 3 and not family.alive


@pytest.mark.parametrize("app, loss", LOSSES)
def test_sigterm_asks_for_a_last_checkpoint_then_says_lease_lost_and_releases(bench, app, loss):
    emulator = bench.emulator("words:2")
    sent = put(emulator, texts(100))
    family = consume(bench, emulator, app, plan={"checkpoint": "never"}, shutdownGraceMillis=8000)
    family.wait_for_texts(sent)
    assert {c for c, _ in family.checkpoints(emulator).values()} == {"TRIM_HORIZON"}
    assert family.stop() == DONE, family.process.stderr
    assert family.checkpoints(emulator) == family.last
    assert not emulator.owners(family.application)
    for shard in family.last:
        calls = [e["call"] for e in family.log if e["shard"] == shard and e["call"] not in ("record", "batch")]
        assert calls[:4] == ["initialize", "shutdown_requested", "checkpoint", loss], calls
        assert family.calls("checkpoint", shard)[0]["error"] is None
        if loss == "shutdown":
            assert family.calls("shutdown", shard)[0]["reason"] == "ZOMBIE"
    # They left of their own accord when their input was closed.
    assert len(family.calls("end")) == 2 and not family.alive
    kinds = [e["event"] for e in family.events]
    assert kinds.count("leaseReleased") == 2 and kinds[-1] == "workerStopped"


def test_sigterm_in_mid_batch_lets_the_batch_end(bench):
    emulator = bench.emulator("words:1")
    sent = put(emulator, texts(10), keys=1)
    plan = {"checkpoint": "never", "at": {"record 000005": "sleep:1.5"}}
    family = consume(bench, emulator, "app_v2.py", plan=plan)
    family.wait_for_texts(["record 000005"])
    assert family.stop() == DONE, family.process.stderr
    assert family.texts == texts(10) and [e["error"] for e in family.calls("checkpoint")][0] is None
    assert family.checkpoints(emulator) == {FIRST: (sent["record 000009"][1], 0)}
    assert not emulator.owners(family.application) and not family.alive


def test_children_are_out_of_reach_of_the_terminals_signals(bench):
    """Ctrl-C reaches a whole process group; a child is in one of its own, and is asked like at SIGTERM."""
    emulator = bench.emulator("words:1")
    family = consume(bench, emulator, "app_v3.py")
    family.wait_for_call("initialize")
    child, = family.pids
    assert os.getpgid(child) != os.getpgid(family.process.process.pid)
    family.process.send(signal.SIGINT)
    assert family.process.ended(20) == DONE
    assert family.calls("shutdown_requested") and not family.alive


def put_in_batches(emulator, family, count):
    """Each arrives in a batch of its own."""
    for i in range(count):
        seen = len(family.calls("batch"))
        sent = put(emulator, texts(4, f"batch {i}"), keys=1)
        family.wait_for_texts(sent)
        family.wait_for_call("batch", seen + 1)


def test_a_checkpoint_on_every_third_call_is_where_the_next_worker_begins(bench):
    emulator = bench.emulator("words:1")
    first = consume(bench, emulator, "app_v1.py", version="2.1.5", plan={"checkpoint": "third"}, workerId="house")
    put_in_batches(emulator, first, 5)
    checkpoint, = wait_until(lambda: first.calls("checkpoint"), 10, "the third call's checkpoint")
    assert checkpoint["number"] is None and checkpoint["error"] is None
    third = first.records[11]
    wait_until(lambda: first.checkpoints(emulator)[FIRST] == (third["number"], 0), 10)
    first.process.send(signal.SIGKILL)
    wait_until(lambda: not first.alive, 10, lambda: first.alive)
    # The same worker id takes its leases back at once.
    second = consume(bench, emulator, "app_v2.py", version="2.1.5", application=first.application, workerId="house")
    second.wait_for_texts(first.texts[12:])
    begun, = second.calls("initialize")
    assert (begun["number"], begun["sub"]) == (third["number"], 0)
    assert second.texts == first.texts[12:], "what was checkpointed came again, or something is missing"
    assert second.stop() == DONE


@pytest.mark.parametrize("app", APPS)
def test_a_checkpoint_with_a_number_is_stored(bench, app):
    emulator = bench.emulator("words:2")
    family = consume(bench, emulator, app, plan={"checkpoint": "number"})
    sent = put(emulator, texts(100))
    family.wait_for_texts(sent)
    wait_until(lambda: family.checkpoints(emulator) == family.last, 10, lambda: family.told("the last numbers"))
    asked = family.calls("checkpoint")
    assert all(e["number"] and e["error"] is None for e in asked)
    put(emulator, ["halfway", "more"], keys=1)
    family.wait_for_texts(["halfway", "more"])


def test_a_checkpoint_in_mid_batch_is_where_a_restarted_child_begins(bench):
    """The record that was checkpointed does not come again, everything behind it does."""
    emulator = bench.emulator("words:1")
    plan = {"checkpoint": "latest", "at": {"record 000004": "checkpoint", "record 000007": "exit"}}
    sent = put(emulator, texts(10), keys=1)
    family = consume(bench, emulator, "app_v3.py", plan=plan)
    family.wait_for_call("initialize", 2)
    wait_until(lambda: family.texts.count("record 000009") == 1, 20, lambda: family.told("the rest"))
    assert family.texts == texts(10)[:8] + texts(10)[5:]
    assert family.calls("initialize")[1]["number"] == sent["record 000004"][1]
    failed, = family.seen("processorFailed")
    assert failed["shardId"] == FIRST and not failed.get("stopped")
    assert FIRST in family.process.stderr and "7" in family.process.stderr
    assert len(family.alive) == 1


@pytest.mark.parametrize("app, refusal, error", [
    ("app_v1.py", (400, "ProvisionedThroughputExceededException"), "ThrottlingException"),
    ("app_v2.py", (400, "ThrottlingException"), "ThrottlingException"),
    ("app_v3.py", (400, "AccessDeniedException"), "KinesisClientLibDependencyException"),
    ("app_v3.py", (400, "ResourceNotFoundException"), "InvalidStateException"),
])
def test_a_refused_checkpoint_is_an_error_that_the_app_can_try_again(tap, bench, app, refusal, error):
    emulator = bench.emulator("words:1")
    dynamodb = tap(emulator)
    dynamodb.refusal = refusal
    dynamodb.refuses = lambda operation, text: (
        operation == "UpdateItem" and "checkpointSubSequenceNumber" in text and '"49' in text)
    family = consume(
        bench, emulator, app, dynamodb=dynamodb.endpoint, plan={"checkpoint": "latest", "retries": 100})
    sent = put(emulator, texts(10))
    wait_until(family.errors, 40, lambda: family.told("a CheckpointError"))
    dynamodb.refuses = lambda operation, text: False
    wait_until(
        lambda: any(e["error"] is None for e in family.calls("checkpoint")), 30, lambda: family.told("a success"))
    assert set(family.errors()) == {error}
    wait_until(lambda: family.checkpoints(emulator) == family.last, 10, lambda: family.told("the last checkpoints"))
    assert sorted(family.texts) == sorted(sent) and not family.seen("processorFailed") and len(family.pids) == 1


def test_nothing_is_lost_while_half_of_the_updates_of_the_table_are_throttled(bench):
    emulator = bench.emulator(
        "words:2", faults=[{"do": "throttle", "operation": "DynamoDB.UpdateItem", "probability": 0.5}])
    family = consume(bench, emulator, "app_v2.py", plan={"retries": 20})
    sent = put(emulator, texts(200))
    family.wait_for_texts(sent, seconds=60)
    wait_until(lambda: family.checkpoints(emulator) == family.last, 30, lambda: family.told("the last checkpoints"))
    assert is_in_order(family.records)


def test_failures_with_checkpoints_in_between_stop_nothing(bench):
    emulator = bench.emulator("words:1")
    plan = {"at": {f"batch {i} 000002": "exit" for i in range(4)}}
    family = consume(bench, emulator, "app_v3.py", plan=plan, childFailuresMax=2)
    for i in range(4):
        sent = put(emulator, texts(4, f"batch {i}"), keys=1)
        family.wait_for_texts(sent)
        wait_until(lambda: family.checkpoints(emulator) == family.last, 10, lambda: family.told("a checkpoint"))
    failures = family.seen("processorFailed")
    assert len(failures) == 4 and not any(e.get("stopped") for e in failures)


def test_a_stream_can_be_named_by_its_arn(bench):
    emulator = bench.emulator("words:1")
    family = consume(
        bench, emulator, "app_v1.py", version="2.1.5", streamName=None, streamArn=emulator.arn("words"))
    put(emulator, texts(5))
    family.wait_for_texts(texts(5))


@pytest.mark.parametrize("flags", [[], ["--with-data"]])
def test_the_protocol_is_written_where_only_its_owner_reads_it(bench, flags):
    emulator = bench.emulator("words:2")
    directory = bench.directory / "trace"
    family = consume(bench, emulator, "app_v3.py", flags=["--trace", directory, *flags])
    sent = put(emulator, texts(20))
    family.wait_for_texts(sent)
    assert family.stop() == DONE
    assert directory.stat().st_mode & 0o777 == 0o700
    files = sorted(directory.iterdir())
    assert [f.name for f in files] == [f"{FIRST}.ndjson", "shardId-000000000001.ndjson"]
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert {line["shardId"] for line in lines} == {file.stem} and len({line["pid"] for line in lines}) == 1
        assert [json.loads(line["line"])["action"] for line in (lines[0], lines[-1])] == ["initialize", "status"]
        told = file.read_text()
        for record in family.calls("record", file.stem):
            assert record["number"] in told and (record["data"] in told) == bool(flags)


def test_an_exception_in_the_users_code_skips_the_batch_and_is_shown(bench):
    """kclpy prints it and sends the status all the same: the documented skip."""
    emulator = bench.emulator("words:1")
    put(emulator, texts(10), keys=1)
    family = consume(bench, emulator, "app_v3.py", plan={"at": {"record 000003": "raise"}})
    family.wait_for_texts(texts(4))
    put(emulator, ["afterwards"])
    family.wait_for_texts(["afterwards"])
    assert len(family.pids) == 1 and not family.seen("processorFailed")
    lines = [l for l in family.process.stderr.splitlines() if "not to my taste" in l]
    assert lines and all(FIRST in l for l in lines)


# MARK: the end of a shard, and of a lease


@pytest.mark.parametrize("app, version", [("app_v1.py", "2.1.5"), ("app_v2.py", "3.2.0"), ("app_v3.py", "2.1.5")])
def test_a_split_and_a_merge_terminate_the_parents_before_their_children(bench, app, version):
    emulator = bench.emulator("words:1")
    family = consume(bench, emulator, app, version=version)
    family.wait_for("initialized")
    sent = put(emulator, texts(100))
    split(emulator)
    sent |= put(emulator, texts(100, "between"))
    family.wait_for_call("initialize", 3)
    emulator.kinesis.merge_shards(
        StreamName="words", ShardToMerge="shardId-000000000001", AdjacentShardToMerge="shardId-000000000002")
    emulator.wait_for_stream("words")
    sent |= put(emulator, texts(100, "after"))
    family.wait_for_texts(sent)
    family.wait_for_call("initialize", 4)
    assert sorted(family.texts) == sorted(sent) and is_in_order(family.records)
    call, reason = ("shard_ended", None) if app == "app_v3.py" else ("shutdown", "TERMINATE")
    ends = family.calls(call)
    assert [e["shard"] for e in ends][0] == FIRST and len(ends) == 3
    assert {e.get("reason") for e in ends} == {reason}
    log = family.log
    place = {e["shard"]: i for i, e in enumerate(log) if e["call"] == "initialize"}
    end = {e["shard"]: i for i, e in enumerate(log) if e["call"] == call}
    assert end[FIRST] < min(place["shardId-000000000001"], place["shardId-000000000002"])
    assert max(end["shardId-000000000001"], end["shardId-000000000002"]) < place["shardId-000000000003"]
    assert {family.checkpoints(emulator)[shard] for shard in end} == {("SHARD_END", 0)}
    wait_until(lambda: len(family.alive) == 1, 10, lambda: family.told("the ends of three children"))


def test_a_shard_end_without_a_checkpoint_is_said_again_to_the_same_child(bench):
    emulator = bench.emulator("words:1")
    family = consume(bench, emulator, "app_v3.py", plan={"silentEnd": 1})
    family.wait_for("initialized")
    put(emulator, texts(10))
    family.wait_for_texts(texts(10))
    split(emulator)
    family.wait_for("shardEnded")
    ends = family.calls("shard_ended", FIRST)
    assert len(ends) == 2 and len({e["pid"] for e in ends}) == 1
    assert family.checkpoints(emulator)[FIRST] == ("SHARD_END", 0)


def test_a_shard_that_never_gets_its_last_checkpoint_is_stopped_and_says_so(bench):
    """Said again, then a new child from the last checkpoint, then it is stuck; the other shard goes on."""
    emulator = bench.emulator("words:2")
    family = consume(bench, emulator, "app_v3.py", plan={"silentEnd": 1000}, childFailuresMax=1)
    family.wait_for("initialized", 2)
    put(emulator, texts(10))
    family.wait_for_texts(texts(10))
    split(emulator)
    wait_until(lambda: any(e.get("stopped") for e in family.seen("processorFailed")), 60,
               lambda: family.told("a shard that is stopped"))
    stopped, = (e for e in family.seen("processorFailed") if e.get("stopped"))
    assert stopped["shardId"] == FIRST
    assert any(FIRST in l and "stopped" in l.lower() for l in family.process.stderr.splitlines())
    assert len(family.calls("shard_ended", FIRST)) > 1
    assert emulator.leases(family.application)[FIRST]["leaseOwner"] == family.worker_id
    assert family.checkpoints(emulator)[FIRST][0] != "SHARD_END"
    more = put(emulator, texts(20, "more"))
    family.wait_for_texts(t for t, (shard, _, _) in more.items() if shard == "shardId-000000000001")


@pytest.mark.parametrize("app, loss", LOSSES)
def test_an_evicted_lease_is_a_zombie_to_its_child(bench, app, loss):
    emulator = bench.emulator("words:1")
    sent = put(emulator, texts(20))
    family = consume(bench, emulator, app, version="2.1.5")
    family.wait_for_texts(sent)
    wait_until(lambda: family.checkpoints(emulator) == family.last, 10, lambda: family.told("the last checkpoints"))
    ended = bench.run("lease", "evict", family.application, FIRST, "--write", "--yes",
                      AWS_ENDPOINT_URL=emulator.endpoint)
    assert ended.returncode == DONE, ended.stderr
    family.wait_for("leaseLost")
    lost, = family.wait_for_call(loss)
    if loss == "shutdown":
        assert lost["reason"] == "ZOMBIE"
        # kclpy itself refuses it there, and nothing is sent.
        assert family.errors() == ["Checkpointing is not allowed when the lease is lost"]
    # The same worker takes it again, with another child, where the last one stopped.
    wait_until(lambda: len(family.calls("initialize")) == 2, 30, lambda: family.told("another child"))
    put(emulator, ["again"])
    family.wait_for_texts(["again"])
    assert len(family.texts) == 21 and len(family.alive) == 1


def test_a_second_worker_steals_and_the_first_ones_child_is_a_zombie(bench):
    emulator = bench.emulator("words:2")
    one = consume(bench, emulator, "app_v1.py")
    one.wait_for_call("initialize", 2)
    two = consume(bench, emulator, "app_v3.py", version="2.1.5", application=one.application)
    two.wait_for_call("initialize", seconds=40)
    stolen = two.calls("initialize")[0]["shard"]
    zombie = one.wait_for_call("shutdown", shard=stolen)[0]
    assert zombie["reason"] == "ZOMBIE"
    wait_until(lambda: not is_alive(zombie["pid"]), 15, "its end")
    assert len(one.alive) == 1
    sent = put(emulator, texts(100))
    wait_until(lambda: set(sent) <= {*one.texts, *two.texts}, 20, lambda: one.told("all from both"))


def test_a_worker_that_slept_cannot_checkpoint_and_its_child_is_told(bench):
    """The child is in the middle of a batch when its daemon stands still for longer than the failover time."""
    emulator = bench.emulator("words:1")
    one = consume(bench, emulator, "app_v1.py", plan={"at": {"record 000003": "hold"}}, workerId="sleeper")
    put(emulator, texts(10), keys=1)
    one.wait_for_texts(["record 000003"])
    one.process.send(signal.SIGSTOP)
    try:
        two = consume(bench, emulator, "app_v3.py", application=one.application, workerId="other")
        two.wait_for_texts(texts(10), seconds=40)
        wait_until(lambda: two.checkpoints(emulator) == two.last, 10, lambda: two.told("its checkpoints"))
    finally:
        one.process.send(signal.SIGCONT)
    one.wait_for("leaseLost")
    (one.log_path.parent / f"{one.log_path.name}.gate").touch()
    wait_until(lambda: not one.alive, 20, lambda: one.told("the end of the child"))
    asked = [e["error"] for e in one.calls("checkpoint")]
    assert asked and asked[0] == "ShutdownException", one.told("a refusal")
    assert [e["reason"] for e in one.calls("shutdown")] == ["ZOMBIE"]
    assert two.checkpoints(emulator) == two.last
    assert emulator.owners(one.application) == {"other": 1}


def test_a_deleted_stream_ends_its_shards_and_the_worker_stays(bench):
    emulator = bench.emulator("words:2")
    family = consume(bench, emulator, "app_v3.py")
    sent = put(emulator, texts(50))
    family.wait_for_texts(sent)
    emulator.kinesis.delete_stream(StreamName="words", EnforceConsumerDeletion=True)
    ends = family.wait_for_call("shard_ended", 2)
    assert {e["shard"] for e in ends} == {FIRST, "shardId-000000000001"}
    wait_until(lambda: not family.alive, 15, lambda: family.told("the children's ends"))
    assert family.process.process.poll() is None, family.process.stderr
    left = family.checkpoints(emulator).values()
    assert {checkpoint for checkpoint, _ in left} <= {"SHARD_END"}
    assert not family.seen("processorFailed")
    assert family.stop() == DONE, family.process.stderr


@pytest.mark.parametrize("doing", ["waiting", "working"])
def test_no_orphan_is_left_when_the_worker_is_killed(bench, doing):
    emulator = bench.emulator("words:3")
    if doing == "waiting":
        family = consume(bench, emulator, "app_v2.py")
        family.wait_for_call("initialize", 3)
    else:
        # They read nothing more, and ignore what signals they can.
        family = consume(bench, emulator, "misfit.py", "stubborn")
        put(emulator, texts(60))
        family.wait_for_call("stubborn", 3)
    assert len(family.alive) == 3
    parent = family.process.process.pid
    children = pathlib.Path(f"/proc/{parent}/task/{parent}/children")
    assert children.exists()
    family.process.send(signal.SIGKILL)
    family.process.ended(10)
    wait_until(lambda: not family.alive, 10, lambda: family.alive)


def test_nothing_is_lost_when_one_of_two_workers_is_killed(bench):
    emulator = bench.emulator("words:2")
    one = consume(bench, emulator, "app_v2.py")
    two = consume(bench, emulator, "app_v3.py", application=one.application)
    wait_until(lambda: len(emulator.owners(one.application)) == 2, 40, lambda: emulator.owners(one.application))
    before = put(emulator, texts(100, "before"))
    wait_until(lambda: set(before) <= {*one.texts, *two.texts}, 20, "the first hundred")
    one.process.send(signal.SIGKILL)
    after = put(emulator, texts(100, "after"))
    wait_until(lambda: {*before, *after} <= {*one.texts, *two.texts}, 30, lambda: two.told("all from both"))
    assert emulator.owners(one.application) == {two.worker_id: 2}
    wait_until(lambda: not one.alive, 10, lambda: one.alive)


# MARK: KPL


def put_aggregated(emulator, users):
    """The format by its other implementation. The sequence number."""
    from aws_kinesis_agg.aggregator import RecordAggregator

    aggregator = RecordAggregator()
    for key, data in users:
        assert aggregator.add_user_record(key, data) is None
    key, hash_key, blob = aggregator.clear_and_get().get_contents()
    assert hash_key is None
    return emulator.kinesis.put_record(StreamName="words", PartitionKey=key, Data=blob)["SequenceNumber"]


@pytest.mark.parametrize("app", APPS)
def test_kpl_records_come_apart_with_sub_sequence_numbers(bench, app):
    emulator = bench.emulator("words:1")
    users = [(f"user-{i % 3}", f"kpl {i:03d}".encode()) for i in range(40)]
    numbers = [put_aggregated(emulator, users), put_aggregated(emulator, [(k, b"2 " + d) for k, d in users])]
    plain = put(emulator, ["plain"])["plain"][1]
    family = consume(bench, emulator, app, plan={"checkpoint": "number"})
    family.wait_for_texts(["plain"])
    expected = [
        (number, i, key, prefix + data)
        for number, prefix in zip(numbers, (b"", b"2 ")) for i, (key, data) in enumerate(users)]
    expected.append((plain, 0, "key-0", b"plain"))
    got = [(r["number"], r["sub"], r["key"], base64.b64decode(r["data"])) for r in family.records]
    assert got == expected
    last = put_aggregated(emulator, users)
    wait_until(lambda: family.checkpoints(emulator)[FIRST] == (last, 39), 20, lambda: family.told("its sub-sequence"))


def test_a_checkpoint_within_an_aggregate_is_where_the_next_child_begins(bench):
    emulator = bench.emulator("words:1")
    number = put_aggregated(emulator, [("user", f"kpl {i:03d}".encode()) for i in range(20)])
    plan = {"checkpoint": "never", "at": {"kpl 011": "checkpoint", "kpl 015": "exit"}}
    family = consume(bench, emulator, "app_v3.py", plan=plan)
    wait_until(lambda: family.texts.count("kpl 019") == 1, 30, lambda: family.told("the rest"))
    second = family.calls("initialize")[1]
    assert (second["number"], second["sub"]) == (number, 11)
    again = [r["sub"] for r in family.records if r["pid"] == second["pid"]]
    assert again == list(range(12, 20))
