"""What scripts use: `check`, Prometheus text, `status --watch`, `apps`, properties files, completions."""

import csv
import io
import json
import re
import signal
import subprocess

import pytest

import harness
from harness import DONE, FAILED, USAGE, wait_until
from test_operate import Fleet

OK, WARNING, CRITICAL, UNKNOWN = range(4)


@pytest.fixture
def fleet(bench):
    return Fleet(bench)


def check(fleet, *more, **env):
    return fleet.run("check", fleet.application, *more, **env)


def is_plugin_line(ended, word):
    """One line, `SHARDTOP WORD - text`, and nothing on stderr."""
    assert ended.stdout.count("\n") == 1 and ended.stdout.startswith(f"SHARDTOP {word} - "), ended
    assert ended.stderr == "", ended.stderr


# MARK: check


def test_check_of_a_healthy_fleet(fleet):
    fleet.emulator.put("orders", [f"r{i}" for i in range(50)])
    ended = check(fleet, "--stream", "orders", "--observe", "6s", "--max-lag", "60s")
    assert ended.returncode == OK, ended
    is_plugin_line(ended, "OK")
    text, figures = ended.stdout.strip().split(" | ")
    assert "2 leases, 1 worker" in text
    figures = dict(figure.split("=") for figure in figures.split())
    assert figures["leases"] == "2;;;0" and figures["workers"] == "1;;;0" and figures["expired"] == "0;;;0"
    assert re.fullmatch(r"[\d.]+s;60;(60)?;0", figures["maxlag"])


def test_check_of_a_fleet_whose_worker_was_killed(fleet):
    fleet.worker.process.send(signal.SIGKILL)
    ended = check(fleet, "--observe", "6s", "--failover-time", "2s")
    assert ended.returncode == CRITICAL, ended
    is_plugin_line(ended, "CRITICAL")


def test_check_that_looked_too_briefly_is_unknown(fleet):
    ended = check(fleet, "--observe", "0")
    assert ended.returncode == UNKNOWN, ended
    is_plugin_line(ended, "UNKNOWN")


@pytest.mark.parametrize("arguments", [
    [], ["app", "--no-such-flag"], ["app", "--max-lag", "soon"], ["no-such-table", "--observe", "1s"],
    ["missing.properties"], ["app", "--profile", "nobody"], ["app", "--region", "not a region"],
])
def test_whatever_hinders_a_check_is_unknown(bench, arguments):
    emulator = bench.emulator("orders:1")
    ended = bench.run("check", *arguments, AWS_ENDPOINT_URL=emulator.endpoint)
    assert ended.returncode == UNKNOWN, ended
    is_plugin_line(ended, "UNKNOWN")


def test_check_without_credentials_or_permission_or_calm_is_unknown(bench):
    ended = bench.run("check", "app", "--observe", "1s", AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None,
                      AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert ended.returncode == UNKNOWN, ended
    is_plugin_line(ended, "UNKNOWN")
    emulator = bench.emulator("orders:1", faults=[{"do": "throttle", "operation": "Scan"}])
    bench.consume(emulator.endpoint, "orders", application="shardtop-throttled")
    wait_until(lambda: "shardtop-throttled" in emulator.dynamodb.list_tables()["TableNames"])
    ended = bench.run("check", "shardtop-throttled", "--observe", "2s", AWS_ENDPOINT_URL=emulator.endpoint)
    assert ended.returncode == UNKNOWN, ended
    is_plugin_line(ended, "UNKNOWN")


def test_help_of_check_ends_with_0(bench):
    ended = bench.run("check", "--help")
    assert ended.returncode == DONE and "--max-lag" in ended.stdout


# MARK: Prometheus and --watch


SERIES = re.compile(r'(shardtop_[a-z_]+)\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\} (-?[0-9.e+-]+)')


def test_status_as_prometheus_text(fleet):
    ended = fleet.run("status", fleet.application, "--stream", "orders", "--observe", "6s", "--format", "prometheus")
    assert ended.returncode == DONE, ended.stderr
    values = {}
    for line in ended.stdout.splitlines():
        if not line.startswith("#"):
            found = SERIES.fullmatch(line)
            assert found, line
            values.setdefault(found[1], []).append(float(found[3]))
    assert values["shardtop_up"] == [1] and values["shardtop_leases"] == [2]
    assert values["shardtop_shard_consumed"] == [1, 1] and values["shardtop_worker_leases"] == [2]
    assert sum(values["shardtop_problems_by_severity"][1:]) == 0


def watching(fleet, *more):
    return fleet.bench.start("status", fleet.application, "--watch", "--refresh", "1s", *more,
                             AWS_ENDPOINT_URL=fleet.emulator.endpoint)


def test_status_watch_writes_json_lines_until_a_signal(fleet):
    process = watching(fleet, "--stream", "orders")
    wait_until(lambda: len(process.lines) >= 4, 30, lambda: process.stderr)
    process.send(signal.SIGTERM)
    assert process.ended() == DONE
    assert process.stdout.endswith("\n")
    reports = [json.loads(line) for line in process.lines]
    assert all(report["version"] == 1 and len(report["leases"]) == 2 for report in reports)
    assert [r["observedSeconds"] for r in reports] == sorted(r["observedSeconds"] for r in reports)
    assert {lease["state"] for lease in reports[-1]["leases"]} <= {"LIVE", "LEARNING"}


def test_status_watch_ends_when_nobody_reads(fleet):
    process = subprocess.Popen(
        [str(harness.BINARY), "status", fleet.application, "--watch", "--refresh", "1s"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=harness.environment(fleet.bench.directory, AWS_ENDPOINT_URL=fleet.emulator.endpoint))
    try:
        assert json.loads(process.stdout.readline())["application"] == fleet.application
        process.stdout.close()
        assert process.wait(20) == DONE
        assert process.stderr.read() == b""
    finally:
        process.kill()
        process.stderr.close()


def test_status_watch_of_a_table_that_is_not_there_fails(bench):
    emulator = bench.emulator("orders:1")
    ended = bench.run("status", "no-such-app", "--watch", AWS_ENDPOINT_URL=emulator.endpoint)
    assert ended.returncode == FAILED and "no-such-app" in ended.stderr and ended.stdout == ""
    ended = bench.run("status", "no-such-app", "--watch", "--format", "csv", AWS_ENDPOINT_URL=emulator.endpoint)
    assert ended.returncode == USAGE


# MARK: apps


def test_apps_lists_lease_tables_only(fleet):
    fleet.emulator.create_table("users", "id")
    ended = fleet.run("apps", "--format", "json")
    assert ended.returncode == DONE, ended.stderr
    table, = json.loads(ended.stdout)["tables"]
    assert table["name"] == fleet.application and table["generation"] == "2.x" and table["status"] == "ACTIVE"
    row, = csv.DictReader(io.StringIO(fleet.run("apps", "--format", "csv").stdout))
    assert row["name"] == fleet.application and row["billing"] == "PAY_PER_REQUEST"
    text = fleet.run("apps").stdout
    assert text.splitlines()[0].split()[0] == "TABLE" and fleet.application in text and "users" not in text
    ended = fleet.run("apps", "--max", "1")
    assert ended.returncode == DONE and "--max" in ended.stderr


def test_apps_with_another_partys_dynamodb(bench, moto):
    moto.create_table("their-app")
    ended = bench.run("apps", "--format", "json", AWS_ENDPOINT_URL=moto.endpoint)
    assert ended.returncode == DONE, ended.stderr
    assert [table["name"] for table in json.loads(ended.stdout)["tables"]] == ["their-app"]


# MARK: a properties file in place of the application


def test_a_properties_file_names_the_fleet(fleet):
    path = fleet.bench.directory / "java.properties"
    path.write_text(
        f"applicationName = orders-service\ntableName = {fleet.application}\nstreamName = orders\n"
        f"regionName = us-east-1\nretrievalMode = FANOUT\nfailoverTimeMillis = 3000\n"
        f"kinesisEndpoint = {fleet.emulator.endpoint}\ndynamoDBEndpoint = {fleet.emulator.endpoint}\n")
    run = fleet.bench.run
    ended = run("status", path, "--observe", "0", "--format", "json")
    assert ended.returncode == DONE, ended.stderr
    report = json.loads(ended.stdout)
    assert report["application"] == "orders-service" and report["stream"] == "orders"
    assert report["failoverTimeMillis"] == 3000 and report["failoverTimeSource"] == "given"
    assert len(report["leases"]) == 2
    assert run("lease", "list", path).stdout.count("\n") == 3
    assert run("check", path, "--observe", "5s").returncode == OK
    # Flags go before the file.
    ended = run("status", path, "--observe", "0", "--table", "no-such-table")
    assert ended.returncode == FAILED and "no-such-table" in ended.stderr
    assert run("status", path, "--observe", "0", "--stream", "no-such-stream").returncode == FAILED


def test_a_properties_file_without_an_application_is_a_usage_error(bench):
    path = bench.directory / "bad.properties"
    path.write_text("streamName = orders\n")
    ended = bench.run("status", path)
    assert ended.returncode == USAGE and "applicationName" in ended.stderr


# MARK: completions


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_name_the_commands(bench, shell):
    ended = bench.run("--generate-completion-script", shell)
    assert ended.returncode == DONE and ended.stderr == ""
    for word in ("status", "check", "apps", "prometheus"):
        assert word in ended.stdout, word
