"""Enhanced fan-out over the wire: `consume` against `emulate`, each subscription over HTTP/2."""

from harness import DONE, in_order, texts, wait_until, waits_for
from ledger import split


def subscribe(bench, emulator, application=None, **properties):
    return bench.consume(emulator.endpoint, "orders", application, retrievalMode="FANOUT", **properties)


def consumers(emulator):
    found = emulator.kinesis.list_stream_consumers(StreamARN=emulator.arn("orders"))["Consumers"]
    return {c["ConsumerName"]: c for c in found}


def test_every_record_is_pushed_once_and_in_order(bench):
    emulator = bench.emulator("orders:3")
    sent = texts(2000)
    emulator.put("orders", sent)
    worker = subscribe(bench, emulator)
    waits_for(sent, worker)
    later = texts(500, "later")
    emulator.put("orders", later)
    waits_for(later, worker)
    assert list(consumers(emulator)) == [worker.application]
    assert worker.stop() == DONE, worker.process.stderr
    assert sorted(worker.texts) == sorted(sent + later)
    assert in_order(worker)
    started = worker.seen("subscriptionStarted")
    assert {e["shardId"] for e in started} == set(emulator.leases(worker.application))
    assert len(worker.seen("subscriptionEnded")) == len(started)
    # The consumer stays: other workers may use it.
    assert list(consumers(emulator)) == [worker.application]


def test_children_follow_their_parents(bench):
    emulator = bench.emulator("orders:1")
    before = texts(300)
    emulator.put("orders", before)
    worker = subscribe(bench, emulator)
    waits_for(before, worker)
    split(emulator, "orders")
    after = texts(300, "after")
    emulator.put("orders", after)
    waits_for(after, worker)
    assert [e["shardId"] for e in worker.seen("shardEnded")] == ["shardId-000000000000"]
    assert worker.stop() == DONE, worker.process.stderr
    assert sorted(worker.texts) == sorted(before + after)


def test_subscriptions_over_tls(bench):
    emulator = bench.emulator("orders:2", tls=True)
    before = texts(500)
    emulator.put("orders", before)
    worker = subscribe(bench, emulator)
    waits_for(before, worker)
    split(emulator, "orders")
    after = texts(500, "after")
    emulator.put("orders", after)
    waits_for(after, worker)
    assert worker.stop() == DONE, worker.process.stderr
    assert sorted(worker.texts) == sorted(before + after)
    assert in_order(worker)


def test_a_restart_goes_on_after_its_checkpoint(bench):
    emulator = bench.emulator("orders:2")
    first = subscribe(bench, emulator)
    emulator.put("orders", texts(300))
    waits_for(texts(300), first)
    assert first.stop() == DONE
    emulator.put("orders", texts(300, "later"))
    second = subscribe(bench, emulator, first.application)
    waits_for(texts(300, "later"), second)
    assert second.stop() == DONE
    assert not set(second.texts) & set(texts(300)), "records below a checkpoint came again"


def test_a_fan_out_worker_and_a_polling_one_share_a_stream(bench):
    emulator = bench.emulator("orders:4")
    one = subscribe(bench, emulator)
    one.wait_for("initialized", 4)
    two = bench.consume(emulator.endpoint, "orders", one.application)
    wait_until(lambda: sorted(emulator.owners(one.application).values()) == [2, 2], 60,
               lambda: emulator.owners(one.application))
    sent = texts(1000)
    emulator.put("orders", sent)
    waits_for(sent, one, two)
    one.process.send(9)
    more = texts(400, "more")
    emulator.put("orders", more)
    waits_for(more, one, two)


def test_a_consumer_that_is_deregistered_is_registered_again(bench):
    emulator = bench.emulator("orders:2")
    worker = subscribe(bench, emulator)
    worker.wait_for("subscriptionStarted", 2)
    old = consumers(emulator)[worker.application]["ConsumerARN"]
    emulator.kinesis.deregister_stream_consumer(ConsumerARN=old)
    worker.wait_for("subscriptionStarted", 4, seconds=60)
    sent = texts(200)
    emulator.put("orders", sent)
    waits_for(sent, worker)
    assert not worker.seen("shardEnded"), "a missing consumer was taken for a deleted stream"


def test_a_consumer_is_given_by_its_arn(bench):
    emulator = bench.emulator("orders:1")
    made = emulator.kinesis.register_stream_consumer(StreamARN=emulator.arn("orders"), ConsumerName="by-hand")
    sent = texts(50)
    emulator.put("orders", sent)
    worker = bench.consume(
        emulator.endpoint, "orders", **{
            "retrievalMode": "FANOUT", "fanoutConfig.consumerArn": made["Consumer"]["ConsumerARN"]})
    waits_for(sent, worker)
    assert list(consumers(emulator)) == ["by-hand"]
    missing = made["Consumer"]["ConsumerARN"].replace("by-hand", "nobody")
    worker = bench.consume(
        emulator.endpoint, "orders", **{"retrievalMode": "FANOUT", "fanoutConfig.consumerArn": missing})
    assert worker.process.ended(20) != DONE
    assert "does not exist" in worker.process.stderr
