"""The unmodified Java daemon on the emulator: the judge of whether the emulator is true.

A life begins with 100000 records, or a fifth of that where another life has the same way of reading; JAVA_RECORDS sets
it for all of them:
    JAVA_RECORDS=1000000 SHARDTOP=… python -m pytest -n 4 Tests/EndToEnd/test_java.py
"""

import json
import os
import time

import pytest

from harness import DONE, wait_until
from java import Daemon, trust_store
from ledger import Ledger, Producer, lineage, merge, open_shards, scale, split

RECORDS = int(os.environ.get("JAVA_RECORDS", "0"))


class Stage:
    """An emulator, a ledger and a producer; daemons are started on it."""

    def __init__(self, bench, shards=4, tls=False):
        self.bench = bench
        self.calls = bench.directory / "calls"
        self.emulator = bench.emulator(f"words:{shards}", limits=False, tls=tls, arguments=["--log-calls", self.calls])
        self.trust = trust_store(bench.directory, self.emulator.certificate) if tls else None
        self.ledger = Ledger(bench.directory / "ledger")
        self.producer = Producer(self.emulator.endpoint, "words", self.emulator.certificate)
        self.daemons = []

    def daemon(self, **options):
        daemon = Daemon(self.bench, self.emulator, "words", options.pop("ledger", self.ledger), trust=self.trust, **options)
        self.daemons.append(daemon)
        return daemon

    def put(self, count):
        return self.producer.put(count)

    def called(self, operation):
        """What the emulator noted of the calls of an operation."""
        calls = [json.loads(line) for line in self.calls.read_text().split("\n")[:-1] if f'"{operation}"' in line]
        return [call for call in calls if call["operation"] == operation]

    def judge(self):
        """Everything arrived, in order, children after parents; and Java had nothing to complain about."""
        ledger = self.ledger.read()
        assert not ledger.missing(self.producer.count), ledger.missing(self.producer.count)[:20]
        faults = ledger.faults(lineage(self.emulator, "words"))
        assert not faults, faults
        errors = [error for daemon in self.daemons for error in daemon.errors()]
        assert not errors, "\n".join(errors[:10])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("retrieval, cbor, tls, records", [
    ("POLLING", True, False, 100_000), ("POLLING", False, True, 20_000), ("FANOUT", True, True, 100_000),
    ("FANOUT", False, False, 20_000)])
def test_a_life_with_reshards_a_kill_and_a_clean_end(bench, retrieval, cbor, tls, records):
    stage = Stage(bench, tls=tls)
    records = stage.put(RECORDS or records)
    options = dict(application="life", cbor=cbor, retrievalMode=retrieval, workerId="one")
    daemon = stage.daemon(**options)
    daemon.wait_for(records, 120)
    parent = split(stage.emulator, "words")
    daemon.wait_for(stage.put(1000))
    assert stage.emulator.leases("life")[parent]["checkpoint"] == "SHARD_END"
    # The two children again: every shard is a quarter now, so that the scale below closes none that is new and empty.
    # (Once, the Java daemon never went on after "Reached end of shard … and have no records" on such a shard.)
    merge(stage.emulator, "words")
    daemon.wait_for(stage.put(1000))
    assert not stage.ledger.duplicates()
    daemon.kill()
    stage.put(1000)
    daemon = stage.daemon(**options)
    daemon.wait_for(stage.producer.count)
    scale(stage.emulator, "words", 8)
    daemon.wait_for(stage.put(1000), 90)
    # Only what was delivered, and not checkpointed, before the kill may have come twice.
    assert set(stage.ledger.duplicates()) <= {"killed or stopped"}, stage.ledger.duplicates()
    doubled = sum(stage.ledger.duplicates().values())
    live = {shard["ShardId"] for shard in open_shards(stage.emulator, "words")}
    daemon.wait(lambda ledger: live <= {t.shard for t in ledger.tenures if t.end is None and t.worker == "one"}, 60,
                "all open shards in hand")
    asked = stage.ledger.events["shutdown_requested"]
    daemon.stop()
    assert stage.ledger.read().events["shutdown_requested"] >= asked + 8, stage.ledger.events
    stage.put(1000)
    daemon = stage.daemon(**options)
    daemon.wait_for(stage.producer.count)
    assert sum(stage.ledger.duplicates().values()) == doubled, "checkpoints of the clean end were not kept"
    daemon.stop()
    stage.judge()


@pytest.mark.timeout(400)
def test_latest_and_at_timestamp_begin_where_they_say(bench):
    stage = Stage(bench)
    stage.put(1000)
    time.sleep(1.2)
    moment = int(time.time())
    stage.put(1000)
    late = Ledger(bench.directory / "late")
    now = stage.daemon(initialPositionInStream="LATEST", ledger=late)
    then = stage.daemon(
        initialPositionInStream=None, initialPositionInStreamExtended=moment,
        cbor=False)
    for daemon in (now, then):
        daemon.wait(lambda ledger: len(ledger.shards()) == 4, 120, "four shards")
    # LATEST is where the first read finds the stream, a moment after initialize.
    time.sleep(3)
    stage.put(1000)
    for daemon, first in ((now, 2000), (then, 1000)):
        daemon.wait(lambda ledger: set(range(first, 3000)) <= set(ledger.seen), 60, f"records from {first}")
        assert set(daemon.ledger.seen) == set(range(first, 3000)), sorted(daemon.ledger.seen)[:5]
        assert set(daemon.ledger.seen.values()) == {1}
        assert not daemon.errors(), daemon.errors()

    def rows():
        return stage.emulator.leases(now.application).values()

    # The checkpoint follows the records.
    wait_until(lambda: all(row["checkpoint"].isdigit() for row in rows()), 20, rows)


@pytest.mark.timeout(400)
def test_aggregated_records_the_default_retrieval_and_metrics(bench):
    stage = Stage(bench, shards=2)
    put = bench.run("put", "words", "--stdin", "--aggregate", "--keys", 7, AWS_ENDPOINT_URL=stage.emulator.endpoint,
                    text="".join(f"{i} {'x' * 50}\n" for i in range(3000)))
    assert put.returncode == DONE, put.stderr
    stage.producer.count = 3000
    # No polling property, so DEFAULT means fan-out; and CloudWatch has the emulator's address, too.
    daemon = stage.daemon(
        retrievalMode="DEFAULT", idleTimeBetweenReadsInMillis=None, metricsLevel="DETAILED", metricsBufferTimeMillis=2000,
        **{"cloudWatchClient.endpointOverride": stage.emulator.endpoint})
    daemon.wait_for(3000, 120)
    assert stage.emulator.kinesis.list_stream_consumers(StreamARN=stage.emulator.arn("words"))["Consumers"]
    daemon.wait_for(stage.put(500))
    wait_until(lambda: stage.called("PutMetricData"), 40, "no metrics came")
    assert all(call["status"] == 200 for call in stage.called("PutMetricData"))
    daemon.stop()
    daemon = stage.daemon(application=daemon.application, retrievalMode="POLLING")
    daemon.wait_for(stage.put(500))
    stage.judge()
    assert not stage.ledger.duplicates(), stage.ledger.duplicates()


@pytest.mark.timeout(400)
def test_two_daemons_share_and_one_takes_over(bench):
    stage = Stage(bench, shards=6)
    one = stage.daemon(application="pair")
    one.wait(lambda ledger: len(ledger.shards()) == 6, 120, "six shards")
    two = stage.daemon(application="pair", cbor=False)
    two.wait(lambda _: sorted(stage.emulator.owners("pair").values()) == [3, 3], 90, "three each")
    two.wait_for(stage.put(5000))
    one.kill()
    stage.put(1000)
    two.wait_for(stage.producer.count, 60)
    assert stage.emulator.owners("pair") == {two.worker_id: 6}
    stage.judge()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("retrieval", ["POLLING", "FANOUT"])
def test_a_rewind_under_a_living_owner_delivers_every_part_of_the_record_again(bench, retrieval):
    """`lease rewind` stores (number, -1) and clears the owner: Java resumes with the record itself, an aggregate."""
    stage = Stage(bench, shards=1)

    def put(first, count):
        ended = bench.run("put", "words", "--stdin", "--aggregate", "--keys", 3, AWS_ENDPOINT_URL=stage.emulator.endpoint,
                          text="".join(f"{i} {'x' * 50}\n" for i in range(first, first + count)))
        assert ended.returncode == DONE, ended.stderr
        stage.producer.count += count
        time.sleep(1.5)

    daemon = stage.daemon(application="rewound", workerId="one", retrievalMode=retrieval)
    put(0, 300)
    daemon.wait_for(300, 120)
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    time.sleep(1.1)
    put(300, 300)
    daemon.wait_for(600)
    shard = "shardId-000000000000"
    counter = int(stage.emulator.leases("rewound")[shard]["leaseCounter"])
    ended = bench.run("lease", "rewind", "rewound", shard, "--to", moment, "--stream", "words", "--write", "--yes",
                      AWS_ENDPOINT_URL=stage.emulator.endpoint)
    assert ended.returncode == DONE, ended.stderr
    daemon.wait(lambda ledger: all(ledger.seen[i] > 1 for i in range(300, 600)), 60, "the second half again")
    daemon.wait_for(stage.put(100))
    seen = stage.ledger.read().seen
    assert {seen[i] for i in range(300)} == {1} and {seen[i] for i in range(300, 600)} == {2}
    assert {seen[i] for i in range(600, 700)} == {1}
    assert stage.ledger.duplicates() == {"lease_lost": 300}, stage.ledger.duplicates()
    row = stage.emulator.leases("rewound")[shard]
    assert row["leaseOwner"] == "one" and int(row["leaseCounter"]) > counter + 1
    stage.judge()
