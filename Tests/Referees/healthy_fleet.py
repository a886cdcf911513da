#!/usr/bin/env python3
"""A fleet that is well, watched: is anything said against it?

    SHARDTOP=… .venv-tests/bin/python Tests/Referees/healthy_fleet.py [--minutes 10] [--leases 1000] [--workers 8]

Workers read a stream of that many shards into which records flow. When each lease has its owner and the leases are
spread evenly, `status --watch` looks at it, with the stream, for as long as told. Prints what it said; the status is 1
where there was any problem, or where a lease was anything but LIVE.
"""

import argparse
import collections
import json
import pathlib
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "EndToEnd"))

import harness  # noqa: E402

STREAM, APPLICATION = "orders", "shardtop-healthy"


def feed(emulator, is_over):
    """Some records a second for each shard, so that no checkpoint stands still."""
    turn = 0
    while not is_over.is_set():
        turn += 1
        emulator.put(STREAM, [f"{turn} {i}" for i in range(500)], keys=100_003)
        is_over.wait(0.5)


def look(bench, emulator, minutes):
    """What was wrong, by its words, with the number of pictures that said so; and the number of pictures."""
    # A heartbeat must be seen before it can be called regular.
    status = bench.start("status", APPLICATION, "--stream", STREAM, "--watch", AWS_ENDPOINT_URL=emulator.endpoint)
    wrong, pictures, end = collections.Counter(), 0, None
    while end is None or time.monotonic() < end:
        time.sleep(1)
        lines = status.lines[pictures:]
        pictures += len(lines)
        for picture in map(json.loads, lines):
            for problem in picture["problems"]:
                wrong[f"{problem['kind']}: {problem['message']}"] += 1
            states = collections.Counter(lease["state"] for lease in picture["leases"])
            if end is None:
                if "LEARNING" in states:
                    continue
                end = time.monotonic() + 60 * minutes
            for state, count in states.items():
                if state != "LIVE":
                    wrong[f"leases {state}"] += count
        if status.process.poll() is not None:
            raise SystemExit(f"status ended: {status.stderr}")
    status.close()
    return wrong, pictures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--leases", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=8)
    options = parser.parse_args()
    is_over = threading.Event()
    with tempfile.TemporaryDirectory() as directory:
        bench = harness.Bench(pathlib.Path(directory))
        try:
            emulator = bench.emulator(f"{STREAM}:{options.leases}", arguments=["--no-limits"])
            for number in range(options.workers):
                bench.consume(
                    emulator.endpoint, STREAM, APPLICATION, processor="count", workerId=f"worker-{number}",
                    failoverTimeMillis=10_000, idleTimeBetweenReadsInMillis=5000,
                    maxLeasesToStealAtOneTime=options.leases, maxRecords=10_000)
            feeding = threading.Thread(target=feed, args=(emulator, is_over), daemon=True)
            feeding.start()

            def spread():
                counts = emulator.owners(APPLICATION)
                share = options.leases // options.workers
                return (sum(counts.values()) == options.leases and len(counts) == options.workers
                        and min(counts.values()) >= share)

            began = time.monotonic()
            harness.wait_until(spread, 300, lambda: emulator.owners(APPLICATION), 1)
            print(f"{options.leases} leases of {options.workers} workers, even after {time.monotonic() - began:.0f} s",
                  flush=True)
            wrong, pictures = look(bench, emulator, options.minutes)
        finally:
            is_over.set()
            bench.close()
    print(f"{pictures} pictures in {options.minutes:g} minutes")
    for words, count in wrong.most_common():
        print(f"{count:6} {words}")
    if not wrong:
        print("nothing was said against it")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
