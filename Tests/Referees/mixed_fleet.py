#!/usr/bin/env python3
"""Java and Swift workers on one lease table, under disturbances from a seed: who loses, doubles or starves a record?

    SHARDTOP=… .venv-tests/bin/python Tests/Referees/mixed_fleet.py [--minutes 10] [--seed 1] [--failover 10000]

Two Java daemons and two `shardtop consume` read 16 shards while records flow and workers are killed, join, leave and
pause, leases are evicted (from the command line and from the dashboard) and shards split and merge. Prints a report;
the status is 1 where a record is missing, out of order or before its parent's end, a row cannot be read, Java logged an
error, or the leases were not balanced within one in time.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "EndToEnd"))

import harness  # noqa: E402
import ledger as ledgers  # noqa: E402
from java import Daemon  # noqa: E402
from multilang import tallying  # noqa: E402

STREAM, APPLICATION = "words", "mixed"
# Seconds by which this program, which looks twice a second, and a busy machine may be late; little beside 20 s periods.
GRAIN = 2


class Member:
    """A worker of the fleet, of either kind, which may be started again under its id."""

    def __init__(self, fleet, kind, name):
        self.fleet, self.kind, self.name = fleet, kind, name
        self.daemons = []
        self.ends = []  # (moment, "killed" or "stopped")
        self.start()

    def start(self):
        options = self.fleet.options
        values = dict(failoverTimeMillis=options.failover, retrievalMode=self.fleet.retrieval(),
                      idleTimeBetweenReadsInMillis=500)
        if self.kind == "java":
            self.daemons.append(Daemon(
                self.fleet.bench, self.fleet.emulator, STREAM, self.fleet.ledger, application=APPLICATION,
                workerId=self.name, cbor=self.fleet.random.random() < 0.5, **values))
            self.running = self.daemons[-1].process
        else:
            self.running = tallying(
                self.fleet.bench, self.fleet.emulator, self.fleet.ledger, self.name, application=APPLICATION,
                streamName=STREAM, shutdownGraceMillis=10_000, parentShardPollIntervalMillis=None, **values).process
        self.began = time.monotonic()

    @property
    def lives(self):
        return self.running.process.poll() is None

    def end(self, how):
        self.ends.append((time.monotonic(), how))
        if how == "killed":
            self.running.process.kill()
        else:
            self.running.process.terminate()


class Fleet:
    def __init__(self, bench, options):
        self.bench, self.options = bench, options
        self.random = random.Random(options.seed)
        self.emulator = bench.emulator(f"{STREAM}:{options.shards}", limits=False)
        self.ledger = ledgers.Ledger(bench.directory / "ledger")
        self.producer = ledgers.Producer(self.emulator.endpoint, STREAM)
        self.began = time.monotonic()
        self.members = {}
        self.disturbed = self.began
        self.traffic = threading.Event()
        self.screen = None
        self.counts = collections.Counter()
        self.faults = []

    def retrieval(self):
        return self.random.choice(self.options.retrieval.split(","))

    def say(self, text):
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    # MARK: disturbances

    def add(self, kind):
        name = f"{kind}-{len(self.members)}"
        self.members[name] = Member(self, kind, name)
        self.say(f"{name} joins")

    def alive(self):
        return [member for member in self.members.values() if member.lives]

    def disturb(self):
        living = self.alive()
        choices = ["split", "merge", "evict", "dashboard"]
        if len(living) > 2:
            choices += ["kill", "kill", "leave", "pause"]
        if len(living) < 6:
            choices += ["join"]
        what = self.random.choice(choices)
        self.counts[what] += 1
        getattr(self, what)()
        self.disturbed = time.monotonic()

    def kill(self):
        victim = self.random.choice(self.alive())
        victim.end("killed")
        again = self.random.random() < 0.6
        self.say(f"{victim.name} is killed" + (", and starts again under its name" if again else ""))
        if again:
            time.sleep(self.random.choice([0, 1, 5]))
            victim.running.process.wait(10)
            victim.start()

    def pause(self):
        """A zombie: stopped for longer than its leases live, then on again."""
        victim = self.random.choice(self.alive())
        length = self.random.choice([0.7, 1.5, 3]) * self.options.failover / 1000
        self.say(f"{victim.name} is paused for {length:.1f} s")
        victim.running.send(signal.SIGSTOP)
        time.sleep(length)
        victim.running.send(signal.SIGCONT)

    def leave(self):
        leaver = self.random.choice(self.alive())
        leaver.end("stopped")
        self.say(f"{leaver.name} gets SIGTERM")

    def join(self):
        living = collections.Counter(member.kind for member in self.alive())
        self.add("java" if living["java"] < living["swift"] else
                 "swift" if living["swift"] < living["java"] else self.random.choice(["java", "swift"]))

    def split(self):
        shards = ledgers.open_shards(self.emulator, STREAM)
        if len(shards) < self.options.shards * 3 // 2:
            self.say(f"split of {ledgers.split(self.emulator, STREAM, self.random.choice(shards))}")

    def merge(self):
        shards = ledgers.open_shards(self.emulator, STREAM)
        if len(shards) > 8:
            index = self.random.randrange(len(shards) - 1)
            both = ledgers.merge(self.emulator, STREAM, shards[index:index + 2])
            self.say(f"merge of {' and '.join(both)}")

    def owned(self):
        rows = self.emulator.leases(APPLICATION).values()
        return sorted(r["leaseKey"] for r in rows if r.get("leaseOwner") and r["checkpoint"] != "SHARD_END")

    def has_ended(self, keys):
        rows = self.emulator.leases(APPLICATION)
        return any(key not in rows or rows[key]["checkpoint"] == "SHARD_END" for key in keys)

    def evict(self):
        held = self.owned()
        chosen = self.random.sample(held, min(len(held), self.random.choice([1, 1, 2])))
        if not chosen:
            return
        ended = self.bench.run("lease", "evict", APPLICATION, *chosen, "--stream", STREAM, "--write", "--yes",
                               AWS_ENDPOINT_URL=self.emulator.endpoint)
        self.say(f"evict {' '.join(chosen)}: {ended.returncode}")
        # Who reads a shard to its end in between is faster than we are.
        allowed = {harness.DONE, harness.INTENT_GONE} | ({harness.REFUSED} if self.has_ended(chosen) else set())
        if ended.returncode not in allowed:
            self.faults.append(f"lease evict ended with {ended.returncode}: {ended.stderr[-300:]}")

    def dashboard(self):
        """The same from a screen: a command, and yes."""
        held = self.owned()
        if not held:
            return
        shard = self.random.choice(held)
        if self.screen is None:
            self.screen = harness.Screen(self.bench.directory, 140, 40, AWS_ENDPOINT_URL=self.emulator.endpoint)
            self.screen.launch("watch", APPLICATION, "--stream", STREAM, "--refresh", "1s", "--write")
            self.screen.shows("WRITE", "LIVE", seconds=30)
        self.screen.type(":")
        self.screen.write(f"evict {shard}")
        self.screen.type("Enter")
        try:
            self.screen.shows("evict?", seconds=5)
            self.screen.type("y")
            self.say(f"the dashboard evicts {shard}")
        except AssertionError:
            self.say(f"the dashboard does not evict {shard}")
        self.screen.type("Escape")

    # MARK: the run

    def flow(self):
        """Records, some at a time, until the traffic ends."""
        try:
            while not self.traffic.is_set():
                self.producer.put(25)
                self.traffic.wait(0.25)
        except Exception as failure:  # noqa: BLE001
            self.faults.append(f"the producer ended: {failure!r}")

    def begin(self):
        for kind in ("swift", "java", "swift", "java"):
            self.add(kind)
        flow = threading.Thread(target=self.flow)
        flow.start()
        try:
            harness.wait_until(
                lambda: {m.name for m in self.members.values()} <= set(self.emulator.owners(APPLICATION)), 90,
                lambda: f"all own something: {self.emulator.owners(APPLICATION)}\n{self.told()}", 0.5)
            self.say(f"all at work: {dict(self.emulator.owners(APPLICATION))}")
            end = time.monotonic() + 60 * self.options.minutes
            while time.monotonic() < end:
                self.disturb()
                self.check_lives()
                time.sleep(self.random.uniform(0.3, 1.2) * self.options.failover / 1000)
            self.settle()
        finally:
            self.traffic.set()
            flow.join()

    def check_lives(self):
        for member in self.members.values():
            last = member.ends[-1][0] if member.ends else 0
            if not member.lives and last < member.began:
                self.faults.append(f"{member.name} ended by itself: {member.running.stderr[-800:]}")
                member.ends.append((time.monotonic(), "by itself"))

    def settle(self):
        """No more disturbances: two of each kind at least; then the time to balance."""
        for kind in ("java", "swift"):
            while sum(member.kind == kind for member in self.alive()) < 2:
                self.add(kind)
                self.disturbed = time.monotonic()
        for member in self.members.values():  # those asked to end shall have ended
            if member.ends and member.ends[-1][0] > member.began:
                member.running.ended(30)
        names = {member.name for member in self.alive()}
        # A JVM needs its time to begin; the clock runs from when each has looked at the table.
        harness.wait_until(lambda: names <= set(self.emulator.owners(APPLICATION)), 90,
                           lambda: f"all own something: {self.emulator.owners(APPLICATION)}", 0.5)
        start = max(self.disturbed, min(time.monotonic(), max(m.began for m in self.alive()) + 20))
        period = 2 * (self.options.failover + 25) / 1000
        leases = self.emulator.leases(APPLICATION)
        owners = harness.owners(leases)
        target = -(-len(leases) // len(names))
        deficit = max(max(0, target - owners[m.name]) for m in self.alive() if m.kind == "java")
        bound = (deficit + 2) * period
        balanced = None
        # Balance must be reached within the bound, and stay; we look for one more period.
        while time.monotonic() < start + bound + period:
            leases = self.emulator.leases(APPLICATION)
            owners = harness.owners(leases)
            counts = [owners[name] for name in names]
            fair = set(owners) <= names and max(counts) - min(counts) <= 1 and sum(counts) == len(leases)
            if not fair:
                balanced = None
            elif balanced is None:
                balanced = max(0, time.monotonic() - start)
            time.sleep(0.5)
        self.say(f"leases {dict(owners)}, balanced {balanced and f'{balanced:.1f}'} s after the last disturbance; "
                 f"bound {bound:.1f} s (deficit {deficit})")
        if balanced is None or balanced > bound + GRAIN:
            self.faults.append(f"not balanced within {bound:.0f} s: {dict(owners)}")

    def drain(self):
        """Everything put is delivered; then all end."""
        total = self.producer.count
        try:
            harness.wait_until(lambda: not self.ledger.read().missing(total), 60 + 3 * self.options.failover / 1000,
                               lambda: f"records {self.ledger.missing(total)[:10]} of {total}", 0.5)
        except AssertionError as late:
            self.faults.append(str(late))
        self.faults += unreadable(self.emulator)
        before = self.emulator.leases(APPLICATION)
        status = self.bench.run("status", APPLICATION, "--stream", STREAM, "--observe", "0s", "--format", "json",
                                AWS_ENDPOINT_URL=self.emulator.endpoint)
        # The leases of ended shards may go meanwhile.
        self.faults += unread(set(before) & set(self.emulator.leases(APPLICATION)), status)
        for member in self.alive():
            member.end("stopped")
        for member in self.members.values():
            member.running.ended(40)

    def cause(self, tenure):
        for moment, how in self.members[tenure.worker].ends:
            if moment > tenure.began:
                return how
        return "unknown"

    def report(self):
        ledger = self.ledger.read()
        # No time in words: a batch may have come twice where its checkpoint was refused, or its answer lost.
        self.faults += ledger.faults(ledgers.lineage(self.emulator, STREAM))
        for member in self.members.values():
            for daemon in member.daemons:
                self.faults += [f"{member.name} logged {error}" for error in daemon.errors()]
        print(json.dumps({
            "seed": self.options.seed, "records": self.producer.count, "delivered": sum(ledger.seen.values()),
            "missing": len(ledger.missing(self.producer.count)), "duplicatesByCause": ledger.duplicates(self.cause),
            "tenures": len(ledger.tenures), "shardsEnded": len(ledger.ends()), "disturbances": dict(self.counts),
            "checkpointsRefused": dict(ledger.refusals), "workers": len(self.members), "faults": len(self.faults),
        }, indent=1))
        for fault in self.faults[:40]:
            print(f"FAULT {fault}")
        return not self.faults

    def told(self):
        return "\n".join(f"{m.name}: {(m.running.stderr or m.running.stdout)[-400:]}" for m in self.members.values())


# What a Java worker 2.x demands of a row (DynamoDBLeaseSerializer), attribute by attribute.
DEMANDED = {"leaseKey": "S", "leaseCounter": "N", "ownerSwitchesSinceCheckpoint": "N", "checkpoint": "S",
            "checkpointSubSequenceNumber": "N"}
# Java reads attributes by name and leaves others alone; `shardtop` is how our workers know each other.
ALLOWED = {"shardtop": None, "leaseOwner": "S", "parentShardId": "SS", "childShardIds": "SS", "startingHashKey": "S", "endingHashKey": "S",
           "pendingCheckpoint": "S", "pendingCheckpointSubSequenceNumber": "N", "pendingCheckpointState": "B"}


def unread(rows, status):
    """Rows that an ended `shardtop status` did not tell of, in words."""
    try:
        seen = {lease["leaseKey"] for lease in json.loads(status.stdout)["leases"]}
    except (ValueError, LookupError, TypeError) as odd:
        return [f"status answers with {odd!r} ({status.returncode}): {status.stderr[-300:]}"]
    left = set(rows) - seen
    return [f"status does not read {sorted(left)}: {status.stderr[-300:]}"] if left else []


def unreadable(emulator):
    """Rows that a Java worker would stumble over, in words."""
    found = []
    for row in emulator.dynamodb.scan(TableName=APPLICATION, ConsistentRead=True)["Items"]:
        name = row.get("leaseKey", {}).get("S")
        kinds = {key: next(iter(value)) for key, value in row.items()}
        found += [f"row {name}: {key} is {kinds.get(key)}, not {kind}" for key, kind in DEMANDED.items()
                  if kinds.get(key) != kind]
        found += [f"row {name}: {key} is {kinds[key]}, not {kind}" for key, kind in ALLOWED.items()
                  if kind and key in kinds and kinds[key] != kind]
        found += [f"row {name}: {key}, which Java 2.x does not know" for key in kinds
                  if key not in DEMANDED and key not in ALLOWED]
        text = row.get("checkpoint", {}).get("S", "")
        if not re.fullmatch(r"\d+|TRIM_HORIZON|LATEST|AT_TIMESTAMP|SHARD_END", text):
            found.append(f"row {name}: checkpoint {text!r}")
        for key in ("startingHashKey", "endingHashKey"):
            if key in kinds and not re.fullmatch(r"0|[1-9]\d{0,38}", row[key].get("S", "")):
                found.append(f"row {name}: {key} {row[key]}")
    return found


def run(bench, options):
    """Plays to the end and reports; whether nothing was wrong. Leaves nothing running, whatever happens."""
    try:
        fleet = Fleet(bench, options)
        try:
            fleet.begin()
            fleet.drain()
        except (AssertionError, subprocess.TimeoutExpired) as failure:
            fleet.faults.append(f"broke off: {str(failure)[:1500]}")
        finally:
            if fleet.screen is not None:
                fleet.screen.close()
            done = fleet.report()
        return done
    finally:
        bench.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="of disturbances")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--failover", type=int, default=10_000, help="failoverTimeMillis of all")
    parser.add_argument("--retrieval", default="POLLING", help="retrieval modes to draw from: POLLING,FANOUT")
    parser.add_argument("--keep", help="a directory for logs, that stays")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if options.keep:
            os.makedirs(options.keep, exist_ok=True)
        done = run(harness.Bench(pathlib.Path(options.keep or scratch)), options)
    sys.exit(0 if done else 1)


if __name__ == "__main__":
    main()
