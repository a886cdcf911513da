#!/usr/bin/env python3
"""Measures `shardtop consume` against the Java MultiLangDaemon 2.5.8: one .properties file, one child, one emulator.

    swift build -c release --static-swift-stdlib --product shardtop
    SHARDTOP=.build/release/shardtop .venv-tests/bin/python Tests/Benchmarks/multilang.py [NAME…] [--rounds 2] …

NAME is any of kclpy, raw, start, stop, heap, poll; all but the last two by default. Both run by turns; figures
are medians (smallest–largest), ratios the median of each round's. It needs a JVM; about ten minutes.

The Java daemon is as published: HTTP/2 with prior knowledge, and CBOR.

raw and heap use the JVM's default heap: in 256 MB the Java daemon ran out of memory on a backlog of 8 shards.
"""

import argparse
import base64
import collections
import contextlib
import functools
import http.client
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import amazon_kclpy

from budgets import cpu, fill, memory, middle, ratios
import harness  # budgets put its directory on the path
from ledger import AUTHORIZATION

HERE = pathlib.Path(__file__).resolve().parent
JARS = pathlib.Path(amazon_kclpy.__file__).parent / "jars"
STREAM = "bench"


class Daemon:
    """One of the two, running, and the marks of its children."""

    def __init__(self, bench, side, emulator, application, child, options, **properties):
        number = len(bench.running)
        values = dict(
            executableName=f"{sys.executable} {HERE / 'child.py'} {child}", streamName=STREAM,
            applicationName=application, AWSCredentialsProvider="DefaultAWSCredentialsProviderChain",
            initialPositionInStream="TRIM_HORIZON", regionName=harness.REGION, kinesisEndpoint=emulator.endpoint,
            dynamoDBEndpoint=emulator.endpoint, retrievalMode="POLLING", metricsLevel="NONE",
            failoverTimeMillis=10_000, shardSyncIntervalMillis=1000, shutdownGraceMillis=10_000,
            idleTimeBetweenReadsInMillis=options.idle)
        values.update(properties)
        path = harness.write_properties(bench.directory / f"daemon-{number}.properties", values)
        self.marks_directory = bench.directory / f"marks-{number}"
        self.marks_directory.mkdir()
        if side == "java":
            command = ["java", *options.java, "-cp", options.class_path,
                       "software.amazon.kinesis.multilang.MultiLangDaemon", "--properties-file", path]
        else:
            command = [harness.BINARY, "consume", path, "--headless"]
        self.began = time.monotonic()
        self.running = bench.start_program(*command, BENCH_MARKS=self.marks_directory)
        self.pid = self.running.process.pid
        self.samples = []
        self.emulator = emulator

    def marks(self, kind):
        """(pid, fields) of each whole line of that kind."""
        found = []
        for path in self.marks_directory.iterdir():
            for line in path.read_text().split("\n")[:-1]:
                name, *fields = line.split(" ")
                if name == kind:
                    found.append((int(path.name), fields))
        return found

    def shards(self):
        return {fields[0] for _, fields in self.marks("initialize")}

    def first(self):
        """When the first record was with a child."""
        return min((float(fields[1]) for _, fields in self.marks("batch")), default=None)

    def delivered(self):
        return sum(int(fields[0]) for _, fields in self.marks("batch"))

    def wait(self, condition, seconds, every=0.05):
        """Takes samples of CPU all the while."""
        def sampled():
            assert self.running.process.poll() is None, f"it ended: {self.last_words()}"
            self.samples.append((time.monotonic(), cpu(self.pid), cpu(self.emulator.process.process.pid)))
            return condition()

        return harness.wait_until(sampled, seconds, self.last_words, every)

    def last_words(self):
        lines = (self.running.stdout + self.running.stderr).splitlines()
        told = [line for line in lines if "OutOfMemory" in line][:2] or lines[-5:]
        return f"{len(self.shards())} shards, {self.delivered()} records; " + " / ".join(line[:300] for line in told)

    def spent(self, start, end):
        """CPU seconds of the daemon and of the emulator between two moments."""
        at = [min(self.samples, key=lambda s: abs(s[0] - moment)) for moment in (start, end)]
        return at[1][1] - at[0][1], at[1][2] - at[0][2]

    def kill(self):
        """At once, and waits until its children noticed."""
        children = [int(path.name) for path in self.marks_directory.iterdir()]
        self.running.kill()
        harness.wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children), 20, "children's end")


@functools.cache
def requests(shards):
    """Bodies of PutRecords, which together spread records of 100 bytes evenly over up to 64 shards."""
    data, space = base64.b64encode(b"The quick brown fox " * 5).decode(), 1 << 128
    keys = [str(space * (2 * i + 1) // (2 * shards)) for i in range(shards)]
    return [json.dumps({"StreamName": STREAM, "Records": [
        {"Data": data, "PartitionKey": f"key-{i}", "ExplicitHashKey": keys[i % shards]}
        for i in range(start, start + 500)]}) for start in range(0, 16 * 500, 500)]


def put(endpoint, count, shards):
    """As fast as one connection can, 500 at a time; returns when it began."""
    bodies = requests(shards)
    headers = {
        "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202.PutRecords",
        "Authorization": AUTHORIZATION}
    connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=60)
    began = time.monotonic()
    for index in range(0, count, 500):
        connection.request("POST", "/", bodies[index // 500 % len(bodies)], headers)
        response = connection.getresponse()
        answer = response.read()
        assert response.status == 200 and b"ErrorCode" not in answer, answer[:300]
    return began


@contextlib.contextmanager
def fresh(shards):
    """An emulator with an empty stream, and a directory for processes that end with it."""
    with tempfile.TemporaryDirectory() as directory:
        bench = harness.Bench(pathlib.Path(directory))
        try:
            yield bench, bench.emulator(f"{STREAM}:{shards}", limits=False)
        finally:
            bench.close()


def throughput(side, shards, child, options):
    """Live: all children run before the first put. A backlog is there before the start, and its time counts from the
    first child's initialize."""
    with fresh(shards) as (bench, emulator):
        if child == "raw":
            put(emulator.endpoint, options.records, shards)
        fill(emulator, "bench-app", shards, owners=0)  # Java's random wait on an empty table is measured by itself
        daemon = Daemon(bench, side, emulator, "bench-app", child, options)
        daemon.wait(lambda: len(daemon.shards()) == shards, 150)
        if child == "raw":
            start = min(float(fields[1]) for _, fields in daemon.marks("initialize"))
        else:
            time.sleep(1.5)
            daemon.wait(lambda: True, 1)
            start = put(emulator.endpoint, options.records, shards)
        daemon.wait(lambda: daemon.delivered() >= options.records, 150)
        batches = daemon.marks("batch")
        end = max(float(fields[2]) for _, fields in batches)
        last = {pid: float(fields[3]) for pid, fields in sorted(batches, key=lambda batch: float(batch[1][2]))}
        children = sum(last[pid] - float(fields[2]) for pid, fields in daemon.marks("initialize") if pid in last)
        own, emulators = daemon.spent(start, end)
        millions = options.records / 1e6
        figures = {
            "end to end": options.records / (end - start),
            "CPU of the daemon": own / millions, "CPU of daemon and children": (own + children) / millions,
            "CPU of the daemon until then": daemon.spent(0, start)[0] + daemon.samples[0][1],
            "peak memory": memory(daemon.pid), "batches": len(batches),
            "CPU of the emulator": emulators / millions,
        }
        daemon.kill()
        return figures


THROUGHPUT = {
    "end to end": "rec/s", "CPU of the daemon": "s/M", "CPU of daemon and children": "s/M",
    "CPU of the daemon until then": "s", "peak memory": "MB", "batches": "", "CPU of the emulator": "s/M"}


def start(side, is_empty, options):
    with fresh(8) as (bench, emulator):
        put(emulator.endpoint, 500, 8)
        if not is_empty:
            fill(emulator, "bench-app", 8, owners=0)
        daemon = Daemon(bench, side, emulator, "bench-app", "kclpy", options)
        first = daemon.wait(daemon.first, 150, 0.01)
        daemon.wait(lambda: daemon.delivered() >= 500, 60)
        last = max(float(fields[1]) for _, fields in daemon.marks("batch"))
        daemon.kill()
        return {"first record": first - daemon.began, "a record of each shard": last - daemon.began}


def stop(side, options):
    """Two workers; SIGTERM to the first, until the second one's children run all of its shards."""
    with fresh(8) as (bench, emulator):
        fill(emulator, "bench-app", 8, owners=0)
        begin = functools.partial(
            Daemon, bench, side, emulator, "bench-app", "kclpy", options, failoverTimeMillis=2000)
        one = begin()
        one.wait(lambda: len(one.shards()) == 8, 150)
        two = begin()
        # Both hold leases, and neither has moved any for a while.
        calm = collections.deque(maxlen=30)

        def settled():
            calm.append(len(two.shards()))
            return len(calm) == 30 and calm[0] == calm[-1] == 4

        two.wait(settled, 60, 0.1)
        began, ends = time.monotonic(), []

        def both():
            if not ends and one.running.process.poll() is not None:
                ends.append(time.monotonic() - began)
            return ends and len(two.shards()) == 8

        one.running.send(signal.SIGTERM)
        two.wait(both, 60, 0.01)
        elsewhere = max(float(fields[1]) for _, fields in two.marks("initialize")) - began
        one.kill()
        two.kill()
        return {"all leases elsewhere": elsewhere, "its exit": ends[0]}


def pairs(title, units, options, run):
    """Runs both by turns, and prints the figures."""
    sides = {"shardtop": [], "java": []}
    for turn in range(options.rounds):
        for side in ("shardtop", "java") if turn % 2 == 0 else ("java", "shardtop"):
            try:
                figures = run(side)
            except (AssertionError, subprocess.TimeoutExpired) as failure:
                print(f"# {title}: {side} FAILED: {str(failure)[:1500]}", flush=True)
                figures = None
            sides[side].append(figures)
            shown = figures and {name: round(value, 2) for name, value in figures.items()}
            print(f"# {title}, round {turn + 1}, {side}, load {os.getloadavg()[0]:.1f}: {shown}",
                  file=sys.stderr, flush=True)
    print(f"\n{title}")
    for name, unit in units.items():
        columns = []
        for side in sides.values():
            values = [figures[name] for figures in side if figures]
            columns.append(middle(values) if values else "–")
        found = ratios(*sides.values(), name)
        ratio = f"{statistics.median(found):8.3f}" if found else "–"
        print(f"  {name:32} {unit:6} {columns[0]:34} {columns[1]:34} {ratio}", flush=True)


def measure(name, options):
    unbounded = [flag for flag in options.java if not flag.startswith("-Xmx")]
    if name in ("kclpy", "raw"):
        changed = options if name == "kclpy" else argparse.Namespace(**{**vars(options), "java": unbounded})
        what = {"kclpy": "kclpy child, records put while all children run",
                "raw": "child that parses nothing, backlog, the JVM's default heap"}[name]
        for shards in options.shards:
            pairs(f"{what}: {shards} shards, {options.records} records of 100 B", THROUGHPUT, options,
                  lambda side: throughput(side, shards, name, changed))
    elif name == "start":
        for is_empty in (False, True):
            pairs(f"start, 8 shards, {'no table yet' if is_empty else 'a table with free leases'}: time to",
                  {"first record": "s", "a record of each shard": "s"}, options,
                  lambda side: start(side, is_empty, options))
    elif name == "stop":
        pairs("SIGTERM to one of two workers, 4 of 8 leases, failoverTimeMillis=2000 (Java does not release leases)",
              {"all leases elsewhere": "s", "its exit": "s"}, options, lambda side: stop(side, options))
    elif name == "heap":
        changed = argparse.Namespace(**{**vars(options), "rounds": 1, "java": unbounded})
        pairs("kclpy child, 8 shards, the JVM's default heap", THROUGHPUT, changed,
              lambda side: throughput(side, 8, "kclpy", changed))
    elif name == "poll":
        changed = argparse.Namespace(**{**vars(options), "rounds": 1, "idle": 1000})
        pairs("kclpy child, 1 shard, idleTimeBetweenReadsInMillis=1000", THROUGHPUT, changed,
              lambda side: throughput(side, 1, "kclpy", changed))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", default=["kclpy", "raw", "start", "stop"], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--shards", type=lambda text: [int(n) for n in text.split(",")], default=[1, 8, 64])
    parser.add_argument("--records", type=int, default=300_000)
    parser.add_argument("--idle", type=int, default=200, help="idleTimeBetweenReadsInMillis of both")
    parser.add_argument("--heap", default="256m", help="-Xmx of the JVM, or default")
    options = parser.parse_args()
    if unknown := set(options.names) - {"kclpy", "raw", "start", "stop", "heap", "poll"}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    options.class_path = f"{JARS}/*"
    options.java = [] if options.heap == "default" else [f"-Xmx{options.heap}"]
    version = subprocess.run([harness.BINARY, "--version"], capture_output=True, text=True).stdout.strip()
    jvm = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr.split("\n")[0]
    print(f"{harness.BINARY} {version}, {harness.BINARY.stat().st_size >> 20} MB; {jvm}, {' '.join(options.java)}, "
          "MultiLangDaemon 2.5.8 as published\n"
          f"{os.cpu_count()} cores, load {' '.join(f'{n:.1f}' for n in os.getloadavg())}; "
          f"idleTimeBetweenReadsInMillis={options.idle}\n"
          f"columns: shardtop, java, shardtop/java; median (smallest–largest) of {options.rounds} rounds",
          flush=True)
    for name in options.names:
        measure(name, options)
    print(f"\nload at the end {' '.join(f'{n:.1f}' for n in os.getloadavg())}")


if __name__ == "__main__":
    main()
