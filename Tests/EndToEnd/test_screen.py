"""The screen in a real terminal, by keys: start, look, act, resize, suspend, quit, and what is left of it after."""

import os
import re
import signal
import time

import pytest

from harness import DONE, wait_until

READY = r"OK  3 workers read every shard"


@pytest.fixture
def demo(terminal):
    """Starts the demo and waits until its workers read every shard."""
    def start(width=120, height=40, arguments=(), **env):
        screen = terminal(width, height, **env)
        screen.launch("demo", "--seed", 7, *arguments)
        screen.matches(READY, 30)
        return screen

    return start


def first_shard(screen):
    """Selects the first row of the table; its shard and owner. The rows move, so both are read from one picture."""
    def selected():
        text = screen.text
        row = re.search(r"^│[ !‼>]*(0\d{3})\s+(worker-\d)\s", text, re.M)
        if row and f"┐{row[1]} " in text:
            return row
        # Once a picture: a key still on its way would select whatever is first by then.
        screen.type("g")
        return None

    found = wait_until(selected, 20, lambda: screen.text, 0.2)
    return found[1], found[2]


def test_the_demo_opens_with_a_fleet_and_never_with_an_error(terminal):
    screen = terminal(120, 40)
    screen.launch("demo")
    seen = []

    def ready():
        seen.append(screen.text)
        return re.search(READY, seen[-1])

    wait_until(ready, 15, lambda: seen[-1], 0.05)
    assert not [s for s in seen if "CRITICAL" in s or "cannot read" in s]
    screen.shows("DEMO", "shards", "workers", "hash key space", "lineage", "events", "problems", "worker-3", "produced")
    screen.matches(r"lost 0")


def test_keys_move_between_panes_filter_help_themes_freeze_and_zoom(demo):
    screen = demo()
    screen.type("?")
    screen.shows("steal: one of our own workers takes the lease", "Esc closes")
    screen.type("Escape")
    screen.shows_no("Esc closes")

    screen.type("/")
    screen.write("0002")
    screen.type("Enter")
    screen.shows_no("│  0001 ")
    screen.shows("0002")
    time.sleep(2)  # the filter must stay over several refreshes
    assert "│  0001 " not in screen.text and "0002" in screen.text
    screen.type("Escape")
    screen.shows("│  0001 ")

    screen.type("p")
    frozen = screen.matches(r"FROZEN.*")
    row = first_row(screen)
    time.sleep(1.5)  # several refreshes
    assert first_row(screen) == row and frozen
    screen.type("p")
    screen.shows_no("FROZEN")

    screen.type("z")
    screen.shows_no("height = throughput")
    screen.type("z")
    screen.shows("height = throughput")

    screen.type("t")
    screen.shows("solarized-dark", "tokyo-night")
    before = screen.styled
    screen.type("Down", "Down", "Enter")
    screen.shows_no("tokyo-night")
    assert screen.styled != before

    # Tab goes round the panes and comes back.
    screen.type("4")
    screen.type("Tab")
    screen.type("q")
    screen.is_back()


def first_row(screen):
    return screen.matches(r"^│[ !‼>]*0000 .*")[0].split("│")[1]


def test_a_command_is_completed_and_a_wrong_one_is_said_to_be_wrong(demo):
    screen = demo()
    screen.type(":")
    screen.write("theme nor")
    screen.type("Tab")
    screen.shows("theme nord")
    screen.type("Enter")
    screen.type(":")
    screen.write("stael")
    screen.type("Enter")
    screen.shows("steal")
    screen.type("Escape")
    screen.type(":")
    screen.write("quit")
    screen.type("Enter")
    screen.is_back()


def test_steal_shows_the_write_asks_and_makes_a_zombie(demo):
    screen = demo()
    shard, owner = first_shard(screen)
    screen.type("s")
    screen.shows("steal " + shard)
    screen.type("Enter")
    screen.shows("steal?", "stored row", "leaseCounter", f"from {owner}", "UpdateItem shardtop-demo", "undo")
    thief = screen.matches(rf"steal {shard} for (worker-\d)")[1]
    assert thief != owner
    screen.type("n")
    screen.shows_no("steal?")
    assert not re.search(rf"ZOMBIE +{shard}", screen.text)
    screen.type("s")
    screen.shows("steal " + shard)
    screen.type("Enter")
    screen.shows("steal?")
    screen.type("y")
    screen.matches(rf"ZOMBIE +{shard} {owner}")
    screen.matches(rf"{shard}\s+{thief}\s")
    screen.matches(r"lost 0")


def test_split_ends_the_parent_and_shows_its_children(demo):
    screen = demo()
    shard, _ = first_shard(screen)
    screen.type("S")
    screen.shows("split?", f"SplitShard orders shardId-00000000{shard}")
    screen.type("y")
    screen.matches(rf"TERMINATE {shard}", 30)
    screen.shows("0004", "0005", "1 ended")
    screen.matches(r"lost 0")


def test_merge_ends_both_parents(demo):
    screen = demo()
    shard, _ = first_shard(screen)
    screen.type("M")
    screen.shows("merge?", "MergeShards orders")
    screen.type("y")
    screen.matches(rf"TERMINATE {shard}", 30)
    screen.shows("2 ended")


def test_evict_and_release_are_shown_first(demo):
    screen = demo()
    # Of a row that stays: at the start the leases still change hands.
    first_shard(screen)
    for key, word in (("e", "evict"), ("r", "release")):
        screen.type(key)
        screen.shows(f"{word}?")
        screen.type("Escape")
        screen.shows_no(f"{word}?")


def test_a_killed_worker_loses_its_leases_to_the_others(demo):
    screen = demo()
    # A fleet that has just started may balance itself once, which is a ZOMBIE, too.
    before = zombies(screen)
    screen.type("4")
    screen.type("K")
    killed = screen.matches(r"(worker-\d) killed")[1]
    screen.matches(rf"2 workers read every shard", 30)
    assert not [line for line in zombies(screen) - before if killed in line]
    screen.matches(rf"TAKEN +\d{{4}} .*worker-")
    screen.matches(r"lost 0")


def zombies(screen):
    """The lines of the event log that say so, each with its time."""
    return set(re.findall(r"\d\d:\d\d:\d\d ZOMBIE +\d+ [^│]*", screen.text))


def test_a_paused_worker_wakes_up_as_zombie(demo):
    screen = demo()
    screen.type("4")
    screen.type("P")
    paused = screen.matches(r"(worker-\d) paused")[1]
    screen.matches(r"(OK|WARNING|INFO) .*2 workers read every shard|TAKEN .*worker-|STOLEN .*worker-", 30)
    time.sleep(4)  # longer than its failover time: nothing on the screen says when exactly
    screen.type("P")
    screen.matches(rf"ZOMBIE +\d{{4}} {paused}", 30)


def test_a_worker_can_be_added_and_stopped(demo):
    screen = demo()
    screen.type("n")
    screen.shows("worker-4")
    screen.matches(r"OK  4 workers read every shard", 60)
    screen.type("4")
    screen.type("x")
    screen.matches(r"OK  3 workers read every shard", 30)


@pytest.mark.parametrize("width, height", [(80, 24), (200, 60), (60, 15)])
def test_it_fits_the_terminal(demo, width, height):
    screen = demo(width, height) if width >= 80 else None
    if screen is None:
        screen = demo(80, 24)
        screen.resize(width, height)
        wait_until(lambda: len(screen.text.splitlines()) <= height + 1, 10, lambda: screen.text)
    screen.shows("shards", "0003")
    assert all(len(line) <= width for line in screen.text.splitlines())


def test_resizing_draws_anew_and_too_small_says_what_it_needs(demo):
    screen = demo(120, 40)
    for width, height in ((20, 5), (1, 40), (120, 1), (1, 1)):
        screen.resize(width, height)
        time.sleep(0.3)  # it must live through it; what fits is not defined
    screen.resize(30, 10)
    screen.shows("too small", "60×15")
    screen.resize(80, 24)
    screen.shows("shards", "produced")
    screen.resize(140, 50)
    screen.shows("shards", "problems", "worker-1")
    screen.type("q")
    screen.is_back()


def test_a_terminal_of_one_column_from_the_start(terminal):
    screen = terminal(120, 40)
    screen.resize(1, 40)
    screen.launch("demo")
    wait_until(lambda: screen.child, 10)
    time.sleep(2)  # there is nothing to see in one column
    screen.resize(120, 40)
    screen.matches(READY, 30)
    screen.type("q")
    screen.is_back()


def test_q_ends_with_a_summary_on_the_normal_screen(demo):
    screen = demo()
    screen.type("q")
    screen.matches(r"shardtop demo: produced \d+, delivered \d+.*", 20)
    assert screen.status == DONE
    assert "╭" not in screen.text
    screen.is_back()


def test_ctrl_c_ends_it_too(demo):
    screen = demo()
    screen.type("C-c")
    screen.is_back()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_restores_the_terminal(demo, number):
    screen = demo()
    os.kill(screen.child, number)
    screen.is_back()
    assert "╭" not in screen.text


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGILL])
def test_a_crash_restores_the_terminal(demo, number):
    """Without Swift's own backtrace, which takes a minute for a debug binary."""
    screen = demo(SWIFT_BACKTRACE="enable=no")
    os.kill(screen.child, number)
    screen.is_back()
    assert "╭" not in screen.text


def test_a_crash_with_a_backtrace_draws_no_more(demo):
    screen = demo()
    os.kill(screen.child, signal.SIGABRT)
    # A release binary has no program by its side that writes backtraces, and is gone at once.
    screen.matches("crashed|Aborted", 60)
    if "crashed" not in screen.text:
        screen.is_back()
        assert "╭" not in screen.text
        return
    time.sleep(2)  # several frames
    assert "╭" not in screen.text and "┃" not in screen.text, screen.text
    # The backtrace's own process reads keys too, and sets the terminal for that: it ends with the program.
    os.killpg(os.getpgid(screen.child), signal.SIGKILL)
    screen.is_back()


def test_ctrl_z_gives_the_shell_back_and_fg_goes_on(demo):
    screen = demo()
    screen.type("C-z")
    screen.shows("Stopped")
    screen.write("echo in-the-$((40 + 2))-shell")
    screen.type("Enter")
    screen.shows("in-the-42-shell")
    screen.write("fg")
    screen.type("Enter")
    screen.matches(r"workers read every shard", 30)
    screen.shows("produced")
    screen.type("q")
    screen.is_back()


def test_a_stop_from_outside_is_survived(demo):
    screen = demo()
    os.kill(screen.child, signal.SIGSTOP)
    screen.shows("Stopped")
    screen.write("fg")
    screen.type("Enter")
    screen.matches(r"workers read every shard", 30)


@pytest.mark.parametrize("arguments, env", [
    (["--no-color"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "vt100"}), (["--ascii"], {}),
    (["--theme", "nord"], {}), (["--theme", "gruvbox-light", "--no-mouse"], {}), ([], {"TERM": "screen"}),
    ([], {"LC_ALL": "C"}),
])
def test_looks(demo, arguments, env):
    screen = demo(100, 30, arguments, **env)
    colours = re.search(r"\x1b\[[0-9;]*[34]8;", screen.styled)
    if "--no-color" in arguments or "NO_COLOR" in env or env.get("TERM") == "vt100":
        assert not colours and not re.search(r"\x1b\[([0-9;]*;)?[34][1-7]m", screen.styled)
    if "--ascii" in arguments:
        assert screen.text.isascii(), [c for c in screen.text if not c.isascii()][:5]
    if "--theme" in arguments:
        assert colours
    screen.type("q")
    screen.is_back()


def test_an_unknown_theme_is_refused_before_the_screen(terminal):
    screen = terminal(120, 40)
    screen.launch("demo", "--theme", "nonsense")
    screen.shows("no theme nonsense", "nord")
    assert screen.status == 2


@pytest.mark.parametrize("name", ["dumb", "no-such-terminal"])
def test_a_terminal_that_cannot_draw_gets_one_line(terminal, name):
    screen = terminal(100, 30)
    screen.write("export TERM=" + name)
    screen.type("Enter")
    screen.launch("demo", "--for", "3s")
    wait_until(lambda: screen.child is None and "shardtop" in screen.text.split("demo --for", 1)[-1], 30,
               lambda: screen.text)
    assert "╭" not in screen.text and "Fatal" not in screen.text
    screen.is_back()


def test_watch_shows_somebody_elses_fleet_and_writes_nothing(bench, terminal):
    emulator = bench.emulator("orders:2")
    worker = bench.consume(emulator.endpoint, "orders")
    worker.wait_for("initialized", 2)
    screen = terminal(140, 40, AWS_ENDPOINT_URL=emulator.endpoint)
    screen.launch("watch", worker.application, "--stream", "orders", "--refresh", "1s")
    screen.shows("READ-ONLY", worker.application, "orders", emulator.endpoint.split("//")[1], "0001", seconds=30)
    screen.shows("LIVE", seconds=40)
    screen.type("e")
    screen.shows("--write")
    assert not worker.seen("leaseLost")
    screen.type("q")
    screen.is_back()


def test_watch_evicts_with_write(bench, terminal):
    emulator = bench.emulator("orders:1")
    worker = bench.consume(emulator.endpoint, "orders")
    worker.wait_for("initialized")
    screen = terminal(140, 40, AWS_ENDPOINT_URL=emulator.endpoint)
    screen.launch("watch", worker.application, "--stream", "orders", "--refresh", "1s", "--write")
    screen.shows("WRITE", "LIVE", seconds=40)
    screen.type("e")
    screen.shows("evict?")
    screen.type("y")
    worker.wait_for("leaseLost")
    screen.type("q")
    screen.is_back()


def test_watch_of_a_table_that_is_not_there_says_so_and_goes_on(bench, terminal):
    emulator = bench.emulator("orders:1")
    screen = terminal(120, 40, AWS_ENDPOINT_URL=emulator.endpoint)
    screen.launch("watch", "shardtop-later", "--stream", "orders", "--refresh", "1s")
    screen.shows("no table shardtop-later")
    worker = bench.consume(emulator.endpoint, "orders", "shardtop-later")
    worker.wait_for("initialized")
    screen.shows("shardtop-later", "0000", "LIVE", seconds=60)
    screen.type("q")
    screen.is_back()


def test_watch_lives_through_an_endpoint_that_goes_away(bench, terminal):
    emulator = bench.emulator("orders:1")
    worker = bench.consume(emulator.endpoint, "orders")
    worker.wait_for("initialized")
    screen = terminal(120, 40, AWS_ENDPOINT_URL=emulator.endpoint)
    screen.launch("watch", worker.application, "--stream", "orders", "--refresh", "1s")
    screen.shows("LIVE", seconds=40)
    emulator.process.send(signal.SIGKILL)
    screen.matches(r"refused|cannot (be )?read|unreachable|not reachable", 40)
    screen.type("q")
    screen.is_back()


def test_demo_scenario_tour_is_taken_over_by_a_key(terminal):
    screen = terminal(120, 40)
    screen.launch("demo", "--scenario", "tour")
    screen.shows("Ownership", seconds=30)
    screen.type("j")
    screen.shows_no("Ownership", seconds=15)
    screen.type("q")
    screen.is_back()
