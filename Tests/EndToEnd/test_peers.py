"""What other Kinesis consumers and emulators get wrong, each as a scenario: ours passes; moto, which runs here, fails.

The names say whose defect it was: vmware-go-kcl-v2, kinsumer, KinesisEx (ew), zio-kinesis, disney's Rust consumer,
kinesalite, ferrokinesis, kinesis-mock, LocalStack, floci.
"""

import base64
import signal
import time

import pytest

from harness import DONE, client, wait_until
from ledger import Ledger, Producer, lineage, merge, split
from multilang import FIRST, consume, tallying
from raw import Raw, Tagged  # conftest put its directory on the path


@pytest.fixture
def house(bench):
    """An emulator with a stream of two shards, a ledger and a producer."""
    class House:
        emulator = bench.emulator("words:2", limits=False)
        ledger = Ledger(bench.directory / "ledger")
        producer = Producer(emulator.endpoint, "words")

        def worker(self, name, **properties):
            return tallying(bench, self.emulator, self.ledger, name, application="peers", failoverTimeMillis=2000,
                            **properties).process

        def rows(self):
            return self.emulator.leases("peers")

        def wait_for(self, count, seconds=40):
            wait_until(lambda: len(self.ledger.read().seen) >= count and not self.ledger.missing(count), seconds,
                       lambda: f"records below {count}: {self.ledger.missing(count)[:5]}; {dict(self.ledger.events)}")

    return House()


# MARK: consumers


def test_vmware_a_zombies_checkpoint_does_not_overwrite_the_new_owners_row(house):
    one = house.worker("one")
    house.wait_for(house.producer.put(200))
    one.send(signal.SIGSTOP)
    house.worker("two")
    wait_until(lambda: house.emulator.owners("peers") == {"two": 2}, 40, lambda: house.rows())
    house.wait_for(house.producer.put(200))
    before = {key: (int(row["checkpoint"]), int(row["leaseCounter"])) for key, row in house.rows().items()}
    one.send(signal.SIGCONT)
    wait_until(lambda: house.ledger.read().events["lease_lost"] >= 2 or one.process.poll() is not None, 40,
               lambda: dict(house.ledger.events))
    for key, row in house.rows().items():
        assert row["leaseOwner"] in ("two", "one")
        assert int(row["checkpoint"]) >= before[key][0] and int(row["leaseCounter"]) >= before[key][1], (before, row)
    house.wait_for(house.producer.put(200))


def test_vmware_many_shards_are_picked_up_at_once_not_one_a_minute(bench):
    emulator = bench.emulator("many:32", limits=False)
    worker = bench.consume(emulator.endpoint, "many", processor="count", failoverTimeMillis=10_000)
    worker.wait_for("initialized", 32, 30)


def test_vmware_a_table_of_several_pages_is_read_to_its_end(bench):
    emulator = bench.emulator("words:1")
    emulator.create_table("wide")
    for start in range(0, 1500, 25):  # 1.5 MB, where a page has 1 MB
        emulator.dynamodb.batch_write_item(RequestItems={"wide": [{"PutRequest": {"Item": {
            "leaseKey": {"S": f"shardId-{i:012d}"}, "leaseCounter": {"N": "1"}, "checkpoint": {"S": "TRIM_HORIZON"},
            "checkpointSubSequenceNumber": {"N": "0"}, "ownerSwitchesSinceCheckpoint": {"N": "0"},
            "note": {"S": "x" * 900}}}} for i in range(start, start + 25)]})
    ended = bench.run("lease", "list", "wide", AWS_ENDPOINT_URL=emulator.endpoint)
    assert ended.returncode == DONE, ended.stderr
    assert all(f"shardId-{i:012d}" in ended.stdout for i in (0, 700, 1499)), ended.stdout[-300:]
    assert ended.stdout.count("\n") >= 1500


def test_vmware_a_checkpoint_without_a_number_is_what_was_delivered_not_the_end_of_the_shard(house):
    house.worker("one")
    house.wait_for(house.producer.put(100))
    wait_until(lambda: all(row["checkpoint"].isdigit() for row in house.rows().values()), 20, lambda: house.rows())


def test_vmware_kinsumer_the_child_of_a_merge_waits_for_both_parents(house):
    house.worker("one")
    house.worker("two")
    house.producer.put(2000)
    wait_until(lambda: len(house.ledger.read().shards()) == 2, 40)
    merge(house.emulator, "words")
    house.wait_for(house.producer.put(500))
    assert not house.ledger.faults(lineage(house.emulator, "words"))
    assert {FIRST, "shardId-000000000001"} <= set(house.ledger.ends())


def test_vmware_harlow_ew_lifion_a_start_at_latest_loses_nothing_in_a_reshard(house):
    house.producer.put(100)
    house.worker("one", initialPositionInStream="LATEST")
    wait_until(lambda: len(house.ledger.read().shards()) == 2, 40)
    time.sleep(2)
    house.producer.put(100)
    # The children have records before anybody knows of them.
    split(house.emulator, "words")
    house.producer.put(300)
    wait_until(lambda: set(range(100, 500)) <= set(house.ledger.read().seen), 40, lambda: dict(house.ledger.events))
    assert not set(range(100)) & set(house.ledger.seen), "what was there before LATEST"


def test_ew_a_javas_lease_without_a_clock_in_its_row_is_not_taken_for_dead(bench):
    emulator = bench.emulator("words:1", limits=False)
    worker = bench.consume(emulator.endpoint, "words", "shardtop-alive", failoverTimeMillis=2000)
    worker.wait_for("initialized")
    worker.stop()
    rows = emulator.leases("shardtop-alive")
    counter = int(rows[FIRST]["leaseCounter"])

    def renew():
        nonlocal counter
        counter += 1
        emulator.dynamodb.update_item(
            TableName="shardtop-alive", Key={"leaseKey": {"S": FIRST}},
            AttributeUpdates={"leaseCounter": {"Action": "PUT", "Value": {"N": str(counter)}},
                              "leaseOwner": {"Action": "PUT", "Value": {"S": "a-java-worker"}}})

    renew()
    other = bench.consume(emulator.endpoint, "words", "shardtop-alive", failoverTimeMillis=2000)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        renew()
        assert emulator.owners("shardtop-alive") == {"a-java-worker": 1}
        time.sleep(0.6)
    assert not other.seen("leaseTaken") and not other.seen("leaseStolen"), other.events
    # And when it is really gone, it is taken.
    other.wait_for("initialized", 1, 20)


def test_ew_zio_rows_carry_javas_names_and_no_others(house):
    house.worker("one")
    house.wait_for(house.producer.put(100))
    split(house.emulator, "words")
    house.wait_for(house.producer.put(100))
    wait_until(lambda: house.rows()[FIRST]["checkpoint"] == "SHARD_END", 20)
    known = {"leaseKey", "leaseOwner", "leaseCounter", "checkpoint", "checkpointSubSequenceNumber",
             "ownerSwitchesSinceCheckpoint", "parentShardId", "childShardIds", "startingHashKey", "endingHashKey",
             "shardtop"}  # the last is ours alone, which Java neither reads nor loses
    rows = house.rows()
    assert all(set(row) <= known for row in rows.values()), rows
    assert rows["shardId-000000000002"]["parentShardId"] == [FIRST]


def test_zio_a_row_that_is_no_lease_spoils_nothing(house):
    house.worker("one")
    house.wait_for(house.producer.put(100))
    house.emulator.dynamodb.put_item(TableName="peers", Item={
        "leaseKey": {"S": "worker-metrics-1"}, "entityType": {"S": "WORKER_METRICS"}, "wid": {"S": "w"}})
    split(house.emulator, "words")
    house.wait_for(house.producer.put(200))
    assert "checkpoint" not in house.rows()["worker-metrics-1"]


def test_disney_checkpoints_go_forward_within_one_aggregate(bench):
    emulator = bench.emulator("words:1")
    ended = bench.run("put", "words", "--stdin", "--aggregate", "--keys", 1, AWS_ENDPOINT_URL=emulator.endpoint,
                      text="".join(f"w{i}\n" for i in range(10)))
    assert ended.returncode == DONE, ended.stderr
    family = consume(bench, emulator, "app_v3.py", plan={
        "at": {"w2": "checkpoint", "w6": "checkpoint"}, "checkpoint": "never"})
    family.wait_for_texts([f"w{i}" for i in range(10)])
    done = family.wait_for_call("checkpoint", 2)
    assert [c["error"] for c in done] == [None, None] and done[0]["sub"] < done[1]["sub"], done
    row = emulator.leases(family.application)[FIRST]
    assert int(row["checkpointSubSequenceNumber"]) == done[1]["sub"] and row["checkpoint"] == str(done[1]["number"]), row


def test_async_kinesis_lifion_harlow_a_late_joiner_gets_its_share_from_the_living(bench):
    emulator = bench.emulator("words:4", limits=False)
    one = bench.consume(emulator.endpoint, "words", "shardtop-late", failoverTimeMillis=10_000)
    one.wait_for("initialized", 4, 40)
    two = bench.consume(emulator.endpoint, "words", "shardtop-late", failoverTimeMillis=10_000)
    two.wait_for("initialized", 2, 60)
    wait_until(lambda: sorted(emulator.owners("shardtop-late").values()) == [2, 2], 30)
    assert one.process.process.poll() is None


# MARK: emulators


def stream(service, name="words", shards=1):
    service.kinesis.create_stream(StreamName=name, ShardCount=shards)
    service.wait_for_stream(name)


def iterator(service, name="words", shard=FIRST):
    return service.kinesis.get_shard_iterator(
        StreamName=name, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]


def end_of_parent(service):
    """The last answer of a split shard's GetRecords."""
    stream(service)
    service.kinesis.put_record(StreamName="words", Data=b"x", PartitionKey="a")
    split(service, "words")
    answer = service.kinesis.get_records(ShardIterator=iterator(service))
    if answer["Records"] and answer.get("NextShardIterator"):
        answer = service.kinesis.get_records(ShardIterator=answer["NextShardIterator"])
    return answer


def test_kinesalite_ferrokinesis_moto_a_shards_end_names_its_children(bench, moto):
    ours = end_of_parent(bench.emulator())
    assert "NextShardIterator" not in ours and len(ours["ChildShards"]) == 2
    assert all(child["ParentShards"] == [FIRST] for child in ours["ChildShards"])
    theirs = end_of_parent(moto)
    assert "NextShardIterator" in theirs and "ChildShards" not in theirs


def shards_written_after_a_split(service):
    stream(service)
    split(service, "words")
    return {service.kinesis.put_record(
        StreamName="words", Data=b"x", PartitionKey="a", ExplicitHashKey=str(i << 124))["ShardId"] for i in range(16)}


def test_moto_a_closed_parent_takes_no_more_records(bench, moto):
    assert shards_written_after_a_split(bench.emulator()) == {"shardId-000000000001", "shardId-000000000002"}
    assert FIRST in shards_written_after_a_split(moto)


def second_split_is_refused(service):
    stream(service)
    arguments = dict(StreamName="words", ShardToSplit=FIRST, NewStartingHashKey=str(1 << 127))
    service.kinesis.split_shard(**arguments)
    service.wait_for_stream("words")
    try:
        service.kinesis.split_shard(**arguments)
    except service.kinesis.exceptions.ClientError:
        return True
    return False


def test_kinesalite_109_a_shard_is_not_split_twice(bench):
    assert second_split_is_refused(bench.emulator())


def test_kinesalite_ferrokinesis_millis_behind_latest_is_no_constant(bench):
    service = bench.emulator("words:1")
    for _ in range(2):
        service.kinesis.put_record(StreamName="words", Data=b"x", PartitionKey="a")
        time.sleep(0.3)
    first = service.kinesis.get_records(ShardIterator=iterator(service), Limit=1)
    assert first["MillisBehindLatest"] > 0
    assert service.kinesis.get_records(ShardIterator=first["NextShardIterator"])["MillisBehindLatest"] == 0


def reads_until_refused(service, most=30):
    stream(service)
    token = iterator(service)
    for count in range(most):
        try:
            service.kinesis.get_records(ShardIterator=token)
        except service.kinesis.exceptions.ProvisionedThroughputExceededException:
            return count
    return None


def without_retries(service):
    service.kinesis = client("kinesis", service.endpoint, retries=0)
    return service


def test_all_of_them_a_shard_is_read_five_times_a_second_at_most(bench, moto):
    assert reads_until_refused(without_retries(bench.emulator())) in range(5, 12)
    assert reads_until_refused(without_retries(moto)) is None


def failed_writes(service):
    stream(service)
    records = [{"Data": bytes(10_000), "PartitionKey": "a"}] * 400
    return service.kinesis.put_records(StreamName="words", Records=records)["FailedRecordCount"]


def test_most_of_them_a_shard_takes_one_megabyte_a_second_at_most(bench, moto):
    assert failed_writes(without_retries(bench.emulator())) >= 250
    assert failed_writes(without_retries(moto)) == 0


def number(service):
    stream(service)
    return service.kinesis.put_record(StreamName="words", Data=b"x", PartitionKey="a")["SequenceNumber"]


def test_moto_sequence_numbers_look_like_the_services(bench, moto):
    assert len(number(bench.emulator())) == 56
    assert len(number(moto)) < 5


def open_only(service):
    stream(service, shards=2)
    merge(service, "words")
    shards = service.kinesis.list_shards(StreamName="words", ShardFilter={"Type": "AT_LATEST"})["Shards"]
    return [shard["ShardId"] for shard in shards]


def test_moto_shard_filters_filter(bench, moto):
    assert open_only(bench.emulator()) == ["shardId-000000000002"]
    assert len(open_only(moto)) == 3


def test_moto_cbor_is_spoken_with_times_in_milliseconds(bench, moto):
    service = bench.emulator("words:1")
    raw = Raw(service.endpoint, encoding="cbor")
    assert raw.send("PutRecord", {"StreamName": "words", "Data": b"\x00\xff", "PartitionKey": "a"}).status == 200
    answer = raw.send("GetRecords", {"ShardIterator": iterator(service)})
    record = answer.body["Records"][0]
    arrived = record["ApproximateArrivalTimestamp"]
    arrived = arrived.value if isinstance(arrived, Tagged) else arrived
    assert record["Data"] == b"\x00\xff" and isinstance(arrived, int) and abs(arrived / 1000 - time.time()) < 60
    assert Raw(moto.endpoint, encoding="cbor").open("ListStreams", {}).status >= 400


def subscription(service):
    """The events of a subscription to a shard that is split meanwhile; boto3 reads them."""
    stream(service)
    consumer = service.kinesis.register_stream_consumer(
        StreamARN=service.arn("words"), ConsumerName="reader")["Consumer"]["ConsumerARN"]
    wait_until(lambda: service.kinesis.describe_stream_consumer(ConsumerARN=consumer)["ConsumerDescription"][
        "ConsumerStatus"] == "ACTIVE", 20)
    service.kinesis.put_record(StreamName="words", Data=b"first", PartitionKey="a")
    events = service.kinesis.subscribe_to_shard(
        ConsumerARN=consumer, ShardId=FIRST, StartingPosition={"Type": "TRIM_HORIZON"})["EventStream"]
    found = []
    for event in events:
        found.append(event["SubscribeToShardEvent"])
        if len(found) == 1:
            service.kinesis.put_record(StreamName="words", Data=b"second", PartitionKey="a")
        if len([r for e in found for r in e["Records"]]) == 2 and len(found) >= 2 and "ChildShards" not in found[-1]:
            split(service, "words")
    return found


def test_moto_kinesis_mock_localstack_floci_a_subscription_goes_on_and_ends_with_the_children(bench, moto):
    events = subscription(bench.emulator())
    assert [r["Data"] for e in events for r in e["Records"]] == [b"first", b"second"]
    assert len(events[-1]["ChildShards"]) == 2 and not events[-1].get("ContinuationSequenceNumber")
    with pytest.raises(Exception, match="Not yet implemented|501|500|NotImplemented|not been implemented"):
        subscription(without_retries(moto))


def refused_of(service, writes):
    """How many of `writes` a provisioned table of one unit refuses."""
    service.dynamodb.create_table(
        TableName="slow", AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1})
    wait_until(lambda: service.dynamodb.describe_table(TableName="slow")["Table"]["TableStatus"] == "ACTIVE", 20)
    raw = Raw(service.endpoint, "dynamodb")
    request = {"TableName": "slow", "Item": {"leaseKey": {"S": "a"}, "text": {"S": "x" * 2000}}}
    return sum(raw.send("PutItem", request).error == "ProvisionedThroughputExceededException" for _ in range(writes))


def test_moto_dynamodb_local_a_provisioned_table_throttles(bench, moto):
    assert refused_of(bench.emulator(), 400) > 200
    assert refused_of(moto, 10) == 0


def test_a_blob_of_every_byte_survives_both_encodings(bench):
    service = bench.emulator("words:1", limits=False)
    blob = bytes(range(256)) * 40
    Raw(service.endpoint, encoding="cbor").send(
        "PutRecord", {"StreamName": "words", "Data": blob, "PartitionKey": "a"})
    answer = Raw(service.endpoint).send("GetRecords", {"ShardIterator": iterator(service)})
    assert base64.b64decode(answer.body["Records"][0]["Data"]) == blob
