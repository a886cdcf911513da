"""`consume` with children that fail or misbehave, records at the limits, and properties files that are no good."""

import base64
import hashlib
import os
import pathlib
import re
import signal
import time

import pytest

from harness import DONE, FAILED, REFUSED, USAGE, texts, wait_until
from multilang import FIRST, consume, is_alive, put
from test_bad_input import complains


def stopped(family):
    return [e for e in family.seen("processorFailed") if e.get("stopped")]


def wait_for_stop(family, seconds=40):
    wait_until(lambda: stopped(family), seconds, lambda: family.told("a shard that is stopped"))


# MARK: programs that cannot be run


@pytest.mark.parametrize("kind", ["missing", "plain", "nowhere", "directory", "empty"])
def test_an_executable_that_is_not_there_or_not_executable_is_named(bench, kind):
    emulator = bench.emulator("words:1")
    plain = bench.directory / "plain.py"
    plain.write_text("print('never')\n")
    value, words = {
        "missing": (bench.directory / "nobody.py", [str(bench.directory / "nobody.py")]),
        "plain": (plain, [str(plain), "executable"]),
        "nowhere": ("no-such-program-anywhere.py -x", ["no-such-program-anywhere.py", "PATH"]),
        "directory": (bench.directory, [str(bench.directory)]),
        "empty": ("", []),
    }[kind]
    family = consume(bench, emulator, "misfit.py", executableName=value)
    assert family.process.ended(10) == USAGE, family.process.stderr
    said = family.process.stderr.strip().splitlines()
    assert all(w in said[-1] for w in ["executableName", *words]), said
    # Nothing was touched.
    assert emulator.dynamodb.list_tables()["TableNames"] == []


@pytest.mark.parametrize("line", ["#!/no/such/interpreter", "\x7fELF is what it is not"])
def test_a_program_that_the_system_does_not_start_fails_like_one_that_ends(bench, line):
    emulator = bench.emulator("words:1")
    program = bench.directory / "broken"
    program.write_text(f"{line}\n")
    program.chmod(0o755)
    family = consume(bench, emulator, "misfit.py", executableName=program, childFailuresMax=1)
    wait_for_stop(family)
    assert str(program) in family.process.stderr or "exec" in family.process.stderr.lower()
    assert family.stop() == DONE


@pytest.mark.parametrize("when", ["early", "late"])
def test_a_child_that_exits_at_once_is_restarted_and_then_its_shard_is_stopped(bench, when):
    emulator = bench.emulator("words:2")
    family = consume(bench, emulator, "misfit.py", "exits", when, childFailuresMax=3)
    wait_until(lambda: len(stopped(family)) == 2, 40, lambda: family.told("two shards that are stopped"))
    for shard in (FIRST, "shardId-000000000001"):
        failures = [e for e in family.seen("processorFailed") if e["shardId"] == shard]
        assert [bool(e.get("stopped")) for e in failures] == [False, False, True]
        assert shard in family.process.stderr
    assert "3" in failures[0]["message"], "the exit status is named"
    # The lease is kept, so that no other worker fails at it too; the worker lives and can be ended.
    assert emulator.owners(family.application) == {family.worker_id: 2}
    assert family.process.process.poll() is None and not family.alive
    assert family.stop() == DONE
    assert not emulator.owners(family.application)


def test_the_worker_ends_as_java_does_where_that_is_asked_for(bench):
    emulator = bench.emulator("words:2")
    sent = put(emulator, texts(100))
    plan = {"at": {"record 000050": "exit"}}
    family = consume(bench, emulator, "app_v3.py", plan=plan, onChildFailure="exit")
    assert family.process.ended(40) == FAILED, family.process.stderr
    shard = sent["record 000050"][0]
    said = family.process.stderr.strip().splitlines()[-1]
    assert shard in said and "7" in said
    assert family.pids and not family.alive
    assert family.checkpoints(emulator)[shard][0] == "TRIM_HORIZON"


@pytest.mark.parametrize("how", ["exits_once", "killed_once", "closes_stdout", "closes_stdin", "wrong_answer"])
def test_a_child_that_fails_in_a_batch_is_replaced_and_the_batch_comes_again(bench, how):
    emulator = bench.emulator("words:1")
    family = consume(bench, emulator, "misfit.py", how)
    family.wait_for_call("initialize")
    put(emulator, texts(20), keys=1)
    family.wait_for_texts(texts(20))
    put(emulator, ["afterwards"])
    second = family.wait_for_call("initialize", 2)[1]
    family.wait_for_texts(["afterwards"])
    first = family.calls("initialize")[0]["pid"]
    wait_until(lambda: not is_alive(first), 15, "the end of the first child")
    # From the last checkpoint: all of it.
    assert second["number"] == "TRIM_HORIZON"
    assert [t for t, r in zip(family.texts, family.records) if r["pid"] == second["pid"]] == [*texts(20), "afterwards"]
    failed, = family.seen("processorFailed")
    assert not failed.get("stopped") and failed["shardId"] == FIRST
    wait_until(lambda: family.checkpoints(emulator) == family.last, 10, lambda: family.told("the last checkpoints"))


# MARK: protocol


@pytest.mark.parametrize("how", ["silent", "rubbish", "deaf"])
def test_a_child_that_does_not_answer_in_time_is_replaced(bench, how):
    emulator = bench.emulator("words:1")
    family = consume(bench, emulator, "misfit.py", how, timeoutInSeconds=2)
    family.wait_for_call("initialize")
    # More than a pipe holds.
    data = [f"{i:03d} ".ljust(3000, "x") for i in range(100)]
    put(emulator, data, keys=1)
    family.wait_for_call("initialize", 2, seconds=40)
    family.wait_for_texts(data)
    failed, = family.seen("processorFailed")
    assert "2" in failed["message"] and not failed.get("stopped")
    wait_until(lambda: len(family.alive) == 1, 15, lambda: family.told("the end of the first child"))
    wait_until(lambda: family.checkpoints(emulator) == family.last, 10, lambda: family.told("the last checkpoints"))


def test_a_child_that_never_answers_stops_its_shard(bench):
    emulator = bench.emulator("words:1")
    put(emulator, texts(5))
    family = consume(bench, emulator, "misfit.py", "sleepy", "60", timeoutInSeconds=1, childFailuresMax=2)
    wait_for_stop(family)
    assert [bool(e.get("stopped")) for e in family.seen("processorFailed")] == [False, True]
    wait_until(lambda: not family.alive, 10, lambda: family.alive)


def test_a_slow_child_is_only_warned_of_where_no_timeout_is_set(bench):
    """Longer than its lease would live without renewals."""
    emulator = bench.emulator("words:1")
    put(emulator, texts(5))
    family = consume(bench, emulator, "misfit.py", "sleepy", "5", logWarningForTaskAfterMillis=1000)
    wait_until(lambda: family.calls("checkpoint"), 30, lambda: family.told("the slow batch"))
    warnings = [l for l in family.process.stderr.splitlines() if FIRST in l]
    assert warnings, family.process.stderr
    assert not family.seen("processorFailed") and not family.seen("leaseLost") and len(family.pids) == 1


def test_a_slow_child_within_its_timeout_is_left_alone(bench):
    emulator = bench.emulator("words:1")
    put(emulator, texts(5))
    family = consume(bench, emulator, "misfit.py", "sleepy", "2", timeoutInSeconds=8)
    wait_until(lambda: family.calls("checkpoint"), 30, lambda: family.told("the slow batch"))
    assert not family.seen("processorFailed") and family.process.stderr == ""


@pytest.mark.parametrize("how", ["noise", "pieces", "loud"])
def test_odd_but_right_answers_are_understood(bench, how):
    emulator = bench.emulator("words:1")
    family = consume(bench, emulator, "misfit.py", how)
    family.wait_for_call("initialize")
    for i in range(2):
        data = [f"{i} {n:03d} ".ljust(3000, "x") for n in range(100)]
        put(emulator, data, keys=1)
        family.wait_for_texts(data)
    wait_until(lambda: family.checkpoints(emulator) == family.last, 20, lambda: family.told("its checkpoint"))
    assert family.stop() == DONE, family.process.stderr[-2000:]
    assert not family.seen("processorFailed") and len(family.pids) == 1 and family.calls("leaseLost")
    assert "\x1b" not in family.process.stderr
    if how == "loud":
        assert FIRST in family.process.stderr and "zzz" in family.process.stderr


def test_lines_of_many_megabytes_are_passed_over_in_bounded_memory(bench):
    emulator = bench.emulator("words:1")
    family = consume(bench, emulator, "misfit.py", "endless")
    put(emulator, texts(5))
    family.wait_for_call("checkpoint", seconds=60)
    wait_until(lambda: family.checkpoints(emulator) == family.last, 40, lambda: family.told("its checkpoint"))
    status = pathlib.Path(f"/proc/{family.process.process.pid}/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])
    assert peak < 64 * 1024, f"{peak} kB"
    assert family.stop() == DONE
    assert not family.seen("processorFailed") and family.process.err.stat().st_size < 40 << 20


def test_checkpoints_out_of_range_are_refused_by_name(bench):
    emulator = bench.emulator("words:1")
    sent = put(emulator, texts(3), keys=1)
    family = consume(bench, emulator, "misfit.py", "out_of_range")
    asked = family.wait_for_call("checkpoint", 11)
    last = sent["record 000002"][1]
    illegal = "IllegalArgumentException"
    assert [(e["number"], e["sub"], e["error"]) for e in asked] == [
        (None, None, "InvalidStateException"),
        (str(int(last) + 1), None, illegal), (last, 7, illegal), (last, -1, illegal), ("TRIM_HORIZON", None, illegal),
        ("SHARD_END", None, illegal), ("twelve", None, illegal), ("", None, illegal), (last, 0, None),
        (last, None, None), (sent["record 000000"][1], None, illegal)]
    # A reply repeats what was asked, and has all of its members.
    for e in asked:
        assert e["reply"] == {"action": "checkpoint", "sequenceNumber": e["number"], "subSequenceNumber": e["sub"],
                              "error": e["error"]}
    assert family.checkpoints(emulator) == {FIRST: (last, 0)}
    assert not family.seen("processorFailed")


def test_a_checkpoint_after_the_lease_is_lost_is_refused(bench):
    emulator = bench.emulator("words:1")
    family = consume(bench, emulator, "misfit.py", "mourner")
    put(emulator, texts(5))
    wait_until(lambda: family.calls("checkpoint"), 20)
    ended = bench.run("lease", "evict", family.application, FIRST, "--write", "--yes",
                      AWS_ENDPOINT_URL=emulator.endpoint)
    assert ended.returncode == DONE, ended.stderr
    family.wait_for_call("mourned")
    assert [e["error"] for e in family.calls("checkpoint")] == [None, "InvalidStateException"]
    assert not family.seen("processorFailed")


def test_a_child_that_takes_no_signal_does_not_outlive_its_worker(bench):
    emulator = bench.emulator("words:1")
    put(emulator, texts(5))
    family = consume(bench, emulator, "misfit.py", "stubborn", shutdownGraceMillis=1000)
    family.wait_for_call("stubborn")
    started = time.monotonic()
    family.process.send(signal.SIGTERM)
    assert family.process.ended(20) == DONE, family.process.stderr
    assert time.monotonic() - started < 15
    assert not family.alive
    assert family.checkpoints(emulator)[FIRST][0] == "TRIM_HORIZON"


def test_a_second_sigterm_does_not_wait_for_children(bench):
    emulator = bench.emulator("words:1")
    put(emulator, texts(5))
    family = consume(bench, emulator, "misfit.py", "stubborn", shutdownGraceMillis=60_000)
    family.wait_for_call("stubborn")
    family.process.send(signal.SIGTERM)
    time.sleep(0.5)  # two that come at once are one
    family.process.send(signal.SIGTERM)
    assert family.process.ended(12) == FAILED
    assert not family.alive and "second signal" in family.process.stderr


def test_what_a_child_leaves_behind_does_not_hold_up_the_end(bench):
    emulator = bench.emulator("words:1")
    family = consume(bench, emulator, "misfit.py", "fertile")
    left, = family.wait_for_call("grandchild")
    put(emulator, texts(5))
    wait_until(lambda: family.calls("checkpoint"), 20, lambda: family.told("its checkpoint"))
    try:
        assert family.stop(15) == DONE, family.process.stderr
        assert not family.alive
        wait_until(lambda: not is_alive(left["grandchild"]), 5, "the end of the child's child")
    finally:
        if is_alive(left["grandchild"]):
            os.kill(left["grandchild"], signal.SIGKILL)


@pytest.mark.parametrize("after", [0.9, 1.3])
def test_a_read_that_is_under_way_when_a_child_fails_does_not_stop_the_shard(bench, after):
    """Reads take 0.8 s, so that one always is; its answer comes after the new child is ready, or before."""
    emulator = bench.emulator("words:1", faults=[{"do": "delay", "operation": "GetRecords", "by": "800ms"}])
    put(emulator, texts(10), keys=1)
    family = consume(bench, emulator, "misfit.py", "exits_once", after)
    second = family.wait_for_call("initialize", 2)[1]
    wait_until(lambda: family.calls("checkpoint"), 15, lambda: family.told("the records, for the second child"))
    assert [r["pid"] for r in family.records[-10:]] == [second["pid"]] * 10


# MARK: records


@pytest.mark.parametrize("app", ["app_v1.py", "app_v3.py"])
def test_records_of_every_size_and_content(bench, app):
    emulator = bench.emulator("words:1", limits=False)
    contents = [b"", b"\x00", bytes(range(256)) * 4, b"\xff\xfe", b"\n\r\n", "Füße 𝄞 漢字".encode()]
    # A mebibyte; the key counts, too.
    big = [bytes(i * 7 % 251 for i in range((1 << 20) - 1)), b"\x00" * ((1 << 20) - 1)]
    for content in contents + big:
        emulator.kinesis.put_record(StreamName="words", Data=content, PartitionKey="k")
    family = consume(bench, emulator, app)
    records = family.wait_for_call("record", 8)
    assert [base64.b64decode(r["data"]) for r in records[:6]] == contents
    assert [(r["size"], r["sha256"]) for r in records[6:]] == [(len(b), hashlib.sha256(b).hexdigest()) for b in big]
    wait_until(lambda: family.checkpoints(emulator) == family.last, 10, lambda: family.told("the last checkpoints"))
    assert not family.seen("processorFailed")


def test_a_record_of_ten_mebibytes(bench):
    """As a stream may take them since 2025."""
    emulator = bench.emulator("words:1", limits=False)
    emulator.kinesis.update_max_record_size(StreamARN=emulator.arn("words"), MaxRecordSizeInKiB=10240)
    # As on AWS, the stream is UPDATING first and keeps its old limit until it is ACTIVE.
    emulator.wait_for_stream("words")
    content = (bytes(i * 7 % 253 for i in range(1 << 20)) * 10)[:-1]
    put(emulator, ["before"], keys=1)
    emulator.kinesis.put_record(StreamName="words", Data=content, PartitionKey="k")
    family = consume(bench, emulator, "app_v3.py")
    record = family.wait_for_call("record", 2)[1]
    assert (record["size"], record["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    put(emulator, ["after"], keys=1)
    family.wait_for_texts(["after"])
    wait_until(lambda: family.checkpoints(emulator) == family.last, 10, lambda: family.told("the last checkpoints"))
    assert len(family.pids) == 1 and not family.seen("processorFailed")


@pytest.mark.parametrize("app", ["app_v1.py", "app_v2.py", "app_v3.py"])
def test_partition_keys_of_every_plane(bench, app):
    emulator = bench.emulator("words:1")
    # From each of the 17 planes, its first and a late one; controls, quotes, what JSON and terminals mind.
    keys = [chr(plane << 16 | 0x41) + chr(plane << 16 | 0xFFFD) for plane in range(17)]
    keys += ["\x00", "\x1b[31m", '"\\/', "\u2028\u2029\ufeff", "\x7f\x80\x9f", "é", "e\u0301", "\n", "k" * 256]
    for i, key in enumerate(keys):
        emulator.kinesis.put_record(StreamName="words", Data=str(i).encode(), PartitionKey=key)
    family = consume(bench, emulator, app)
    family.wait_for_texts(str(i) for i in range(len(keys)))
    assert [r["key"] for r in family.records] == keys
    assert not family.seen("processorFailed")


# MARK: properties


GOOD = ["executableName = /bin/cat", "applicationName = words-app", "streamName = words", "regionName = us-east-1",
        "AwsCredentialsProvider = DefaultCredentialsProvider"]


def check(bench, content, *arguments):
    path = bench.directory / "app.properties"
    path.write_bytes(content)
    return bench.run("consume", path, *(arguments or ["--check"]), AWS_REGION=None,
                     AWS_ENDPOINT_URL="http://127.0.0.1:1")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# only a comment\n! and another", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("arguments", [["--check"], ["--headless"]])
def test_an_empty_file_is_refused(bench, content, arguments):
    complains(check(bench, content, *arguments), USAGE, "app.properties", "applicationName", "executableName", lines=3)


@pytest.mark.parametrize("name", ["applicationName", "streamName", "executableName"])
@pytest.mark.parametrize("value", [None, "", "   "])
def test_a_name_that_is_missing_or_blank_is_asked_for(bench, name, value):
    lines = [line for line in GOOD if not line.startswith(name)]
    if value is not None:
        lines.append(f"{name} ={value}")
    complains(check(bench, "\n".join(lines).encode()), USAGE, "app.properties", name, lines=2)


def test_the_last_of_two_equal_keys_counts_and_a_warning_says_so(bench):
    ended = check(bench, "\n".join([*GOOD, "failoverTimeMillis = 4000", "failoverTimeMillis: 5000"]).encode())
    assert ended.returncode == DONE, ended.stderr
    assert "failoverTimeMillis = 5000" in ended.stdout and "4000" not in ended.stdout
    warning, = (l for l in ended.stderr.splitlines() if "twice" in l)
    assert "app.properties:7" in warning and "6" in warning


@pytest.mark.parametrize("ends, mark", [("\r\n", b""), ("\r", b""), ("\n", b"\xef\xbb\xbf"), ("\r\n", b"\xef\xbb\xbf")])
def test_line_ends_and_a_byte_order_mark_change_nothing(bench, ends, mark):
    lines = [*GOOD, "workerId = caf\\u00e9", "failoverTimeMillis \\", "   4000"]
    ended = check(bench, mark + ends.join(lines).encode())
    assert ended.returncode == DONE, ended.stderr
    for wanted in ("applicationName = words-app", "streamName = words", "failoverTimeMillis = 4000", "workerId = café"):
        assert wanted in ended.stdout, ended.stdout
    assert "\r" not in ended.stdout


@pytest.mark.parametrize("line, words", [
    ("failoverTimeMillis = soon", ["failoverTimeMillis", "soon"]),
    ("timeoutInSeconds = -1", ["timeoutInSeconds", "-1"]),
    ("onChildFailure = shrug", ["onChildFailure", "restart", "exit"]),
    ("childFailuresMax = 0", ["childFailuresMax"]),
    ("initialPositionInStream = YESTERDAY", ["initialPositionInStream"]),
    ("metricsLevel = LOUD", ["metricsLevel"]),
    ("applicationName = with a blank", ["applicationName"]),
    ("workerId = \\u00g1", ["\\u"]),
])
def test_a_value_that_is_none_is_an_error_with_file_and_line(bench, line, words):
    lines = [l for l in GOOD if l.split(" ")[0] != line.split(" ")[0]]
    ended = check(bench, "\n".join([*lines, line]).encode())
    complains(ended, USAGE, f"app.properties:{len(lines) + 1}", *words)


def test_a_name_that_is_nearly_right_is_warned_of(bench):
    ended = check(bench, "\n".join([*GOOD, "failOverTimeMilis = 4000"]).encode())
    assert ended.returncode == DONE and "failoverTimeMillis" in ended.stderr and "app.properties:6" in ended.stderr


# MARK: tables


@pytest.mark.parametrize("key, kind", [("customerId", "S"), ("leaseKey", "N")])
def test_a_table_that_is_no_lease_table_is_refused_untouched(bench, key, kind):
    emulator = bench.emulator("words:1")
    emulator.create_table("customers", key, kind)
    family = consume(bench, emulator, "app_v3.py", application="customers")
    assert family.process.ended(30) == REFUSED, family.process.stderr
    said = family.process.stderr.strip().splitlines()
    assert "customers" in said[-1], said
    assert not family.log and emulator.dynamodb.scan(TableName="customers")["Items"] == []
