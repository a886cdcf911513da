"""What is wrong gets one clear line and the documented exit status; nothing traps, hangs or prints a stack."""

import socket
import subprocess
import threading
import time

import pytest

from harness import (
    BINARY, DONE, FAILED, REFUSED, USAGE, environment, refused_endpoint, wait_until, write_properties)

SHARD = "shardId-000000000000"


def complains(ended, status, *words, lines=1):
    """The exit status, and the one line on stderr that says why; nothing on stdout."""
    code = ended.returncode
    assert code == status, f"{code}: {ended.stderr}"
    said = ended.stderr.strip().splitlines()
    assert len(said) <= lines, ended.stderr
    for word in words:
        assert word.lower() in ended.stderr.lower(), f"{word!r} is not in {ended.stderr!r}"
    assert "Fatal error" not in ended.stderr and "TransportError(" not in ended.stderr
    assert ended.stdout == ""


def properties(bench, **values):
    return write_properties(bench.directory / "bad.properties", values)


GOOD = dict(processor="count", applicationName="shardtop-bad", streamName="orders", initialPositionInStream="TRIM_HORIZON")


# MARK: usage


@pytest.mark.parametrize("arguments", [
    ["nonsense"], ["demo", "--scenario", "nonsense"], ["demo", "--shards", "0"], ["demo", "--rate", "-1"],
    ["demo", "--for", "soon"], ["emulate", "--port", "66000"], ["emulate", "--stream", "a:b"], ["put"],
    ["put", "orders", "--keys", "0"], ["put", "orders", "--hot", "2"], ["status"],
    ["status", "app", "--format", "xml"], ["lease", "evict"], ["shard", "split", "orders", SHARD, "--at", "-1"],
    ["shard", "merge", "orders", SHARD], ["consume"], ["watch"], ["demo", "--no-such-flag"],
    ["simulate", "--seed", "1", "--fan-out", "1.5"], ["simulate", "--seed", "1", "--fan-out", "-0.1"],
])
def test_wrong_usage_ends_with_2(bench, arguments):
    ended = bench.run(*arguments, seconds=20)
    assert ended.returncode == USAGE, ended
    assert ended.stderr.strip() and ended.stdout == ""


def test_help_and_version_go_to_stdout(bench):
    for arguments in (["--help"], ["--version"], ["consume", "--help"], ["help", "lease", "evict"]):
        ended = bench.run(*arguments, seconds=20)
        assert ended.returncode == DONE and ended.stdout and ended.stderr == "", arguments
    shown = bench.run("--help").stdout
    for command in ("demo", "watch", "consume", "emulate", "put", "status", "lease", "shard"):
        assert f"\n  {command}" in shown


@pytest.mark.parametrize("change, word", [
    (dict(applicationName=""), "applicationName"), (dict(streamName=""), "streamName"),
    (dict(failoverTimeMillis="soon"), "failoverTimeMillis"), (dict(failoverTimeMillis="-5"), "failoverTimeMillis"),
    (dict(initialPositionInStream="YESTERDAY"), "initialPositionInStream"), (dict(processor="lose"), "processor"),
    (dict(maxRecords="10001"), "maxRecords"), (dict(cleanupLeasesUponShardCompletion="maybe"), "true or false"),
])
def test_a_wrong_property_is_named(bench, change, word):
    complains(bench.run("consume", properties(bench, **{**GOOD, **change}), "--headless"), USAGE, word)


def test_a_properties_file_that_is_none_or_not_there(bench):
    complains(bench.run("consume", bench.directory / "missing.properties"), USAGE, "no such file")
    path = bench.directory / "odd.properties"
    path.write_text("this is no assignment\n")
    # To Java that is a name and a value, of which it would say nothing.
    ended = bench.run("consume", path)
    assert ended.returncode == USAGE and "applicationName is missing" in ended.stderr
    path.write_text("applicationName = \\u12\n")
    complains(bench.run("consume", path), USAGE, ":1:")
    complains(bench.run("consume", bench.directory), USAGE)


def test_a_fault_file_that_is_wrong_is_named(bench):
    path = bench.directory / "faults.json"
    path.write_text('{"faults":[{"do":"explode"}]}')
    complains(bench.run("emulate", "--port", 0, "--faults", path, seconds=20), USAGE, "faults[0].do")
    path.write_text("not json")
    complains(bench.run("emulate", "--port", 0, "--faults", path, seconds=20), USAGE, "JSON")


def test_the_emulator_refuses_a_port_in_use_and_a_remote_address(bench):
    emulator = bench.emulator()
    port = emulator.endpoint.rsplit(":", 1)[1]
    complains(bench.run("emulate", "--port", port, seconds=20), FAILED, port)
    ended = bench.run("emulate", "--port", 0, "--bind", "0.0.0.0", seconds=20)
    assert ended.returncode != DONE and "allow" in ended.stderr


# MARK: services


def test_an_unknown_stream_is_named(bench):
    emulator = bench.emulator()
    for arguments in (["put", "nope", "--count", 1], ["shard", "split", "nope", SHARD, "--write", "--yes"]):
        complains(bench.run(*arguments, AWS_ENDPOINT_URL=emulator.endpoint), FAILED, "nope", "does not exist")
    file = properties(bench, **{**GOOD, "streamName": "nope"})
    ended = bench.run("consume", file, "--headless", AWS_ENDPOINT_URL=emulator.endpoint)
    assert ended.returncode in (FAILED, REFUSED) and "nope" in ended.stderr


def test_an_unknown_table_is_named(bench):
    emulator = bench.emulator("orders:1")
    for arguments in (["status", "nope", "--observe", "0"], ["lease", "list", "nope"],
                      ["lease", "evict", "nope", SHARD, "--write", "--yes"]):
        complains(bench.run(*arguments, AWS_ENDPOINT_URL=emulator.endpoint), FAILED, "nope", "no table")


def test_an_unknown_shard_is_named(bench):
    emulator = bench.emulator("orders:1")
    worker = bench.consume(emulator.endpoint, "orders")
    worker.wait_for("initialized")
    missing = "shardId-000000000099"
    ended = bench.run("lease", "evict", worker.application, missing, "--write", "--yes",
                      AWS_ENDPOINT_URL=emulator.endpoint)
    complains(ended, REFUSED, missing)
    ended = bench.run("shard", "split", "orders", missing, "--write", "--yes", AWS_ENDPOINT_URL=emulator.endpoint)
    complains(ended, REFUSED, missing)
    assert emulator.owners(worker.application)


@pytest.mark.parametrize("arguments", [
    ["put", "orders", "--count", "1"], ["status", "app", "--observe", "0"], ["lease", "list", "app"],
    ["shard", "split", "orders", SHARD, "--write", "--yes"],
])
def test_no_credentials(bench, arguments):
    emulator = bench.emulator("orders:1")
    ended = bench.run(
        *arguments, AWS_ENDPOINT_URL=emulator.endpoint, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    complains(ended, FAILED, "credentials")


@pytest.mark.parametrize("arguments", [
    ["put", "orders", "--count", "1"], ["status", "app", "--observe", "0"],
    ["shard", "split", "orders", SHARD, "--write", "--yes"],
])
def test_a_refused_endpoint(bench, arguments):
    endpoint = refused_endpoint()
    complains(bench.run(*arguments, "--endpoint-url", endpoint, seconds=60), FAILED, endpoint.split("//")[1])


def test_consume_says_that_it_cannot_start_yet_and_can_be_ended_then(bench):
    endpoint = refused_endpoint()
    worker = bench.consume(endpoint, "orders")
    wait_until(lambda: endpoint.split("//")[1] in worker.process.stderr, 30, lambda: worker.process.stderr)
    assert worker.process.process.poll() is None, "it goes on trying"
    assert worker.stop(10) in (DONE, FAILED)


def test_a_silent_endpoint_ends_in_bounded_time(bench):
    """Accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        started = time.monotonic()
        ended = bench.run("shard", "split", "orders", SHARD, "--write", "--yes", "--endpoint-url", endpoint, seconds=200)
        assert time.monotonic() - started < 180
        complains(ended, FAILED, endpoint.split("//")[1])


def test_an_endpoint_that_talks_rubbish(bench):
    with socket.create_server(("127.0.0.1", 0)) as server:
        def talk():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n<html>hi>")

        threading.Thread(target=talk, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        ended = bench.run("shard", "split", "orders", SHARD, "--write", "--yes", "--endpoint-url", endpoint)
        complains(ended, FAILED, "ListShards")


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4567", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999"])
def test_an_endpoint_that_is_none(bench, endpoint):
    complains(bench.run("put", "orders", "--count", 1, "--endpoint-url", endpoint), USAGE, "--endpoint-url")


def test_a_region_that_is_none_or_missing(bench):
    complains(bench.run("put", "orders", "--count", 1, "--region", "not a region!"), USAGE, "region")
    complains(bench.run("put", "orders", "--count", 1, AWS_REGION=None), USAGE, "region")


def test_a_profile_that_is_not_there(bench):
    complains(bench.run("put", "orders", "--count", 1, "--profile", "nobody", AWS_REGION=None), USAGE, "nobody")


# MARK: tables that a worker must not join


class Table:
    def __init__(self, bench, *streams, **more):
        self.bench = bench
        self.emulator = bench.emulator(*(streams or ["orders:2"]))
        self.name = "shardtop-table"

    def create(self, key="leaseKey", kind="S"):
        self.emulator.create_table(self.name, key, kind)

    def put(self, key, **attributes):
        row = {"leaseKey": {"S": key}}
        for name, value in attributes.items():
            row[name] = {"N": str(value)} if isinstance(value, int) else {"S": value}
        self.emulator.dynamodb.put_item(TableName=self.name, Item=row)

    def consume(self):
        return self.bench.consume(self.emulator.endpoint, "orders", self.name)

    def refuses(self, *words):
        worker = self.consume()
        status = worker.process.ended(30)
        assert status == REFUSED, f"{status}: {worker.process.stderr}"
        said = worker.process.stderr.strip().splitlines()
        assert len(said) == 1, said
        for word in words:
            assert word in said[0], said
        assert worker.process.stdout == ""


def test_a_built_in_processor_refuses_other_applications(bench):
    emulator = bench.emulator("orders:1")
    worker = bench.consume(emulator.endpoint, "orders", "orders-app")
    assert worker.process.ended(20) == REFUSED
    assert "shardtop-" in worker.process.stderr
    assert emulator.dynamodb.list_tables()["TableNames"] == []


def test_a_table_that_is_no_lease_table_is_refused(bench):
    table = Table(bench)
    table.create(key="customerId")
    table.refuses(table.name)


def test_leases_of_another_stream_are_refused(bench):
    table = Table(bench)
    table.create()
    table.put("shardId-000000000077", leaseCounter=3, checkpoint="TRIM_HORIZON", leaseOwner="somebody")
    table.refuses("orders")
    assert table.emulator.leases(table.name)["shardId-000000000077"]["leaseOwner"] == "somebody"


def test_multi_stream_keys_are_refused(bench):
    table = Table(bench)
    table.create()
    table.put("123456789012:orders:1700000000:shardId-000000000000", leaseCounter=3, checkpoint="TRIM_HORIZON")
    table.refuses("stream")


@pytest.mark.parametrize("mode", ["CLIENT_VERSION_3X", "CLIENT_VERSION_3X_WITH_ROLLBACK", "CLIENT_VERSION_UPGRADE_FROM_2X"])
def test_a_fleet_in_3x_mode_or_upgrading_is_refused(bench, mode):
    """The migration state is an item in a table of its own, <application>-CoordinatorState."""
    table = Table(bench)
    table.create()
    table.put(SHARD, leaseCounter=3, checkpoint="TRIM_HORIZON", leaseOwner="java", startingHashKey="0")
    lease = table.name
    table.name = f"{lease}-CoordinatorState"
    table.create(key="key")
    table.emulator.dynamodb.put_item(
        TableName=table.name, Item={"key": {"S": "Migration3.0"}, "cv": {"S": mode}, "mb": {"S": "java"}})
    table.name = lease
    table.refuses("3")
    assert table.emulator.leases(lease)[SHARD]["leaseCounter"] == "3"


def test_an_odd_lease_row_does_not_stop_the_others(bench):
    """A missing counter, a checkpoint that is no number."""
    table = Table(bench)
    table.create()
    table.put(SHARD, leaseCounter=3, checkpoint="TRIM_HORIZON")
    table.put("shardId-000000000001", leaseCounter=1, checkpoint="not-a-number")
    worker = table.consume()
    worker.wait_for("initialized", seconds=40)
    assert worker.seen("initialized")[0]["shardId"] == SHARD
    ended = bench.run("status", table.name, "--stream", "orders", "--observe", "0",
                      AWS_ENDPOINT_URL=table.emulator.endpoint)
    assert ended.returncode == DONE and "shardId-000000000001" in ended.stdout
    assert worker.process.process.poll() is None, worker.process.stderr


# MARK: outputs


def test_watch_without_a_terminal_draws_nothing_and_says_so(bench):
    emulator = bench.emulator("orders:1")
    ended = bench.run("watch", "shardtop-x", AWS_ENDPOINT_URL=emulator.endpoint, seconds=30)
    assert ended.returncode != DONE
    assert "terminal" in ended.stderr.lower() and "\x1b" not in ended.stdout


def test_demo_without_a_terminal_runs_headless(bench):
    ended = bench.run("demo", "--for", "2s", seconds=20)
    assert ended.returncode == DONE and "\x1b" not in ended.stdout and ended.stdout.startswith("shardtop demo:")


def test_a_closed_pipe_ends_status_quietly(bench):
    emulator = bench.emulator("orders:20")
    worker = bench.consume(emulator.endpoint, "orders")
    worker.wait_for("initialized", 20)
    ended = subprocess.run(
        ["bash", "-c", f"'{BINARY}' lease list {worker.application} | true; echo ${{PIPESTATUS[0]}}"], text=True,
        capture_output=True, timeout=60, env=environment(bench.directory, AWS_ENDPOINT_URL=emulator.endpoint))
    assert ended.stdout.strip() == "0" and ended.stderr == ""


def test_a_closed_pipe_ends_the_demo_quietly(bench):
    ended = subprocess.run(
        ["bash", "-c", f"'{BINARY}' demo --headless --for 60s --events - | head -1; echo ${{PIPESTATUS[0]}}"],
        text=True, capture_output=True, timeout=40, env=environment(bench.directory))
    lines = ended.stdout.splitlines()
    assert lines[0].startswith('{"version":1') and lines[1] == "0" and ended.stderr == ""


def test_events_that_cannot_be_written_are_an_error_before_anything_runs(bench):
    ended = bench.run("demo", "--headless", "--for", "2s", "--events", bench.directory / "no" / "such" / "file")
    complains(ended, FAILED, "cannot write")


@pytest.mark.parametrize("arguments", [["demo", "--headless"], ["emulate", "--port", "0"]])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signals_end_what_runs(bench, arguments, name):
    import signal
    process = bench.start(*arguments)
    if arguments[0] == "emulate":
        wait_until(lambda: process.lines, 20)
    else:
        wait_until(lambda: "Ctrl-C" in process.stderr, 20)
    process.send(getattr(signal, name))
    assert process.ended(15) == DONE, process.stderr
