#!/usr/bin/env python3
"""Measures a release build against the design's budgets, on this machine, against its own emulator on loopback.

    swift build -c release --static-swift-stdlib --product shardtop
    SHARDTOP=.build/release/shardtop .venv-tests/bin/python Tests/Benchmarks/budgets.py [NAME…]

NAME is any of first_frame, idle, demo, failover, engine, large, hour; all by default.
Each figure is the median of several runs, with the smallest and the largest; CPU is user and system time of the
process.
"""

import argparse
import fcntl
import os
import pathlib
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "EndToEnd"))

import harness  # noqa: E402
from ledger import AUTHORIZATION  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    """CPU seconds of a process so far."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid, name="VmHWM"):
    """Megabytes: the largest resident size, or another line of its status."""
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    return 0


def say(what, values, unit, budget):
    values = sorted(values)
    print(f"{what:60} {statistics.median(values):9.2f} {unit:8} ({values[0]:.2f}–{values[-1]:.2f})   budget {budget}",
          flush=True)


def middle(values):
    values = sorted(values)
    return f"{statistics.median(values):10.2f} ({values[0]:.2f}–{values[-1]:.2f})"


def ratios(ones, others, name):
    """Of each turn in which both sides have figures; a side has None where it failed."""
    return [one[name] / other[name] for one, other in zip(ones, others) if one and other and other[name]]


def fetch(endpoint, encoding, data):
    """A GetRecords in a configuration of curl's; `data` is the line for its body."""
    return (f'url = "{endpoint}"\nsilent\noutput = "/dev/null"\nheader = "Authorization: {AUTHORIZATION}"\n'
            'header = "X-Amz-Target: Kinesis_20131202.GetRecords"\n'
            f'header = "Content-Type: application/x-amz-{encoding}-1.1"\n{data}\n')


def fetched(config):
    """CPU seconds of curl with a configuration of many requests, and how long it took."""
    before, began = os.times(), time.monotonic()
    subprocess.run(["curl", "-K", str(config)], check=True, capture_output=True)
    after, end = os.times(), time.monotonic()
    return after.children_user + after.children_system - before.children_user - before.children_system, end - began


class Drawn:
    """A command on a line of its own, read to the end all the time."""

    def __init__(self, bench, *arguments, width=120, height=40, **env):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [str(harness.BINARY), *map(str, arguments)], stdin=slave, stdout=slave, stderr=subprocess.DEVNULL,
            env=harness.environment(bench.directory, **env), cwd=bench.directory, start_new_session=True)
        os.close(slave)
        self.bytes = 0
        self.text = b""

    def read(self, seconds, until=None):
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                try:
                    data = os.read(self.master, 65536)
                except OSError:  # it ended
                    return None
                self.bytes += len(data)
                self.text = (self.text + data)[-200_000:]
                if until and until in self.text:
                    return time.monotonic() - self.began
        return None

    def close(self):
        self.process.terminate()
        self.read(0.5)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


def first_frame(bench):
    times = []
    for _ in range(9):
        drawn = Drawn(bench, "demo", "--seed", 7)
        times.append(1000 * drawn.read(10, b"shards"))
        drawn.close()
    say("first frame of the demo", times, "ms", "100 ms")


def idle(bench):
    """A fleet in which nothing happens: rows that nobody renews."""
    emulator = bench.emulator("orders:4")
    fill(emulator, "quiet", 4)
    drawn = Drawn(bench, "watch", "quiet", "--stream", "orders", AWS_ENDPOINT_URL=emulator.endpoint)
    drawn.read(40)
    shares, sizes = [], []
    for _ in range(3):
        before, size, start = cpu(drawn.process.pid), drawn.bytes, time.monotonic()
        drawn.read(10)
        shares.append(100 * (cpu(drawn.process.pid) - before) / (time.monotonic() - start))
        sizes.append((drawn.bytes - size) / 10)
    drawn.close()
    say("watch, nothing changes: CPU", shares, "% core", "1 %")
    say("watch, nothing changes: written (clock and ages)", sizes, "B/s", "0 but for the clock")


def demo(bench):
    drawn = Drawn(bench, "demo", "--seed", 7)
    drawn.read(10)
    shares = []
    for _ in range(3):
        before, start = cpu(drawn.process.pid), time.monotonic()
        drawn.read(10)
        shares.append(100 * (cpu(drawn.process.pid) - before) / (time.monotonic() - start))
    say("demo, 3 workers, 4 shards, 200 records/s: CPU of all", shares, "% core", "–")
    say("demo: memory", [memory(drawn.process.pid)], "MB", "–")
    drawn.close()


def fill(emulator, table, count, owners=50):
    """A lease table with a row for each shard; with no `owners` the leases are free."""
    emulator.create_table(table)
    renew(emulator, table, count, owners, 7)


def renew(emulator, table, count, owners, counter):
    """Writes each row with that counter, and a checkpoint by it."""
    space = 1 << 128
    for start in range(0, count, 25):
        emulator.dynamodb.batch_write_item(RequestItems={table: [
            {"PutRequest": {"Item": {
                "leaseKey": {"S": f"shardId-{i:012d}"},
                **({"leaseOwner": {"S": f"worker-{i % owners}"}} if owners else {}),
                "leaseCounter": {"N": str(counter)},
                "checkpoint": {"S": "TRIM_HORIZON" if counter == 7 else str((49 << 180) + counter)},
                "checkpointSubSequenceNumber": {"N": "0"}, "ownerSwitchesSinceCheckpoint": {"N": "0"},
                "startingHashKey": {"S": str(space * i // count)},
                "endingHashKey": {"S": str(space * (i + 1) // count - 1)}}}}
            for i in range(start, min(count, start + 25))]})


def answers(drawn, keys):
    """Milliseconds from each key to the first byte of the picture that it makes."""
    times = []
    for key in keys:
        drawn.read(0.15)  # what was under way is drawn
        size, start = drawn.bytes, time.monotonic()
        os.write(drawn.master, key)
        while drawn.bytes == size and time.monotonic() < start + 5:
            drawn.read(0.001)
        times.append(1000 * (time.monotonic() - start))
    return times


def large(bench):
    """10 000 leases of 200 workers, each renewed every second or two by somebody else."""
    emulator = bench.emulator(limits=False)
    fill(emulator, "large", 10_000, 200)
    ended = threading.Event()

    def live():
        counter = 8
        while not ended.is_set():
            renew(emulator, "large", 10_000, 200, counter)
            counter += 1

    fleet = threading.Thread(target=live)
    fleet.start()
    try:
        drawn = Drawn(bench, "watch", "large", "--refresh", "5s", AWS_ENDPOINT_URL=emulator.endpoint)
        drawn.read(20)
        costs, written = [], []
        for _ in range(4):
            before, size = cpu(drawn.process.pid), drawn.bytes
            drawn.read(10)
            costs.append(1000 * (cpu(drawn.process.pid) - before) / 2)
            written.append((drawn.bytes - size) / 10)
        say("10 000 leases: CPU of a refresh and all frames after it", costs, "ms", "50 ms")
        say("10 000 leases: written to the terminal", written, "B/s", "–")
        pressed = answers(drawn, [b"j", b"k", b"G", b"g"] * 30)
        say("10 000 leases: from a key to its picture", pressed, "ms", "33 ms")
        say("10 000 leases: memory", [memory(drawn.process.pid)], "MB", "150 MB")
        drawn.close()
    finally:
        ended.set()
        fleet.join()


def hour(bench):
    """What an hour of 10 000 leases brings that are renewed every 10 s, as fast as it can be written: 360 renewals of
    each, seen by reads of all. Then the past is walked through."""
    emulator = bench.emulator(limits=False)
    fill(emulator, "hour", 10_000, 200)
    drawn = Drawn(bench, "watch", "hour", "--refresh", "1s", AWS_ENDPOINT_URL=emulator.endpoint)
    drawn.read(10)
    start, before = time.monotonic(), cpu(drawn.process.pid)
    for counter in range(8, 368):
        renew(emulator, "hour", 10_000, 200, counter)
        drawn.read(0.01)
    share = 100 * (cpu(drawn.process.pid) - before) / (time.monotonic() - start)
    say(f"an hour of 10 000 leases, in {time.monotonic() - start:.0f} s: CPU", [share], "% core", "–")
    say("an hour of 10 000 leases: memory", [memory(drawn.process.pid)], "MB", "150 MB")
    walked = answers(drawn, [b"["] * 40 + [b"]"] * 20)
    say("a step in the past of 10 000 leases", walked, "ms", "–")
    say("after it: memory", [memory(drawn.process.pid)], "MB", "150 MB")
    drawn.close()


def failover(bench):
    for seconds in (3, 10):
        dead, handed, ends = [], [], []
        for _ in range(3 if seconds == 3 else 2):
            emulator = bench.emulator("orders:4")
            name = f"shardtop-failover-{len(bench.running)}"
            options = dict(processor="count", failoverTimeMillis=seconds * 1000)
            one = bench.consume(emulator.endpoint, "orders", name, **options)
            one.wait_for("initialized", 4)
            two = bench.consume(emulator.endpoint, "orders", name, **options)
            two.wait_for("initialized", 2, 120)
            start = time.monotonic()
            one.process.send(signal.SIGKILL)
            two.wait_for("initialized", 4, 120)
            dead.append(time.monotonic() - start)
            three = bench.consume(emulator.endpoint, "orders", name, **options)
            three.wait_for("initialized", 2, 120)
            start = time.monotonic()
            two.process.send(signal.SIGTERM)
            two.process.ended()
            ends.append(time.monotonic() - start)
            three.wait_for("initialized", 4, 120)
            handed.append(time.monotonic() - start)
            three.stop()
        say(f"failover {seconds} s: killed, to all leases running elsewhere", dead, "s", f"{1.2 * seconds + 2:.1f} s")
        say(f"failover {seconds} s: SIGTERM to exit", ends, "s", "2 s")
        say(f"failover {seconds} s: SIGTERM to all leases running elsewhere", handed, "s", "2 s")


def engine(bench):
    """CPU of the engine against libcurl's command line for the same answers, by turns."""
    emulator = bench.emulator("big:1", limits=False)
    body = b"x" * 1000
    for _ in range(400):
        emulator.kinesis.put_records(
            StreamName="big", Records=[{"Data": body, "PartitionKey": "k"} for _ in range(500)])
    iterator = emulator.kinesis.get_shard_iterator(
        StreamName="big", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    iterators, total = [], 0
    while True:
        answer = emulator.kinesis.get_records(ShardIterator=iterator, Limit=10_000)
        if not answer["Records"]:
            break
        iterators.append(iterator)
        total += len(answer["Records"])
        iterator = answer["NextShardIterator"]
    config = bench.directory / "curl.config"
    config.write_text("next\n".join(
        fetch(emulator.endpoint, "json", f'data = "{{\\"ShardIterator\\":\\"{i}\\",\\"Limit\\":10000}}"')
        for i in iterators))
    ours, theirs, peaks = [], [], []
    for turn in range(5):
        curl, _ = fetched(config)
        worker = bench.consume(
            emulator.endpoint, "big", f"shardtop-engine-{turn}", processor="count", idleTimeBetweenReadsInMillis=200)
        pid = worker.process.process.pid
        harness.wait_until(
            lambda: sum(e["records"] for e in worker.seen("recordsProcessed")) >= total, 120, "all records", 0.02)
        spent = cpu(pid)
        peaks.append(memory(pid))
        worker.stop()
        ours.append(spent)
        theirs.append(curl)
    say(f"engine: CPU for {total} records of 1 kB, start included", ours, "s", "–")
    say("curl command line: CPU for the same answers", theirs, "s", "–")
    say("ratio", [own / curl for own, curl in zip(ours, theirs)], "×", "2 ×")
    say("engine: memory", peaks, "MB", "bounded")


ALL = [first_frame, idle, demo, failover, engine, large, hour]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    wanted = parser.parse_args().names
    if unknown := set(wanted) - {measure.__name__ for measure in ALL}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    for measure in ALL:
        if wanted and measure.__name__ not in wanted:
            continue
        with tempfile.TemporaryDirectory() as directory:
            bench = harness.Bench(pathlib.Path(directory))
            try:
                measure(bench)
            finally:
                bench.close()


if __name__ == "__main__":
    main()
