"""`--accessible`: plain lines in place of the screen, and commands as typed lines."""

import re
import signal
import subprocess
import time

import pytest

from harness import BINARY, DONE, USAGE, environment, wait_until
from test_operate import SHARD, Fleet


class Talk:
    """A program that is talked to by lines, without any terminal."""

    def __init__(self, bench, *arguments, **env):
        self.out = bench.directory / f"talk-{len(bench.running)}"
        self.process = subprocess.Popen(
            [str(BINARY), *(str(a) for a in arguments)], stdin=subprocess.PIPE, stdout=open(self.out, "wb"),
            stderr=subprocess.STDOUT, env=environment(bench.directory, **env), cwd=bench.directory)
        bench.running.append(self)

    @property
    def text(self):
        return self.out.read_text()

    def type(self, line):
        """Types a line; what is said from then on is `since`."""
        self.start = len(self.text)
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    @property
    def since(self):
        return self.text[self.start:]

    def says(self, pattern, seconds=30):
        return wait_until(lambda: re.search(pattern, self.text, re.M), seconds, lambda: f"/{pattern}/ in\n{self.text}")

    def answers(self, pattern, seconds=30):
        return wait_until(lambda: re.search(pattern, self.since, re.M), seconds, lambda: f"/{pattern}/ in\n{self.since}")

    def ended(self):
        return self.process.wait(30)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self.process.stdin.close()


@pytest.fixture
def fleet(bench):
    return Fleet(bench)


def watch(fleet, *more):
    return Talk(fleet.bench, "watch", fleet.application, "--stream", "orders", "--accessible", "--refresh", "1s", *more,
                AWS_ENDPOINT_URL=fleet.emulator.endpoint)


def is_plain(text):
    return text.isascii() and not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)


def test_a_watch_says_what_is_and_what_changes(fleet):
    # One that dies before its pace was seen is not known to be dead.
    talk = watch(fleet, "--failover-time", "3s")
    talk.says(rf"^application {fleet.application}, stream orders, .*READ-ONLY")
    talk.says(r"^verdict OK: 1 worker read every shard")
    for command, answer in [
            ("shards", rf"^0000 LIVE, owner {fleet.worker.worker_id}"), ("workers", r"^worker .* LIVE, 2 leases"),
            ("problems", r"^no problems$"), ("shard 1", rf"^leaseOwner = {fleet.worker.worker_id}$"),
            ("status", r"^1 worker with leases, 2 shards open"), ("help", r"^shards \[FILTER\]: "),
            ("evict 0", r"^warning: read-only: nothing is written"), ("nonsense", r"^no command nonsense; ")]:
        talk.type(command)
        talk.answers(answer)
    fleet.worker.process.send(signal.SIGKILL)
    talk.says(r"^verdict (WARNING|CRITICAL): ", 60)
    talk.says(r"^problem, (warning|critical): (EXPIRED|UNOWNED), ", 60)
    talk.type("quit")
    assert talk.ended() == DONE
    assert is_plain(talk.text), talk.text
    # Nothing of it is a flood: no line is said twice in a row while nothing changes.
    verdicts = re.findall(r"^verdict .*$", talk.text, re.M)
    assert len(verdicts) < 12, verdicts


def test_an_action_is_confirmed_by_typing_and_audited(fleet):
    talk = watch(fleet, "--write", "--reason", "spoken")
    talk.says(r"^verdict OK")
    talk.type("evict 0")
    talk.answers(r"^UpdateItem ")
    talk.answers(r"^Type yes to do it; anything else leaves all as it is\.$")
    talk.type("no")
    talk.answers(r"^nothing was written$")
    assert not fleet.audit() and not fleet.worker.seen("leaseLost")
    talk.type("evict 0")
    talk.answers(r"^Type yes to do it")
    talk.type("yes")
    talk.answers(r"^written$")
    fleet.worker.wait_for("leaseLost")
    assert fleet.worker.seen("leaseLost")[0]["shardId"] == SHARD
    assert {line["reason"] for line in fleet.audit()} == {"spoken"}
    talk.type("quit")
    assert talk.ended() == DONE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_goes_on_without_anybody_who_types_until_a_signal(fleet, number):
    talk = watch(fleet)
    talk.process.stdin.close()
    talk.says(r"^verdict OK")
    time.sleep(0.5)
    assert talk.process.poll() is None
    talk.process.send_signal(number)
    assert talk.ended() == DONE


def test_the_demo_is_told_and_steered(bench):
    talk = Talk(bench, "demo", "--accessible", "--scenario", "split")
    talk.says(r"^application .*a DEMO in this process")
    talk.says(r"^(tour|scenario), step 1 of ")
    talk.says(r"^TERMINATE \d{4} .*continues in ", 60)
    talk.type("stop worker-1")
    talk.answers(r"worker-1 stops")
    talk.says(r"^STOPPED by worker-1", 60)
    talk.type("quit")
    assert talk.ended() == DONE
    assert "lost 0, out of order 0" in talk.text
    assert is_plain(talk.text)


def test_the_demo_ends_when_its_time_is_over(bench):
    ended = bench.run("demo", "--accessible", "--for", "3s")
    assert ended.returncode == DONE and "verdict" in ended.stdout, ended


def test_a_recording_is_told(fleet):
    recording = fleet.bench.directory / "recording"
    process = fleet.bench.start("watch", fleet.application, "--stream", "orders", "--refresh", "1s", "--headless",
                                "--record", recording, AWS_ENDPOINT_URL=fleet.emulator.endpoint)
    wait_until(lambda: recording.exists() and recording.read_text().count('"is":"scan"') >= 4, 30)
    process.send(signal.SIGTERM)
    assert process.ended() == DONE
    talk = Talk(fleet.bench, "replay", recording, "--speed", "100", "--accessible")
    talk.says(rf"^application {fleet.application}, .*REPLAY")
    talk.says(r"^the recording ends here$")
    talk.type("evict 0")
    talk.answers(r"a recording can only be watched")
    talk.type("quit")
    assert talk.ended() == DONE


def test_status_has_plain_lines_too(fleet):
    arguments = ["status", fleet.application, "--stream", "orders", "--observe", "0"]
    ended = fleet.run(*arguments, "--accessible")
    assert ended.returncode == DONE, ended.stderr
    assert re.search(rf"^0001 LEARNING, owner {fleet.worker.worker_id}", ended.stdout, re.M)
    assert is_plain(ended.stdout)
    # The setting does it, a format that was asked for goes before it.
    assert fleet.run(*arguments, SHARDTOP_ACCESSIBLE="1").stdout.startswith("application ")
    assert fleet.run(*arguments, "--format", "json", SHARDTOP_ACCESSIBLE="1").stdout.startswith("{")
    assert not fleet.run(*arguments, "--no-accessible", SHARDTOP_ACCESSIBLE="1").stdout.startswith("application ")
    assert fleet.run(*arguments, "--accessible", "--format", "json").returncode == USAGE


def test_in_a_terminal_the_cursor_never_leaves_the_last_line(fleet, terminal):
    screen = terminal(100, 30, AWS_ENDPOINT_URL=fleet.emulator.endpoint)
    screen.launch("watch", fleet.application, "--stream", "orders", "--accessible", "--refresh", "1s")
    screen.shows("verdict OK", "Type help for the commands.")
    # What stood before is still there.
    screen.shows("prompt>")
    screen.write("shards state:LIVE")
    screen.type("Enter")
    screen.shows("0001 LIVE, owner")
    assert "\x1b[" not in screen.styled
    screen.type("C-d")
    screen.is_back()
    screen.launch("demo", "--accessible")
    screen.shows("a DEMO in this process")
    screen.type("C-c")
    screen.is_back()
