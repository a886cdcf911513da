#!/usr/bin/env python3
"""Measures our engine against `curl` and against the Java KCL 2.5.8 with a processor that does nothing, on our emulator.

    swift build -c release --static-swift-stdlib --product shardtop
    SHARDTOP=.build/release/shardtop .venv-tests/bin/python Tests/Benchmarks/engine.py \\
        [--shards 1,16,128] [--sizes 100,1024,51200] [--modes POLLING,FANOUT] [--rounds 5] [--megabytes 200]

Each round reads one backlog, by turns: `consume` with `processor = count`, the Java KCL with NoOpConsumer.java (both
checkpoint each batch), and curl, which fetches and discards the same answers of GetRecords one after the other (it is
the measure for fan-out, too: the same bytes). CBOR where a side speaks it. Rates count from the first batch on; CPU is the whole process's from the first batch on, and "start" what it spent before. Java has its default heap.
It needs a JVM with javac. About half an hour as it stands; `--rounds 1 --megabytes 20` tries it out.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

from budgets import cpu, fetch, fetched, fill, memory, middle, ratios
import harness  # budgets put its directory on the path
from java import jars
from ledger import GOLDEN

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Referees"))

from raw import Raw  # noqa: E402

STREAM = "bench"
FLAGS = ("-Daws.cborEnabled=true",)


def put(endpoint, count, size):
    """A backlog of `count` records, spread evenly."""
    raw = Raw(endpoint, encoding="cbor", definite=True)
    batch = min(500, max(1, 4_000_000 // size))
    for start in range(0, count, batch):
        answer = raw.send("PutRecords", {"StreamName": STREAM, "Records": [
            {"Data": b"x" * size, "PartitionKey": "k", "ExplicitHashKey": str(i * GOLDEN % (1 << 128))}
            for i in range(start, min(count, start + batch))]})
        assert answer.status == 200 and not answer.body.get("FailedRecordCount"), answer
    raw.close()


def answers(endpoint, directory):
    """Requests of GetRecords, in files, that together read everything: a configuration of curl's."""
    raw = Raw(endpoint, encoding="cbor", definite=True)
    parts, total, size = [], 0, 0
    for shard in raw.send("ListShards", {"StreamName": STREAM}).body["Shards"]:
        token = raw.send("GetShardIterator", {
            "StreamName": STREAM, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}).body["ShardIterator"]
        while True:
            members = {"ShardIterator": token, "Limit": 10_000}
            answer = raw.send("GetRecords", members)
            if not answer.body["Records"]:
                break
            total += len(answer.body["Records"])
            size += len(answer.raw)
            path = directory / f"request-{len(parts)}"
            path.write_bytes(raw.body(members))
            parts.append(fetch(endpoint, "cbor", f'data-binary = "@{path}"'))
            token = answer.body["NextShardIterator"]
    path = directory / "curl.config"
    path.write_text("next\n".join(parts))
    return path, total, size


def watch(pid, count, total, start_limit=120, limit=300):
    """Follows a consumer from outside: `count()` says how many records it had. Samples of (time, CPU, records)."""
    began = time.monotonic()
    samples = [(began, 0.0, 0)]
    while samples[-1][2] < total:
        now = time.monotonic()
        samples.append((now, cpu(pid), count()))
        assert now - began < (limit if samples[-1][2] else start_limit), f"{samples[-1]} of {total}"
        time.sleep(0.02)
    first = max(i for i, sample in enumerate(samples) if sample[2] == 0)
    (start, spent, _), (end, whole, _) = samples[first], samples[-1]
    return {"seconds": end - start, "cpu": whole - spent, "start cpu": spent, "start": start - began,
            "peak": memory(pid)}


class Counted:
    """Sums a file's numbers as it grows."""

    def __init__(self, path, take):
        self.path, self.take, self.at, self.total, self.rest = path, take, 0, 0, ""

    def __call__(self):
        if not self.path.exists():
            return self.total
        with open(self.path) as file:
            file.seek(self.at)
            text = file.read()
            self.at = file.tell()
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            self.total = self.take(line, self.total)
        return self.total


def our_line(line, total):
    marker = '"records":'
    at = line.find(marker)
    if at < 0 or '"recordsProcessed"' not in line:
        return total
    return total + int(line[at + len(marker):].split(",")[0].rstrip("}"))


def java_line(line, total):
    return int(line.split()[1]) if line.startswith("records ") else total


def ours(bench, emulator, mode, application, total):
    worker = bench.consume(
        emulator.endpoint, STREAM, application, processor="count", idleTimeBetweenReadsInMillis=200, retrievalMode=mode,
        failoverTimeMillis=10_000, metricsLevel="NONE")
    figures = watch(worker.process.process.pid, Counted(worker.path, our_line), total)
    worker.process.kill()
    return figures


def theirs(bench, emulator, mode, application, total, classes):
    running = bench.start_program(
        "java", *FLAGS, "-cp", f"{classes}:{jars()}/*", "NoOpConsumer", emulator.endpoint, STREAM, application, mode)
    figures = watch(running.process.pid, Counted(running.out, java_line), total)
    running.kill()
    return figures


def measure(shards, size, modes, options, classes):
    count = min(1_000_000, max(shards * 4, options.megabytes * 1_000_000 // (size + 100)))
    with tempfile.TemporaryDirectory() as directory:
        bench = harness.Bench(pathlib.Path(directory))
        try:
            emulator = bench.emulator(f"{STREAM}:{shards}", limits=False)
            put(emulator.endpoint, count, size)
            config, total, wire = answers(emulator.endpoint, bench.directory)
            assert total == count, (total, count)
            gigabytes = count * size / 1e9
            for mode in modes:
                sides = {"shardtop": [], "java": [], "curl": []}
                for turn in range(options.rounds):
                    order = list(sides) if turn % 2 == 0 else list(reversed(sides))
                    for side in order:
                        application = f"shardtop-{side}-{mode.lower()}-{turn}"
                        try:
                            if side == "curl":
                                spent, seconds = fetched(config)
                                sides[side].append({
                                    "seconds": seconds, "cpu": spent, "start cpu": 0.0, "start": 0.0, "peak": 0.0})
                                continue
                            fill(emulator, application, shards, owners=0)
                            run = ours if side == "shardtop" else theirs
                            sides[side].append(run(bench, emulator, mode, application, total, *(
                                [classes] if side == "java" else [])))
                        except (AssertionError, OSError) as failure:
                            print(f"# {side} {mode} {shards} × {size}: FAILED {str(failure)[:300]}", flush=True)
                            sides[side].append(None)
                            for running in bench.running[1:]:
                                running.close()
                show(f"{mode}, {shards} shards, {count} records of {size} B ({wire / 1e6:.0f} MB of CBOR)", sides, count,
                     size, gigabytes)
        finally:
            bench.close()


def show(title, sides, count, size, gigabytes):
    print(f"\n{title}\n  {'':10} {'records/s':>26} {'MB/s':>26} {'CPU s/GB':>26} {'start CPU s':>24} {'peak MB':>24}")
    for side, turns in sides.items():
        rounds = [figures for figures in turns if figures]
        if not rounds:
            continue
        columns = [
            [count / r["seconds"] for r in rounds], [count * size / 1e6 / r["seconds"] for r in rounds],
            [r["cpu"] / gigabytes for r in rounds], [r["start cpu"] for r in rounds], [r["peak"] for r in rounds]]
        print(f"  {side:10} " + " ".join(middle(column) for column in columns), flush=True)
    for other in ("java", "curl"):
        if found := ratios(sides["shardtop"], sides[other], "cpu"):
            print(f"  CPU of shardtop / {other}: {middle(found)}", flush=True)


def numbers(text):
    return [int(part) for part in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shards", type=numbers, default=[1, 16, 128])
    parser.add_argument("--sizes", type=numbers, default=[100, 1024, 51_200])
    parser.add_argument("--modes", type=lambda text: text.split(","), default=["POLLING", "FANOUT"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=200, help="of data and overhead in a backlog")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as classes:
        subprocess.run(
            ["javac", "-d", classes, "-cp", f"{jars()}/*", str(pathlib.Path(__file__).parent / "NoOpConsumer.java")],
            check=True, timeout=120)
        for shards in options.shards:
            for size in options.sizes:
                measure(shards, size, options.modes, options, classes)


if __name__ == "__main__":
    main()
