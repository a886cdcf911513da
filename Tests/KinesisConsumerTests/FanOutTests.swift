import AWSWire
import Leases
import Machine
import Testing

@testable import KinesisConsumer

private func fanOut(_ change: (inout WorkerConfiguration) -> Void = { _ in }) -> WorkerConfiguration {
    var configuration = WorkerConfiguration.sample.with(change)
    configuration.retrieval = .fanOut(FanOutConsumer())
    return configuration
}

private func retrieval(
    _ checkpoint: Checkpoint = .trimHorizon, start: ShardPosition = .trimHorizon,
    _ change: (inout WorkerConfiguration) -> Void = { _ in }
) -> Retrieval {
    Retrieval(lease: leaseRow(checkpoint: checkpoint), start: start, configuration: fanOut(change))
}

extension Retrieval {
    fileprivate mutating func due(_ now: Int64, mayOpen: Bool = true) -> [ShardMachine.Effect] {
        fetchIfDue(at(now), mayOpen: mayOpen, fence: at(9000), shardID: "s1")
    }

    fileprivate mutating func opened(_ id: Int, _ now: Int64, latestAt: UnixTime? = nil) -> [ShardMachine.Effect] {
        subscribed(id, latestAt: latestAt, shardID: "s1", at(now))
    }

    fileprivate mutating func event(_ id: Int, _ batch: FetchedBatch, _ now: Int64) -> [ShardMachine.Effect] {
        pulled(id, batch, shardID: "s1", at(now))
    }

    fileprivate mutating func fail(_ id: Int, _ meaning: AWSError.Meaning, _ now: Int64) -> [ShardMachine.Effect] {
        subscriptionFailed(id, meaning, "no", shardID: "s1", at(now))
    }

    fileprivate mutating func end(_ id: Int, _ now: Int64) -> [ShardMachine.Effect] {
        subscriptionEnded(id, shardID: "s1", at(now))
    }
}

private func subscribe(_ id: Int, _ position: ShardPosition = .trimHorizon) -> ShardMachine.Effect {
    .subscribe(id, at: position, fence: at(9000))
}

private func pull(_ id: Int, after: Checkpoint? = nil) -> ShardMachine.Effect {
    .pull(id, dropThrough: after, range: nil)
}

private func over(_ reason: String) -> ShardMachine.Effect {
    .emit(event(.subscriptionEnded, message: reason))
}

private func throttled(_ reason: String = "no") -> ShardMachine.Effect {
    .emit(event(.throttled, message: reason))
}

/// Subscribed at the origin, with the pull of the first event on its way.
private func pulling(
    _ checkpoint: Checkpoint = .trimHorizon, start: ShardPosition = .trimHorizon,
    _ change: (inout WorkerConfiguration) -> Void = { _ in }
) -> Retrieval {
    var reading = retrieval(checkpoint, start: start, change)
    _ = reading.due(0)
    _ = reading.opened(1, 0)
    _ = reading.due(0)
    return reading
}

@Suite struct FanOutTests {
    @Test func `a subscription, then its events, one pull at a time`() {
        var reading = retrieval()
        #expect(reading.due(0) == [subscribe(1)])
        #expect(reading.due(10) == [])
        #expect(reading.opened(1, 20) == [.emit(event(.subscriptionStarted, message: "from TRIM_HORIZON"))])
        #expect(reading.due(20) == [pull(1)])
        #expect(reading.due(30) == [])
        #expect(reading.event(1, fetchedBatch(1, through: 3, next: "3"), 40) == [])
        #expect(reading.due(40) == [pull(1, after: seq(3))])
        #expect(reading.next()?.id == 1)
    }

    @Test func `the first subscription starts AT the checkpoint, the next ones AFTER the last continuation`() {
        var reading = retrieval(seq(7, 2), start: .atSequenceNumber("7"))
        #expect(reading.due(0) == [subscribe(1, .atSequenceNumber("7"))])
        _ = reading.opened(1, 0)
        #expect(reading.due(0) == [pull(1, after: seq(7, 2))])
        // Its records end at 9, and what the service looked at for them at 11.
        _ = reading.event(1, fetchedBatch(1, through: 9, next: "11"), 10)
        _ = reading.due(10)
        #expect(reading.end(1, 300_000) == [over("by the service")])
        #expect(reading.due(300_000) == [subscribe(2, .afterSequenceNumber("11"))])
        _ = reading.opened(2, 300_010)
        #expect(reading.due(300_010) == [pull(2, after: seq(9))])
    }

    @Test func `an empty event moves the continuation too`() {
        var reading = pulling()
        _ = reading.event(1, emptyBatch(1, next: "44"), 10)
        _ = reading.due(10)
        _ = reading.end(1, 300_000)
        #expect(reading.due(300_000) == [subscribe(2, .afterSequenceNumber("44"))])
    }

    @Test func `a subscription that fails before its first event starts where it started`() {
        var reading = pulling(seq(7, 2), start: .atSequenceNumber("7"))
        _ = reading.fail(1, .transient, 100)
        #expect(reading.due(5000) == [subscribe(2, .atSequenceNumber("7"))])
    }

    @Test func `LATEST means the moment it was first asked for`() {
        var reading = retrieval(.latest, start: .latest)
        #expect(reading.due(0) == [subscribe(1, .latest)])
        let moment = UnixTime(milliseconds: 1000)
        _ = reading.opened(1, 0, latestAt: moment)
        _ = reading.due(0)
        _ = reading.fail(1, .transient, 100)
        #expect(reading.due(5000) == [subscribe(2, .atTimestamp(moment))])
    }

    @Test func `after a normal end the next subscription follows at once, but not within five seconds of the last`() {
        var reading = pulling()
        _ = reading.end(1, 2000)
        #expect(reading.nextDeadline == at(5000))
        #expect(reading.due(4999) == [])
        #expect(reading.due(5000) == [subscribe(2)])
    }

    @Test func `without room nothing is pulled, and what stands still for long is given up until there is room`() {
        var reading = pulling { $0.prefetchBytesMax = 150 }
        _ = reading.event(1, fetchedBatch(1, through: 3, next: "3"), 10)
        #expect(reading.due(10) == [pull(1, after: seq(3))])
        _ = reading.event(1, fetchedBatch(2, through: 5, next: "5"), 20)
        #expect(reading.due(20) == [])
        #expect(reading.nextDeadline == at(25_020))
        #expect(
            reading.due(25_020) == [
                .unsubscribe(1), over("the processor is busy; the next one begins when it is done"),
            ])
        #expect(reading.nextDeadline == .never)
        #expect(reading.due(90_000) == [])
        #expect(reading.next()?.id == 1)
        #expect(reading.due(90_000) == [subscribe(2, .afterSequenceNumber("5"))])
    }

    @Test func `a pause that ends in time costs no subscription`() {
        var reading = pulling { $0.prefetchBytesMax = 50 }
        _ = reading.event(1, fetchedBatch(1, through: 3, next: "3"), 10)
        #expect(reading.due(20_000) == [])
        _ = reading.next()
        #expect(reading.due(20_000) == [pull(1, after: seq(3))])
    }

    @Test func `events are bounded by their number, too`() {
        var reading = pulling()
        for id in 1...11 {
            _ = reading.event(1, fetchedBatch(id, through: UInt64(id), next: "\(id)"), Int64(id))
            #expect(reading.due(Int64(id)).isEmpty == (id == 11))
        }
    }

    @Test func `sixty seconds of silence end a subscription`() {
        var reading = pulling()
        #expect(reading.nextDeadline == at(60_000))
        #expect(reading.due(59_999) == [])
        #expect(reading.due(60_000) == [.unsubscribe(1), over("no event for 60 s")])
        #expect(reading.due(60_000) == [subscribe(2)])
        // What the closed one says to that is old.
        #expect(reading.fail(1, .transient, 60_001) == [])
        #expect(reading.event(1, fetchedBatch(9, through: 3), 60_001) == [.discard([9])])
    }

    @Test func `a continuation that is null ends the shard, with the event's children and after its records`() {
        var reading = pulling()
        let children = [child("c1", of: "s1"), child("c2", of: "s1")]
        #expect(
            reading.event(1, fetchedBatch(1, through: 3, next: nil, children: children), 10)
                == [.unsubscribe(1), over("the shard ended")])
        #expect(reading.end == .children(children))
        #expect(!reading.isDrained)
        #expect(reading.due(90_000) == [])
        _ = reading.next()
        #expect(reading.isDrained)
    }

    @Test func `an end that was none goes on after the last record`() {
        var reading = pulling()
        _ = reading.event(1, fetchedBatch(1, through: 3, next: nil), 10)
        _ = reading.next()
        reading.endWasWrong(at(6000))
        #expect(reading.due(6999) == [])
        #expect(reading.due(7000) == [subscribe(2, .afterSequenceNumber("3"))])
    }

    @Test func `a stream that is gone is the end`() {
        var reading = retrieval()
        _ = reading.due(0)
        #expect(reading.fail(1, .notFound, 10) == [])
        #expect(reading.end == .deleted)
        #expect(reading.due(90_000) == [])
    }

    @Test func `an open subscription that is throttled has ended, and says so`() {
        var reading = pulling()
        #expect(reading.fail(1, .throttled, 10) == [over("no")])
        #expect(reading.due(5000) == [subscribe(2)])
    }

    @Test func `who is refused says why once, and tries after one, two, four and eight seconds`() {
        var reading = retrieval()
        var now: Int64 = 0
        for (id, pause) in [(1, 1000), (2, 2000), (3, 4000), (4, 8000), (5, 8000)] as [(Int, Int64)] {
            #expect(reading.due(now) == [subscribe(id)])
            #expect(reading.fail(id, .inUse, now) == (id == 1 ? [throttled()] : []))
            #expect(reading.due(now + pause - 1) == [])
            now += pause
        }
        #expect(reading.due(now) == [subscribe(6)])
    }

    @Test func `who is taken over again and again waits ever longer, until it was left alone for a minute`() {
        var reading = retrieval()
        var now: Int64 = 0
        func told(_ seconds: Int) -> [ShardMachine.Effect] {
            [over("taken over by another subscription of the same consumer, next try in \(seconds) s: no")]
        }
        for (id, pause) in [(1, 5), (2, 10), (3, 20), (4, 40), (5, 40)] as [(Int, Int64)] {
            #expect(reading.due(now) == [subscribe(id)])
            _ = reading.opened(id, now)
            _ = reading.due(now)
            // It hears of the shard before the other one comes.
            _ = reading.event(id, emptyBatch(id, next: "0"), now + 100)
            _ = reading.due(now + 100)
            now += 6000
            #expect(reading.fail(id, .inUse, now) == told(Int(pause)))
            #expect(reading.due(now + pause * 1000 - 1) == [])
            now += pause * 1000
            reading.readOn = nil
        }
        _ = reading.due(now)
        _ = reading.opened(6, now)
        _ = reading.due(now)
        _ = reading.event(6, emptyBatch(6, next: "0"), now + 60_000)
        _ = reading.due(now + 60_000)
        #expect(reading.fail(6, .inUse, now + 61_000) == told(5))
    }

    @Test func `a lost connection is followed by a new one from where it was`() {
        var reading = pulling()
        _ = reading.event(1, fetchedBatch(1, through: 3, next: "4"), 10_000)
        _ = reading.due(10_000)
        #expect(reading.fail(1, .transient, 20_000) == [over("no")])
        #expect(reading.due(20_999) == [])
        #expect(reading.due(21_000) == [subscribe(2, .afterSequenceNumber("4"))])
    }

    @Test func `only who surely holds the lease subscribes`() {
        var reading = retrieval()
        #expect(reading.due(0, mayOpen: false) == [])
        #expect(reading.due(10) == [subscribe(1)])
    }

    @Test func `an empty event says the lag, at most every two seconds`() {
        var reading = pulling()
        let said = ShardMachine.Effect.emit(
            WorkerEvent(.recordsProcessed, at: .zero, shardID: "s1", records: 0, bytes: 0, millisBehindLatest: 40))
        #expect(reading.event(1, emptyBatch(1, next: "1", behind: 40), 0) == [.discard([1]), said])
        _ = reading.due(0)
        #expect(reading.event(1, emptyBatch(2, next: "1", behind: 40), 1999) == [.discard([2])])
    }
}

@Suite struct FanOutShardTests {
    /// Initialized and subscribed, with the first pull on its way, at the origin.
    private func pullingRig(_ configuration: WorkerConfiguration = fanOut()) -> ShardRig {
        var rig = ShardRig(leaseRow(), configuration)
        _ = rig.advance(at: 0)
        _ = rig.send(.returned(.initialize(.trimHorizon, nil), failure: nil), at: 0)
        _ = rig.send(.subscribed(1, latestAt: nil), at: 0)
        return rig
    }

    @Test func `a tenure goes from initialize over a subscription to leaseLost`() {
        var rig = ShardRig(leaseRow(), fanOut())
        _ = rig.advance(at: 0)
        #expect(
            rig.send(.returned(.initialize(.trimHorizon, nil), failure: nil), at: 10) == [
                .emit(event(.initialized, checkpoint: .trimHorizon)), subscribe(1),
            ])
        #expect(
            rig.send(.subscribed(1, latestAt: nil), at: 20) == [
                .emit(event(.subscriptionStarted, message: "from TRIM_HORIZON")), pull(1),
            ])
        let first = fetchedBatch(1, through: 5, next: "5")
        #expect(
            rig.send(.pulled(1, first), at: 30) == [
                .call(.processRecords(batch: 1), fence: at(9000)), pull(1, after: seq(5)),
            ])
        #expect(
            rig.send(.leaseLost("taken by you"), at: 40) == [
                .discard([]), .emit(event(.leaseLost, message: "taken by you")), .unsubscribe(1),
                over("the lease is lost"),
            ])
        #expect(rig.send(.subscriptionFailed(1, .transient, "closed"), at: 50) == [])
    }

    @Test func `a subscription that comes after the lease went is closed`() {
        var rig = ShardRig(leaseRow(), fanOut())
        _ = rig.advance(at: 0)
        _ = rig.send(.returned(.initialize(.trimHorizon, nil), failure: nil), at: 0)
        _ = rig.send(.leaseLost("gone"), at: 10)
        #expect(rig.send(.subscribed(1, latestAt: nil), at: 20).contains(.unsubscribe(1)))
        _ = rig.send(.returned(.leaseLost, failure: nil), at: 30)
        #expect(rig.machine.isComplete)
    }

    @Test func `a shutdown closes the subscription before its callback`() {
        var rig = pullingRig()
        let effects = rig.send(.shutdownAsked(deadline: at(10_000)), at: 100)
        #expect(effects.prefix(2) == [.unsubscribe(1), over("shutdown requested")])
        #expect(effects.contains(.call(.shutdownRequested, fence: at(9000))))
    }

    @Test func `a consumer that is gone is no end`() {
        var rig = pullingRig()
        #expect(rig.send(.consumerMissing(1, "gone"), at: 10) == [over("gone")])
        #expect(rig.machine.retrieval.end == nil)
        #expect(rig.advance(at: 5000) == [subscribe(2)])
        #expect(rig.send(.consumerMissing(2, "gone"), at: 5010) == [])
        #expect(rig.advance(at: 7010) == [subscribe(3)])
    }

    @Test func `a shard that is stopped is not read`() {
        var rig = pullingRig(fanOut { $0.onProcessorFailure = .stopShard })
        _ = rig.send(.pulled(1, fetchedBatch(1, through: 5, next: "5")), at: 10)
        let effects = rig.send(.returned(.processRecords(batch: 1), failure: "boom"), at: 20)
        #expect(effects.suffix(2) == [.unsubscribe(1), over("the shard is stopped")])
        #expect(rig.advance(at: 90_000) == [])
    }

    @Test func `a processor that starts anew gets a new subscription AT the checkpoint`() {
        var rig = pullingRig()
        _ = rig.send(.pulled(1, fetchedBatch(1, through: 5, next: "5")), at: 10)
        _ = rig.send(.checkpointRequested(1, .commit(seq(5))), at: 20)
        _ = rig.send(.written(.checkpoint(seq(5)), nil), at: 30)
        let effects = rig.send(.abandoned(.processRecords(batch: 1), "again"), at: 40)
        #expect(effects.suffix(2) == [.unsubscribe(1), over("reading starts anew")])
        #expect(rig.send(.pulled(1, fetchedBatch(2, through: 9, next: "9")), at: 50) == [.discard([2])])
        #expect(rig.advance(at: 600).last == .call(.initialize(seq(5), nil), fence: at(9000)))
        #expect(
            rig.send(.returned(.initialize(seq(5), nil), failure: nil), at: 600) == [
                .emit(event(.initialized, checkpoint: seq(5)))
            ])
        #expect(rig.advance(at: 5000) == [subscribe(2, .atSequenceNumber("5"))])
        _ = rig.send(.subscribed(2, latestAt: nil), at: 5010)
        #expect(rig.machine.retrieval.position == .atSequenceNumber("5"))
    }

    @Test func `a null continuation without children is looked up before the shard ends`() {
        var rig = pullingRig()
        #expect(rig.send(.pulled(1, emptyBatch(1, next: nil)), at: 10).last == .findChildren)
        #expect(rig.send(.childrenFound(closed: false, []), at: 20) == [])
        #expect(rig.advance(at: 5000) == [subscribe(2)])
    }

    @Test func `the children of the last event get their leases`() {
        var rig = pullingRig()
        let children = [child("c1", of: "s1"), child("c2", of: "s1")]
        #expect(
            rig.send(.pulled(1, emptyBatch(1, next: nil, children: children)), at: 10).last
                == .createChildren(children))
    }

    @Test func `a subscription for a tenure that is over is closed, and its event dropped`() {
        var rig = WorkerRig(fanOut())
        _ = rig.start([], [])
        #expect(
            rig.send(.shard(tenure: 7, .subscribed(3, latestAt: nil)), at: 10).calm
                == [.shard(tenure: 7, leaseKey: "", .unsubscribe(3))])
        #expect(
            rig.send(.shard(tenure: 7, .pulled(3, fetchedBatch(9, through: 3))), at: 10).calm
                == [.shard(tenure: 7, leaseKey: "", .discard([9]))])
    }
}
