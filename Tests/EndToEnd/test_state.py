"""`emulate --state-dir`: what was acknowledged is there after kill -9."""

import shlex
import threading
import uuid

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from harness import BINARY, DONE, client, wait_until

KEYS = 8


def kept(bench, *streams, directory="state"):
    """An emulator over the bench's state directory."""
    return bench.emulator(*streams, limits=False, arguments=("--state-dir", bench.directory / directory))


def read_all(emulator, stream):
    """(sequence number, data) of all records by shard, in the order of the shard."""
    found = {}
    for shard in emulator.kinesis.list_shards(StreamName=stream)["Shards"]:
        iterator = emulator.kinesis.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        records = found[shard["ShardId"]] = []
        while iterator:
            answer = emulator.kinesis.get_records(ShardIterator=iterator)
            records += [(r["SequenceNumber"], r["Data"]) for r in answer["Records"]]
            iterator = answer.get("NextShardIterator") if answer["Records"] else None
    return found


class Load:
    """Writers that note what was acknowledged, until the service is gone."""

    def __init__(self, endpoint, stream, table):
        self.endpoint, self.stream, self.table = endpoint, stream, table
        self.stored = []
        self.counts = {}
        self.batches = 0
        self.threads = [threading.Thread(target=self.put, args=(n,)) for n in range(2)]
        self.threads += [threading.Thread(target=self.count, args=(n,)) for n in range(2)]
        for thread in self.threads:
            thread.start()

    def put(self, number):
        kinesis = client("kinesis", self.endpoint)
        for batch in range(100_000):
            records = [{"Data": f"{number}-{batch}-{n}".encode(), "PartitionKey": f"key-{n}"} for n in range(40)]
            try:
                answer = kinesis.put_records(StreamName=self.stream, Records=records)
            except (BotoCoreError, ClientError):
                return
            for sent, record in zip(records, answer["Records"]):
                self.stored.append((record["ShardId"], record["SequenceNumber"], sent["Data"]))
            self.batches += 1

    def count(self, number):
        dynamodb = client("dynamodb", self.endpoint)
        for step in range(100_000):
            key = f"{number}-{step % KEYS}"
            try:
                dynamodb.update_item(
                    TableName=self.table, Key={"k": {"S": key}}, UpdateExpression="ADD n :one",
                    ExpressionAttributeValues={":one": {"N": "1"}})
            except (BotoCoreError, ClientError):
                return
            self.counts[key] = self.counts.get(key, 0) + 1

    def join(self):
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()


def test_what_was_acknowledged_is_there_after_kill_9(bench):
    emulator = kept(bench, "orders:3")
    emulator.create_table("counts", "k")
    stored, counts = [], {}
    for _ in range(2):
        load = Load(emulator.endpoint, "orders", "counts")
        wait_until(lambda: load.batches > 20 and len(load.counts) == 2 * KEYS, 30)
        emulator.process.kill()
        load.join()
        stored += load.stored
        for key, count in load.counts.items():
            counts[key] = counts.get(key, 0) + count
        emulator = kept(bench, "orders:3")
    found = read_all(emulator, "orders")
    there = {(shard, number, data) for shard, records in found.items() for number, data in records}
    assert set(stored) <= there and len(stored) == len(set(stored))
    for records in found.values():
        numbers = [int(number) for number, _ in records]
        assert numbers == sorted(set(numbers)), "sequence numbers rise"
    rows = emulator.dynamodb.scan(TableName="counts", ConsistentRead=True)["Items"]
    for row in rows:
        # A write under way at each of the two ends may have been done unheard.
        assert counts[row["k"]["S"]] <= int(row["n"]["N"]) <= counts[row["k"]["S"]] + 2
    assert len(rows) == 2 * KEYS
    answer = emulator.kinesis.put_record(StreamName="orders", Data=b"later", PartitionKey="key-1")
    assert int(answer["SequenceNumber"]) > max(int(number) for number, _ in found[answer["ShardId"]])


def test_a_worker_goes_on_from_its_checkpoint(bench):
    emulator = kept(bench, "orders:2")
    application = f"shardtop-{uuid.uuid4().hex[:8]}"

    def put(texts):
        emulator.kinesis.put_records(
            StreamName="orders", Records=[{"Data": t.encode(), "PartitionKey": t} for t in texts])

    def consumed(texts):
        put(texts)
        worker = bench.consume(emulator.endpoint, "orders", application)
        wait_until(lambda: all(t in worker.process.stdout for t in texts), 40, lambda: worker.process.stderr)
        worker.process.process.terminate()
        assert worker.process.ended() == DONE
        return worker.process.stdout

    consumed([f"early-{n:03}" for n in range(50)])
    emulator.process.kill()
    emulator = kept(bench)
    assert emulator.leases(application)
    assert "early-" not in consumed([f"late-{n:03}" for n in range(50)])


def test_streams_tables_and_their_settings_outlive_a_restart(bench):
    emulator = kept(bench, "orders:2")
    emulator.create_table("leases", "k")
    emulator.dynamodb.tag_resource(
        ResourceArn=emulator.dynamodb.describe_table(TableName="leases")["Table"]["TableArn"],
        Tags=[{"Key": "team", "Value": "orders"}])
    emulator.kinesis.increase_stream_retention_period(StreamName="orders", RetentionPeriodHours=30)
    emulator.kinesis.split_shard(
        StreamName="orders", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**125))
    emulator.wait_for_stream("orders")

    def picture(emulator):
        shown = [
            emulator.kinesis.describe_stream(StreamName="orders")["StreamDescription"],
            emulator.kinesis.describe_stream_summary(StreamName="orders")["StreamDescriptionSummary"],
            emulator.dynamodb.describe_table(TableName="leases")["Table"],
        ]
        arn = shown[2]["TableArn"]
        return shown + [emulator.dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"]]

    before = picture(emulator)
    emulator.process.process.terminate()
    assert emulator.process.ended() == DONE
    # Naming the stream again changes nothing of it.
    assert picture(kept(bench, "orders:7")) == before


def test_a_directory_has_one_emulator_and_holds_nothing_else(bench):
    kept(bench)
    second = bench.run("emulate", "--port", 0, "--state-dir", bench.directory / "state")
    assert second.returncode != 0
    assert "is in use by another emulator" in second.stderr and len(second.stderr.splitlines()) == 1
    (bench.directory / "thesis").mkdir()
    (bench.directory / "thesis" / "chapter.tex").write_text("x")
    third = bench.run("emulate", "--port", 0, "--state-dir", bench.directory / "thesis")
    assert third.returncode != 0
    assert "holds files that are not an emulator's" in third.stderr and len(third.stderr.splitlines()) == 1
    assert [p.name for p in (bench.directory / "thesis").iterdir()] == ["chapter.tex"]


def test_a_full_disk_is_an_error_and_damages_nothing(bench):
    # The limit on the size of a file stands for the end of the disk.
    command = shlex.join([str(BINARY), "emulate", "--port", "0", "--no-limits", "--state-dir", "state",
                          "--stream", "orders:1"])
    process = bench.start_program("bash", "-c", f"trap '' XFSZ; ulimit -f 256; exec {command}")
    wait_until(lambda: process.lines, 20, lambda: process.stderr)
    endpoint = process.lines[0].split()[-1]
    kinesis = client("kinesis", endpoint)
    stored = []
    with pytest.raises(ClientError) as failure:
        for n in range(100):
            data = f"{n:04}".encode() * 2000
            kinesis.put_record(StreamName="orders", Data=data, PartitionKey="k")
            stored.append(data)
    assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert "File too large" in str(failure.value)
    assert process.stderr.count("File too large") == 1
    # What fits is still taken.
    kinesis.put_record(StreamName="orders", Data=b"small", PartitionKey="k")
    stored.append(b"small")
    process.kill()
    records = read_all(kept(bench), "orders")["shardId-000000000000"]
    assert [data for _, data in records] == stored


def test_an_unfinished_write_is_cut_off_and_damage_is_refused(bench):
    emulator = kept(bench, "orders:1")
    for n in range(3):
        emulator.kinesis.put_record(StreamName="orders", Data=f"record {n}".encode(), PartitionKey="k")
    emulator.process.kill()
    path = next((bench.directory / "state").glob("records-*"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    emulator = kept(bench)
    assert "ends in an unfinished write, which is cut off at byte" in emulator.process.stderr
    emulator.kinesis.put_record(StreamName="orders", Data=b"record 3", PartitionKey="k")
    emulator.process.kill()
    emulator = kept(bench)
    assert [data for _, data in read_all(emulator, "orders")["shardId-000000000000"]] == [
        b"record 0", b"record 1", b"record 3"]
    emulator.process.kill()
    broken = bytearray(path.read_bytes())
    broken[broken.index(b"record 1")] ^= 1
    path.write_bytes(broken)
    refused = bench.run("emulate", "--port", 0, "--state-dir", bench.directory / "state")
    assert refused.returncode != 0 and f"{path} is damaged at byte" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
