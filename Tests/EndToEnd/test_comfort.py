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


# MARK: watch --headless


def headless(fleet, *more):
    process = fleet.bench.start("watch", fleet.application, "--stream", "orders", "--refresh", "1s", "--headless",
                                *more, AWS_ENDPOINT_URL=fleet.emulator.endpoint)
    found = wait_until(
        lambda: re.search(r"listening on http://(127\.0\.0\.1:\d+)", process.stderr), 20, lambda: process.stderr)
    return process, found[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_headless_watch_serves_the_fleet_until_a_signal(fleet, number):
    recording = fleet.bench.directory / "recording"
    process, place = headless(fleet, "--listen", "127.0.0.1:0", "--record", recording)
    assert page(place, "/healthz")[0] == 200
    wait_until(lambda: page(place, "/readyz")[0] == 200, 20, lambda: page(place, "/readyz"))
    text = wait_until(
        lambda: (t := page(place, "/metrics")[1]) and value(t, "shardtop_shard_consumed", shard=SHARD) == 1 and t, 20,
        lambda: page(place, "/metrics"))
    assert value(text, "shardtop_up") == 1 and value(text, "shardtop_leases") == 2
    assert page(place, "/nothing")[0] == 404
    process.send(number)
    assert process.ended() == DONE
    assert json.loads(recording.read_text().splitlines()[0])["shardtop"] == "recording"


def test_a_headless_watch_of_no_table_is_up_but_not_ready(bench):
    emulator = bench.emulator("orders:1")
    process = bench.start("watch", "no-such-app", "--headless", "--listen", "0", AWS_ENDPOINT_URL=emulator.endpoint)
    found = wait_until(lambda: re.search(r"http://(127\.0\.0\.1:\d+)", process.stderr), 20, lambda: process.stderr)
    status, text = wait_until(lambda: (a := page(found[1], "/readyz")) and "no-such-app" in a[1] and a, 20)
    assert status == 503
    assert value(page(found[1], "/metrics")[1], "shardtop_up") == 0
    assert page(found[1], "/healthz")[0] == 200
    process.send(signal.SIGTERM)
    assert process.ended() == DONE


@pytest.mark.parametrize("arguments", [
    ["--headless"], ["--listen", "0"], ["--headless", "--listen", "nowhere"], ["--headless", "--listen", "1:2:3"],
    ["--headless", "--listen", "70000"], ["--headless", "--listen", "0", "--write"], ["--max-rcu", "0"],
    ["--max-rcu", "-1"], ["--refresh", "0.1s"],
])
def test_a_watch_that_makes_no_sense_is_a_usage_error(bench, arguments):
    ended = bench.run("watch", "app", *arguments, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert ended.returncode == USAGE and ended.stderr.strip(), ended


def test_an_address_that_is_taken_is_one_clear_error(fleet):
    _, place = headless(fleet, "--listen", "0")
    ended = fleet.run("watch", fleet.application, "--headless", "--listen", place)
    assert ended.returncode == FAILED and f"cannot listen on {place}" in ended.stderr
    assert ended.stderr.count("\n") == 1


# MARK: roles and profiles


def configuration(bench, text):
    """A shared configuration file, and the environment that names it."""
    path = bench.directory / "aws-config"
    path.write_text(text)
    return {"AWS_CONFIG_FILE": path, "AWS_SHARED_CREDENTIALS_FILE": bench.directory / "none"}


ROLE = "arn:aws:iam::123456789012:role/watcher"


def test_a_role_is_assumed_before_anything_is_read(bench, moto):
    moto.create_table("their-app")
    ended = bench.run("apps", "--format", "json", "--role-arn", ROLE, "--external-id", "x1",
                      AWS_ENDPOINT_URL=moto.endpoint)
    assert ended.returncode == DONE, ended.stderr
    assert [table["name"] for table in json.loads(ended.stdout)["tables"]] == ["their-app"]
    # Nobody answers for STS: the role is really asked for.
    ended = bench.run("apps", "--role-arn", ROLE, AWS_ENDPOINT_URL=moto.endpoint,
                      AWS_ENDPOINT_URL_STS="http://127.0.0.1:9")
    assert ended.returncode == FAILED and "STS" in ended.stderr + ended.stderr.upper(), ended.stderr


def test_a_second_profile_is_for_dynamodb_alone(fleet):
    keys = "aws_access_key_id = a\naws_secret_access_key = b\n"
    env = configuration(fleet.bench, f"[profile tables]\n{keys}[profile broken]\nrole_arn = x\n")
    ended = fleet.run("status", fleet.application, "--observe", "0", "--format", "json", "--dynamodb-profile",
                      "tables", AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None, **env)
    assert ended.returncode == DONE, ended.stderr
    assert len(json.loads(ended.stdout)["leases"]) == 2
    ended = fleet.run("status", fleet.application, "--observe", "0", "--dynamodb-profile", "nobody", **env)
    assert ended.returncode == FAILED and "nobody" in ended.stderr
    # The stream is still read as before.
    ended = fleet.run("stream", "show", "orders", "--dynamodb-profile", "nobody", **env)
    assert ended.returncode == DONE, ended.stderr


@pytest.mark.parametrize("arguments", [
    ["--role-arn", "watcher"], ["--role-arn", "arn:aws:iam::123456789012:user/x"], ["--external-id", "x"],
    ["--role-arn", "arn:aws:iam::123456789012:role/"],
])
def test_a_role_that_is_none_is_a_usage_error(bench, arguments):
    ended = bench.run("apps", *arguments, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert ended.returncode == USAGE and ended.stderr.strip()


# MARK: help


def test_help_keys_lists_the_keys_of_the_screen(bench):
    ended = bench.run("help", "keys")
    assert ended.returncode == DONE and ended.stderr == ""
    assert ended.stdout.startswith("everywhere\n")
    for text in ("  q ", "Ctrl-Z", "evict: clear the owner", "the demo's workers"):
        assert text in ended.stdout, text
    assert "USAGE" in bench.run("help", "watch").stdout


def test_the_manual_page_has_every_command_and_no_mistake_in_it(bench):
    ended = bench.run("help", "man")
    assert ended.returncode == DONE and ended.stdout.startswith(".TH SHARDTOP 1")
    for text in (".SS shardtop watch", ".SS shardtop lease evict", ".SS shardtop stream scale", "max\\-rcu", ".SH KEYS"):
        assert text in ended.stdout, text
    assert "simulate" not in ended.stdout.replace("`simulate", "").replace("simulate \\-\\-record", "")
    # A line that starts with a dot is a request that man(7) has.
    for line in ended.stdout.splitlines():
        assert not line.startswith("'"), line
        if line.startswith("."):
            assert line.split()[0] in {".TH", ".SH", ".SS", ".TP", ".PP", ".B"}, line
    if shutil.which("groff"):
        checked = subprocess.run(["groff", "-man", "-Tutf8", "-Kutf8", "-ww", "-z"], input=ended.stdout, text=True,
                                 capture_output=True)
        assert checked.returncode == 0 and checked.stderr == "", checked.stderr


# MARK: recordings to share


def test_a_recording_is_made_shareable_and_opens_in_the_screen(fleet, terminal):
    secret = fleet.bench.directory / "recording"
    process = fleet.bench.start("watch", fleet.application, "--stream", "orders", "--refresh", "1s", "--headless",
                                "--record", secret, AWS_ENDPOINT_URL=fleet.emulator.endpoint)
    wait_until(lambda: secret.exists() and secret.read_text().count('"is":"scan"') >= 3, 30, lambda: process.stderr)
    process.send(signal.SIGTERM)
    assert process.ended() == DONE
    shared = fleet.bench.directory / "shared"
    ended = fleet.bench.run("replay", secret, "--anonymize", shared)
    assert ended.returncode == DONE, ended.stderr
    text = shared.read_text()
    for name in (fleet.application, "orders", fleet.worker.worker_id, "123456789012", fleet.emulator.endpoint):
        assert name in secret.read_text() or name == "123456789012", name
        assert name not in text, name
    assert text.count("\n") == secret.read_text().count("\n")
    again = fleet.bench.run("replay", secret, "--anonymize", "-")
    assert again.stdout == text
    screen = terminal()
    screen.launch("replay", shared, "--speed", "100")
    screen.shows("application-1")
    screen.shows("worker-1")
    # The recording itself is never written over.
    ended = fleet.bench.run("replay", secret, "--anonymize", secret)
    assert ended.returncode == USAGE and secret.read_text().startswith("{")


def test_what_is_no_recording_is_not_made_shareable(bench):
    path = write_properties(bench.directory / "x", {"a": "b"})
    ended = bench.run("replay", path, "--anonymize", bench.directory / "out")
    assert ended.returncode == FAILED and "no recording" in ended.stderr or "not JSON" in ended.stderr
    assert not (bench.directory / "out").exists()
