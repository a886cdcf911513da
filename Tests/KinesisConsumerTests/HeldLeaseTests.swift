import AWSWire
import Leases
import Machine
import Testing

@testable import KinesisConsumer

private func row(_ counter: Int64, _ owner: String? = "me", _ checkpoint: Checkpoint = .trimHorizon) -> Lease {
    leaseRow(owner: owner, counter: counter, checkpoint: checkpoint)
}

/// Held since the origin with counter 5: renewals every 2 975 ms, the fence 9 s after the last success was sent.
private func held(_ lease: Lease = row(5)) -> HeldLease {
    HeldLease(
        lease, table: "app", owner: "me", failoverTime: .seconds(9), renewInterval: .milliseconds(2975),
        sentAt: .zero)
}

private func renewal(_ lease: Lease) -> HeldLease.Action { .send(LeaseTable.renew(table: "app", lease)) }
private func checkpointing(_ lease: Lease, _ position: Checkpoint) -> HeldLease.Action {
    .send(LeaseTable.checkpoint(table: "app", lease, at: position))
}

@Suite struct HeldLeaseTests {
    @Test func `nothing is sent before the renewal is due`() {
        var lease = held()
        #expect(lease.advance(at(2974)) == [])
        #expect(lease.nextDeadline == at(2975))
        #expect(lease.advance(at(2975)) == [renewal(row(5))])
    }

    @Test func `one write is in flight at a time`() {
        var lease = held()
        lease.enqueue(.checkpoint(seq(7)))
        #expect(lease.advance(at(2975)) == [renewal(row(5))])
        #expect(lease.advance(at(8000)) == [])
        #expect(lease.doubted() == [])
        #expect(lease.written(.stored(nil), at: at(8100)) == [])
        #expect(lease.advance(at(8100)) == [renewal(row(6))])
        #expect(lease.written(.stored(nil), at: at(8200)) == [])
        #expect(lease.advance(at(8200)) == [checkpointing(row(7), seq(7))])
        #expect(lease.advance(at(8300)) == [])
        #expect(lease.written(.stored(nil), at: at(8300)) == [.finished(.checkpoint(seq(7)), nil)])
        #expect(lease.lease == row(8, "me", seq(7)))
    }

    @Test func `a checkpoint never replaces a renewal`() {
        var lease = held()
        lease.enqueue(.checkpoint(seq(7)))
        #expect(lease.advance(at(2900)) == [checkpointing(row(5), seq(7))])
        #expect(lease.written(.stored(nil), at: at(2950)) == [.finished(.checkpoint(seq(7)), nil)])
        #expect(lease.nextDeadline == at(2975))
        #expect(lease.advance(at(2975)) == [renewal(row(6, "me", seq(7)))])
    }

    @Test func `the fence counts from when the last success was sent, not from when it was answered`() {
        var lease = held()
        _ = lease.advance(at(2975))
        _ = lease.written(.stored(nil), at: at(5000))
        #expect(lease.fence == at(11_975))
        #expect(lease.deliveryFence == at(8975))
        lease.enqueue(.checkpoint(seq(7)))
        _ = lease.advance(at(5000))
        _ = lease.written(.stored(nil), at: at(5800))
        #expect(lease.fence == at(14_000))
    }

    @Test func `at the fence the lease is over, and what waits is refused`() {
        var lease = held()
        lease.enqueue(.checkpoint(seq(7)))
        _ = lease.advance(at(2975))
        #expect(lease.advance(at(8999)) == [])
        #expect(
            lease.advance(at(9000)) == [
                .finished(.checkpoint(seq(7)), .shutdown), .lost("not renewed for 9000 ms"),
            ])
        #expect(lease.written(.stored(nil), at: at(9001)) == [])
        #expect(lease.advance(at(9002)) == [])
        #expect(lease.doubted() == [])
        #expect(lease.isOver)
        #expect(lease.nextDeadline == .never)
    }

    @Test func `after a lost answer the row is read, and an applied write counts from when it was sent`() {
        var lease = held()
        _ = lease.advance(at(2975))
        #expect(lease.written(.lost("timed out"), at: at(3975)) == [])
        #expect(lease.advance(at(3975)) == [])
        #expect(lease.nextDeadline == at(4075))
        #expect(lease.advance(at(4075)) == [.read])
        #expect(lease.advance(at(4100)) == [])
        #expect(lease.read(row(6), failed: false, at: at(4200)) == [])
        #expect(lease.lease.leaseCounter == 6)
        #expect(lease.fence == at(11_975))
        #expect(lease.advance(at(5949)) == [])
    }

    @Test func `a lost write that was not applied is made up for by a renewal at once`() {
        var lease = held()
        lease.enqueue(.checkpoint(seq(7)))
        _ = lease.advance(at(1000))
        _ = lease.written(.lost("timed out"), at: at(1200))
        _ = lease.advance(at(1300))
        #expect(lease.read(row(5), failed: false, at: at(1400)) == [renewal(row(5))])
        #expect(lease.written(.stored(nil), at: at(1500)) == [])
        #expect(lease.advance(at(1500)) == [checkpointing(row(6), seq(7))])
        #expect(lease.fence == at(10_400))
    }

    @Test func `a checkpoint whose answers are lost again and again goes back to its caller while renewals pass`() {
        var lease = held()
        lease.enqueue(.checkpoint(seq(7)))
        var answers: [HeldLease.Action] = []
        var sent = 0
        for now in stride(from: Int64(100), to: 60_000, by: 100) where answers.isEmpty {
            for action in lease.advance(at(now)) {
                let next: [HeldLease.Action]
                if case .read = action {
                    next = lease.read(lease.lease, failed: false, at: at(now))
                } else if action == checkpointing(lease.lease, seq(7)) {
                    sent += 1
                    next = lease.written(.lost("timed out"), at: at(now))
                } else {
                    next = lease.written(.stored(nil), at: at(now))
                }
                answers += next.filter { if case .finished = $0 { true } else { false } }
                // What is sent in answer to a read is answered, too.
                for case .send in next { _ = lease.written(.stored(nil), at: at(now)) }
            }
        }
        #expect(sent == 6)
        #expect(answers == [.finished(.checkpoint(seq(7)), .dependency("the lease table did not answer"))])
        #expect(!lease.isOver)
    }

    @Test func `a checkpoint whose answer was lost is told as stored where the row shows it`() {
        var lease = held()
        lease.enqueue(.checkpoint(seq(7)))
        _ = lease.advance(at(1000))
        _ = lease.written(.lost("timed out"), at: at(1200))
        _ = lease.advance(at(1300))
        #expect(
            lease.read(row(6, "me", seq(7)), failed: false, at: at(1400)) == [.finished(.checkpoint(seq(7)), nil)])
        #expect(lease.lease == row(6, "me", seq(7)))
    }

    @Test(arguments: [
        (row(6, "you"), "taken by you"), (row(6, nil), "taken by nobody"),
        (row(7), "its counter was changed by another hand"),
        (row(6, "me", seq(3)), "its counter was changed by another hand"),
        (nil, "the lease's row is gone"),
    ])
    func `after a lost renewal the row shows that the lease is not ours`(image: Lease?, reason: String) {
        var lease = held()
        _ = lease.advance(at(2975))
        _ = lease.written(.lost("timed out"), at: at(3000))
        _ = lease.advance(at(3100))
        #expect(lease.read(image, failed: false, at: at(3200)) == [.lost(reason)])
        #expect(lease.isOver)
    }

    @Test func `a lost write that arrives late makes the next one's condition fail, which is no loss`() {
        var lease = held()
        _ = lease.advance(at(2975))
        _ = lease.written(.lost("timed out"), at: at(3000))
        _ = lease.advance(at(3100))
        #expect(lease.read(row(5), failed: false, at: at(3200)) == [renewal(row(5))])
        #expect(lease.written(.conditionFailed(row(6)), at: at(3300)) == [])
        #expect(!lease.isOver)
        #expect(lease.lease.leaseCounter == 6)
        #expect(lease.fence == at(11_975))
    }

    @Test func `a failed condition with the row's image decides at once`() {
        var lease = held()
        lease.enqueue(.checkpoint(seq(7)))
        _ = lease.advance(at(1000))
        #expect(
            lease.written(.conditionFailed(row(6, "you")), at: at(1100)) == [
                .finished(.checkpoint(seq(7)), .shutdown), .lost("taken by you"),
            ])
    }

    @Test func `a failed condition without an image is decided by a read`() {
        var lease = held()
        _ = lease.advance(at(2975))
        #expect(lease.written(.conditionFailed(nil), at: at(3000)) == [.read])
        #expect(lease.read(row(6, "you"), failed: false, at: at(3100)) == [.lost("taken by you")])
    }

    @Test func `a read that fails is repeated after a pause, until the fence`() {
        var lease = held()
        _ = lease.advance(at(2975))
        _ = lease.written(.lost("timed out"), at: at(3000))
        #expect(lease.advance(at(3100)) == [.read])
        #expect(lease.read(nil, failed: true, at: at(3200)) == [])
        #expect(lease.advance(at(3399)) == [])
        #expect(lease.advance(at(3400)) == [.read])
        #expect(lease.advance(at(9000)) == [.lost("not renewed for 9000 ms")])
        #expect(lease.read(row(5), failed: false, at: at(9001)) == [])
    }

    @Test(arguments: [
        (AWSError.Meaning.throttled, CheckpointError.throttling), (.denied, .dependency("no")),
        (.notFound, .invalidState("no")),
    ])
    func `a checkpoint that fails three times goes back to its caller`(
        meaning: AWSError.Meaning, error: CheckpointError
    ) {
        var lease = held()
        lease.enqueue(.checkpoint(seq(7)))
        #expect(lease.advance(at(0)) == [checkpointing(row(5), seq(7))])
        #expect(lease.written(.failed(meaning, "no"), at: at(0)) == [])
        #expect(lease.advance(at(99)) == [])
        #expect(lease.advance(at(100)) == [checkpointing(row(5), seq(7))])
        #expect(lease.written(.failed(meaning, "no"), at: at(100)) == [])
        #expect(lease.advance(at(300)) == [checkpointing(row(5), seq(7))])
        #expect(lease.written(.failed(meaning, "no"), at: at(300)) == [.finished(.checkpoint(seq(7)), error)])
        #expect(lease.advance(at(2000)) == [])
        #expect(!lease.isOver)
    }

    @Test func `a throttled renewal is tried until the fence and never moves it`() {
        var lease = held()
        var sent = 0
        for now in stride(from: Int64(2975), to: 9000, by: 25) {
            let actions = lease.advance(at(now))
            if actions.isEmpty { continue }
            #expect(actions == [renewal(row(5))])
            sent += 1
            #expect(lease.written(.failed(.throttled, "slow"), at: at(now)) == [])
        }
        #expect(3...20 ~= sent)
        #expect(lease.advance(at(9000)) == [.lost("not renewed for 9000 ms")])
    }

    @Test func `a release goes without a renewal before it, and is the end`() {
        var lease = held()
        lease.enqueue(.release)
        #expect(lease.advance(at(2975)) == [.send(LeaseTable.release(table: "app", row(5)))])
        #expect(lease.written(.stored(nil), at: at(3000)) == [.released])
        #expect(lease.lease == row(6, nil))
        #expect(lease.isOver)
        #expect(lease.advance(at(3001)) == [])
    }

    @Test func `a release whose answer was lost is done where nobody owns the row`() {
        var lease = held()
        lease.enqueue(.release)
        _ = lease.advance(at(100))
        _ = lease.written(.lost("timed out"), at: at(200))
        #expect(lease.advance(at(300)) == [.read])
        #expect(lease.read(row(6, nil), failed: false, at: at(400)) == [.released])
    }

    @Test func `a release that comes too late is a loss`() {
        var lease = held()
        lease.enqueue(.release)
        _ = lease.advance(at(100))
        #expect(
            lease.written(.conditionFailed(row(6, "you")), at: at(200)) == [
                .finished(.release, .shutdown), .lost("taken by you"),
            ])
    }

    @Test func `a lease that is given up without release writes nothing more`() {
        var lease = held()
        lease.enqueue(.checkpoint(seq(7)))
        #expect(
            lease.abandon() == [.finished(.checkpoint(seq(7)), .shutdown), .lost("given up without release")])
        #expect(lease.abandon() == [])
        #expect(lease.advance(at(2975)) == [])
    }

    @Test func `a doubt reads the row, and a row that is still ours is renewed at once`() {
        var lease = held()
        #expect(lease.doubted() == [.read])
        #expect(lease.doubted() == [])
        #expect(lease.advance(at(100)) == [])
        #expect(lease.read(row(5), failed: false, at: at(200)) == [renewal(row(5))])
        #expect(!lease.isOver)
    }

    @Test func `noting the children leaves counter and fence as they are`() {
        var lease = held()
        lease.enqueue(.setChildren(["c2", "c1"]))
        #expect(lease.advance(at(100)) == [.send(LeaseTable.setChildren(table: "app", row(5), ["c2", "c1"]))])
        #expect(lease.written(.stored(nil), at: at(200)) == [.finished(.setChildren(["c2", "c1"]), nil)])
        #expect(lease.lease == leaseRow(owner: "me", counter: 5, children: ["c1", "c2"]))
        #expect(lease.fence == at(9000))
    }

    @Test func `a prepared checkpoint stays pending until one is committed`() {
        var lease = held()
        let pending = PendingCheckpoint(checkpoint: seq(7), state: Bytes("state"))
        lease.enqueue(.prepare(pending))
        #expect(lease.advance(at(0)) == [.send(LeaseTable.prepare(table: "app", row(5), pending: pending))])
        #expect(lease.written(.stored(nil), at: at(10)) == [.finished(.prepare(pending), nil)])
        #expect(lease.lease.pendingCheckpoint == pending)
        lease.enqueue(.checkpoint(seq(7)))
        _ = lease.advance(at(20))
        _ = lease.written(.stored(nil), at: at(30))
        #expect(lease.lease == row(7, "me", seq(7)))
    }

    @Test func `a counter at the end of its range traps nobody`() {
        var lease = held(row(.max))
        _ = lease.advance(at(2975))
        #expect(lease.written(.lost("timed out"), at: at(3000)) == [])
        _ = lease.advance(at(3100))
        #expect(lease.read(row(.min), failed: false, at: at(3200)) == [])
        #expect(lease.lease.leaseCounter == .min)
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func `whatever answers come, one request is in flight and none is sent at or after the fence`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var lease = held()
        var now: Int64 = 0
        var inFlight: HeldLease.Action?
        var violations: [String] = []
        func check(_ actions: [HeldLease.Action]) {
            for action in actions {
                switch action {
                case .send, .read:
                    if inFlight != nil { violations.append("two requests at \(now)") }
                    if at(now) >= lease.fence { violations.append("a request after the fence at \(now)") }
                    inFlight = action
                case .lost, .released, .finished: break
                }
            }
        }
        for step in 0..<2000 where !lease.isOver {
            now += Int64.random(in: 0...200, using: &generator)
            if generator.chance(0.1) { lease.enqueue(.checkpoint(seq(UInt64(step)))) }
            if generator.chance(0.02) { check(lease.doubted()) }
            check(lease.advance(at(now)))
            guard let request = inFlight, generator.chance(0.7) else { continue }
            inFlight = nil
            if request == .read {
                check(lease.read(lease.lease, failed: generator.chance(0.2), at: at(now)))
            } else if generator.chance(0.8) {
                check(lease.written(.stored(nil), at: at(now)))
            } else if generator.chance(0.5) {
                check(lease.written(.failed(.throttled, "slow"), at: at(now)))
            } else {
                check(lease.written(.lost("timed out"), at: at(now)))
            }
        }
        #expect(violations == [])
    }
}
