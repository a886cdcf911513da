"""The settings file: what it sets, what beats it, and what it refuses."""

import json
import tomllib

import pytest

from harness import DONE, REFUSED, USAGE
from test_operate import SHARD, Fleet


@pytest.fixture
def fleet(bench):
    return Fleet(bench)


def write(bench, text):
    path = bench.directory / "config" / "shardtop" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_default_file_is_toml_with_every_setting_commented(bench):
    ended = bench.run("config", "--default")
    assert ended.returncode == DONE and ended.stderr == ""
    assert tomllib.loads(ended.stdout) == {}
    assert all(line.startswith("#") or not line for line in ended.stdout.splitlines())
    for key in ("theme", "color", "ascii", "mouse", "refresh", "max_rcu", "failover_time", "read_only",
                "require_reason", "stream", "lag", "region"):
        assert f"\n# {key} = " in ended.stdout, key
    path = bench.run("config", "--path").stdout.strip()
    assert path == str(bench.directory / "config" / "shardtop" / "config.toml")
    # It is printed, never written.
    assert not (bench.directory / "config").exists()
    write(bench, ended.stdout)
    effective = bench.run("config")
    assert effective.returncode == DONE
    assert tomllib.loads(effective.stdout)["theme"] == "shardtop" and "# default" in effective.stdout


def test_config_says_what_holds_and_who_says_so(bench):
    path = write(bench, 'theme = "nord"\nascii = false\n\n[application."a.b"]\nstream = "orders"\n')
    ended = bench.run("config", SHARDTOP_ASCII="1", NO_COLOR="1")
    assert ended.returncode == DONE, ended.stderr
    effective = tomllib.loads(ended.stdout)
    assert (effective["theme"], effective["ascii"], effective["color"]) == ("nord", True, False)
    assert effective["application"] == {"a.b": {"stream": "orders"}}
    sources = {line.split(" ")[0]: line.split("# ")[-1] for line in ended.stdout.splitlines() if " = " in line}
    assert sources == {**sources, "theme": "file, line 1", "ascii": "SHARDTOP_ASCII", "color": "NO_COLOR",
                       "mouse": "default", "stream": "file, line 5"}
    assert ended.stdout.startswith(f"# {path}\n")


@pytest.mark.parametrize("text, message", [
    ('\nthem = "nord"', "config.toml:2: there is no setting them; did you mean theme?"),
    ("refresh = 5s", "config.toml:1: 5s is no value"), ("max_rcu = 0", "config.toml:1: max_rcu = 0: write a number"),
])
def test_a_mistake_in_the_file_is_one_line_that_says_where(bench, text, message):
    write(bench, text)
    for arguments in (["config"], ["status", "app"], ["watch", "app"], ["lease", "evict", "app", SHARD, "--write"]):
        ended = bench.run(*arguments, AWS_ENDPOINT_URL="http://127.0.0.1:9")
        assert ended.returncode == USAGE and message in ended.stderr, (arguments, ended)
        assert ended.stderr.count("\n") == 1
    ended = bench.run("check", "app", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert ended.returncode == 3 and message in ended.stdout
    # What needs no settings goes on.
    assert bench.run("config", "--default").returncode == DONE
    assert bench.run("iam", "watch", "app").returncode == DONE


def test_a_look_from_the_file_is_drawn_and_a_flag_beats_it(bench, terminal):
    write(bench, 'theme = "nord"\nascii = true\nread_only = true')
    screen = terminal(100, 30)
    screen.launch("demo")
    screen.shows("produced", seconds=30)
    assert screen.text.isascii()
    screen.type("q")
    screen.is_back()
    screen.launch("demo", "--no-ascii")
    screen.shows("┌", seconds=30)
    screen.type("q")
    screen.is_back()
    screen.tmux("send-keys", "-t", "test", "clear", "Enter")
    write(bench, 'theme = "nonsense"')
    screen.launch("demo")
    screen.shows("no theme nonsense", "config.toml, line 1")


def test_an_application_has_its_stream_and_table_from_the_file(fleet):
    write(fleet.bench, f'[application.orders]\ntable = "{fleet.application}"\nstream = "orders"\nfailover_time = "7s"')
    ended = fleet.run("status", "orders", "--observe", "0", "--format", "json")
    assert ended.returncode == DONE, ended.stderr
    report = json.loads(ended.stdout)
    assert (report["application"], report["stream"], len(report["leases"])) == ("orders", "orders", 2)
    assert (report["failoverTimeMillis"], report["failoverTimeSource"]) == (7000, "given")
    ended = fleet.run("status", "orders", "--observe", "0", "--format", "json", "--failover-time", "4s")
    assert json.loads(ended.stdout)["failoverTimeMillis"] == 4000


def test_a_region_of_the_file_stands_behind_the_variables(fleet):
    write(fleet.bench, f'[application.{fleet.application}]\nregion = "eu-west-1"')

    def region(**env):
        ended = fleet.run("status", fleet.application, "--observe", "0", "--format", "json", **env)
        return json.loads(ended.stdout)["region"]

    assert region() == "us-east-1"
    assert region(AWS_REGION=None) == "eu-west-1"


@pytest.mark.parametrize("text", [
    "read_only = true", "[profile.default]\nread_only = true", "[application.{0}]\nread_only = true",
])
def test_read_only_in_the_file_beats_write(fleet, text):
    write(fleet.bench, text.format(fleet.application))
    before = fleet.worker.worker_id
    ended = fleet.run("lease", "evict", fleet.application, SHARD, "--write", "--yes")
    assert ended.returncode == REFUSED and "READ-ONLY by read_only" in ended.stderr, ended.stderr
    assert "config.toml, line " in ended.stderr
    assert fleet.leases[SHARD]["leaseOwner"] == before and not fleet.audit()
    if "application" not in text:
        ended = fleet.run("stream", "scale", "orders", "--shards", "4", "--write", "--yes")
        assert ended.returncode == REFUSED and "READ-ONLY by read_only" in ended.stderr


def test_a_switch_that_is_neither_on_nor_off_is_an_error(fleet):
    ended = fleet.run("lease", "evict", fleet.application, SHARD, "--write", "--yes", SHARDTOP_READ_ONLY="yes")
    assert ended.returncode == USAGE and "SHARDTOP_READ_ONLY=yes: give 1 or 0" in ended.stderr
    assert not fleet.audit()


def test_where_reasons_are_wanted_no_action_goes_without(fleet):
    write(fleet.bench, "require_reason = true")
    arguments = ["lease", "evict", fleet.application, SHARD]
    ended = fleet.run(*arguments, "--write", "--yes")
    assert ended.returncode == REFUSED and "give --reason" in ended.stderr and not fleet.audit()
    assert fleet.run(*arguments, "--write", "--yes", "--reason", " ").returncode == REFUSED
    assert fleet.run(*arguments, "--dry-run").returncode == DONE
    assert fleet.run("watch", fleet.application, "--write").returncode == REFUSED
    ended = fleet.run(*arguments, "--write", "--yes", "--reason", "INC-7")
    assert ended.returncode == DONE, ended.stderr
    assert "INC-7" in json.dumps(fleet.audit())


def test_an_application_says_how_its_lags_are_measured_and_the_flag_takes_it_back(fleet, bench):
    fleet.emulator.put("orders", ["first"])
    fleet.worker.wait_for("checkpointed")
    write(bench, f'[application.{fleet.application}]\nstream = "orders"\nlag = "probe"\n')

    def sources(*arguments):
        ended = fleet.run("status", fleet.application, "--format", "json", "--observe", "3s", *arguments)
        assert ended.returncode == DONE, ended.stderr
        return {lease["lagSource"] for lease in json.loads(ended.stdout)["leases"]}

    assert "probe" in sources()
    assert "probe" not in sources("--lag", "estimate")
