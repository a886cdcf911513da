import Machine
import Testing

@testable import MultiLang

private func at(_ seconds: Double) -> Timestamp { .zero + .seconds(seconds) }

extension ChildMachine {
    /// The effects but for the reports.
    fileprivate mutating func step(_ event: Event, at seconds: Double = 0) -> [Effect] {
        handle(event, at: at(seconds)).filter { if case .report = $0 { false } else { true } }
    }

    /// Has it answer a request, the `number`th read being under way.
    fileprivate mutating func complete(_ action: ProtocolAction, read number: Int) {
        _ = step(.requested(action))
        _ = step(.written)
        _ = step(.received(number, ProtocolReadings([.status(responseFor: action.rawValue)])))
    }

    fileprivate static func ready(_ limits: ChildLimits = ChildLimits()) -> ChildMachine {
        var machine = ChildMachine(shardID: "s1", limits: limits)
        machine.complete(.initialize, read: 1)
        return machine
    }
}

private func checkpoint(_ number: String?, _ sub: Int64? = nil) -> ProtocolMessage {
    .checkpoint(sequenceNumber: number, subSequenceNumber: sub)
}

private func status(_ action: ProtocolAction) -> ProtocolMessage { .status(responseFor: action.rawValue) }

@Suite struct ChildMachineTests {
    @Test func `a request is written and read for, and its status ends it`() {
        var machine = ChildMachine(shardID: "s1", pid: 7)
        #expect(machine.step(.requested(.initialize), at: 1) == [.write(.initialize), .read(1), .wake(at(31))])
        #expect(machine.status.state == .working)
        #expect(machine.status.waitingSince == at(1))
        #expect(machine.step(.written, at: 2) == [])
        #expect(!machine.isFinished)
        #expect(machine.step(.received(1, ProtocolReadings([status(.initialize)])), at: 3) == [])
        #expect(machine.isFinished && !machine.isEnded)
        #expect(machine.status.state == .idle)
        #expect(machine.status.waitingSince == nil)
        #expect(machine.status.answered == 1)
    }

    @Test func `an answer before the request is written out waits for the rest of it`() {
        var machine = ChildMachine.ready()
        _ = machine.step(.requested(.processRecords))
        #expect(machine.step(.received(2, ProtocolReadings([status(.processRecords)]))) == [.read(3)])
        #expect(!machine.isFinished)
        #expect(machine.step(.written) == [])
        #expect(machine.isFinished)
    }

    @Test func `checkpoints are stored one at a time, each with its reply, and do not count as waiting`() {
        var machine = ChildMachine.ready()
        _ = machine.step(.requested(.processRecords))
        _ = machine.step(.written)
        let two = ProtocolReadings([checkpoint("5"), checkpoint(nil), status(.processRecords)], stray: 2)
        #expect(
            machine.step(.received(2, two), at: 1) == [
                .checkpoint(sequenceNumber: "5", subSequenceNumber: nil), .read(3),
            ])
        #expect(machine.status.waitingSince == nil)
        #expect(machine.status.stray == 2)
        #expect(
            machine.step(.checkpointed(error: "ThrottlingException", endsShard: false), at: 2) == [
                .reply(CheckpointReply(sequenceNumber: "5", error: "ThrottlingException"))
            ])
        #expect(machine.status.waitingSince == at(2))
        #expect(machine.step(.replied, at: 3) == [.checkpoint(sequenceNumber: nil, subSequenceNumber: nil)])
        #expect(machine.step(.checkpointed(error: nil, endsShard: false), at: 4) == [.reply(CheckpointReply())])
        #expect(machine.step(.replied, at: 5) == [])
        #expect(machine.isFinished)
        #expect(machine.status.checkpoints == 1)
        #expect(machine.status.refusedCheckpoints == 1)
    }

    @Test(arguments: [ProtocolAction.initialize, .leaseLost])
    func `where there is no checkpointer the answer is InvalidStateException`(action: ProtocolAction) {
        var machine = ChildMachine(shardID: "s1")
        _ = machine.step(.requested(action))
        _ = machine.step(.written)
        #expect(
            machine.step(.received(1, ProtocolReadings([checkpoint("5", 2)]))) == [
                .reply(
                    CheckpointReply(sequenceNumber: "5", subSequenceNumber: 2, error: "InvalidStateException")),
                .read(2),
            ])
    }

    @Test func `a checkpoint after leaseLost is refused before the input is closed`() {
        var machine = ChildMachine.ready()
        _ = machine.step(.requested(.leaseLost))
        _ = machine.step(.written)
        let late = ProtocolReadings([status(.leaseLost), checkpoint(nil)])
        #expect(
            machine.step(.received(2, late)) == [
                .reply(CheckpointReply(error: "InvalidStateException")), .read(3), .wake(at(10)),
            ])
        #expect(machine.step(.replied) == [.closeInput])
        #expect(machine.status.state == .ending)
    }

    @Test func `a checkpoint after the answer belongs to the next request`() {
        var machine = ChildMachine.ready()
        _ = machine.step(.requested(.processRecords))
        _ = machine.step(.written)
        _ = machine.step(.received(2, ProtocolReadings([status(.processRecords), checkpoint("9")])))
        #expect(machine.isFinished)
        #expect(machine.step(.requested(.processRecords)) == [.write(.processRecords), .read(3), .wake(at(30))])
        #expect(machine.step(.written) == [.checkpoint(sequenceNumber: "9", subSequenceNumber: nil)])
    }

    @Test func `an answer that nobody asked for is stray`() {
        var machine = ChildMachine.ready()
        _ = machine.step(.requested(.processRecords))
        _ = machine.step(.written)
        _ = machine.step(.received(2, ProtocolReadings([status(.processRecords), status(.processRecords)])))
        _ = machine.step(.requested(.leaseLost))
        #expect(!machine.isFinished)
        #expect(machine.status.stray == 1)
        #expect(machine.failure == nil)
    }

    @Test func `the wrong answer fails the child, which gets time to end`() {
        var machine = ChildMachine.ready()
        _ = machine.step(.requested(.processRecords))
        _ = machine.step(.written)
        #expect(
            machine.step(.received(2, ProtocolReadings([status(.shardEnded)])), at: 1) == [
                .closeInput, .read(3), .wake(at(3)),
            ])
        #expect(machine.step(.outputEnded, at: 1) == [])
        #expect(machine.step(.exited(.exited(0)), at: 1) == [.abandon])
        #expect(machine.isEnded)
        #expect(machine.failure == "it answered “shardEnded” to processRecords (it exited with status 0)")
    }

    @Test func `a child that is gone fails the request, and what it said before counts`() {
        var machine = ChildMachine.ready()
        _ = machine.step(.requested(.processRecords))
        _ = machine.step(.written)
        #expect(machine.step(.exited(.exited(3))) == [.wake(at(2))])
        #expect(machine.step(.received(2, ProtocolReadings([checkpoint("5")]))) != [])
        #expect(machine.step(.outputEnded) == [])
        #expect(
            machine.step(.checkpointed(error: nil, endsShard: false)) == [.reply(CheckpointReply(sequenceNumber: "5"))])
        let effects = machine.step(.writeFailed("Broken pipe"))
        #expect(effects == [.closeInput, .abandon])
        #expect(machine.failure == "its input is closed: Broken pipe (it exited with status 3)")
    }

    @Test func `output that others keep open is waited for only so long`() {
        var machine = ChildMachine.ready()
        _ = machine.step(.requested(.processRecords))
        _ = machine.step(.written)
        _ = machine.step(.exited(.killed(9)), at: 1)
        #expect(machine.step(.woke(at(3)), at: 3) == [.closeInput, .abandon])
        #expect(machine.failure == "it was ended by signal 9 during processRecords")
    }

    @Test func `a child that died at rest is not asked`() {
        var machine = ChildMachine.ready()
        _ = machine.step(.requested(.processRecords))
        _ = machine.step(.written)
        _ = machine.step(.exited(.exited(1)))
        _ = machine.step(.received(2, ProtocolReadings([status(.processRecords)])))
        #expect(machine.isFinished && !machine.isEnded)
        let effects = machine.step(.requested(.processRecords), at: 5)
        #expect(effects == [.closeInput, .abandon])
        #expect(machine.isEnded)
        #expect(machine.failure == "it had exited with status 1 before it was asked to processRecords")
    }

    @Test func `closed output alone is a failure, with SIGTERM and SIGKILL for the child that stays`() {
        var machine = ChildMachine.ready()
        _ = machine.step(.requested(.processRecords))
        _ = machine.step(.written)
        #expect(machine.step(.outputEnded, at: 1) == [.closeInput, .wake(at(3))])
        #expect(
            machine.step(.woke(at(3)), at: 3) == [
                .warn("it goes on after its input was closed; it gets SIGTERM"), .signal(.terminate), .wake(at(5)),
            ])
        #expect(
            machine.step(.woke(at(5)), at: 5) == [
                .warn("it goes on after SIGTERM; it gets SIGKILL"), .signal(.kill), .wake(at(7)),
            ])
        #expect(machine.step(.exited(.killed(9)), at: 5) == [.abandon])
        #expect(machine.failure == "it closed its output during processRecords (it was ended by signal 9)")
    }

    @Test func `after leaseLost the child has ten seconds to clean up`() {
        var machine = ChildMachine.ready()
        _ = machine.step(.requested(.leaseLost))
        _ = machine.step(.written)
        #expect(
            machine.step(.received(2, ProtocolReadings([status(.leaseLost)]))) == [
                .closeInput, .read(3), .wake(at(10)),
            ])
        // What it still says is drained.
        #expect(machine.step(.received(3, ProtocolReadings([], stray: 4)), at: 1) == [.read(4)])
        #expect(machine.step(.outputEnded, at: 2) == [])
        #expect(machine.step(.exited(.exited(0)), at: 9) == [.abandon])
        #expect(machine.failure == nil)
        #expect(machine.status.state == .ended)
        #expect(machine.status.stray == 4)
    }

    @Test func `a shardEnded without SHARD_END leaves the child alive, and it is asked again`() {
        var machine = ChildMachine.ready()
        _ = machine.step(.requested(.shardEnded))
        _ = machine.step(.written)
        _ = machine.step(.received(2, ProtocolReadings([checkpoint(nil)])))
        _ = machine.step(.checkpointed(error: "ThrottlingException", endsShard: false))
        _ = machine.step(.replied)
        #expect(machine.step(.received(3, ProtocolReadings([status(.shardEnded)]))) == [])
        #expect(machine.isFinished && !machine.isEnded)

        #expect(machine.step(.requested(.shardEnded)) == [.write(.shardEnded), .read(4), .wake(at(30))])
        _ = machine.step(.written)
        _ = machine.step(.received(4, ProtocolReadings([checkpoint(nil)])))
        _ = machine.step(.checkpointed(error: nil, endsShard: true))
        _ = machine.step(.replied)
        #expect(machine.step(.received(5, ProtocolReadings([status(.shardEnded)]))).first == .closeInput)
        #expect(machine.status.state == .ending)
    }

    @Test func `silence beyond timeoutInSeconds is a failure; a checkpoint begins the wait anew`() {
        var limits = ChildLimits()
        limits.responseTimeout = .seconds(5)
        var machine = ChildMachine.ready(limits)
        #expect(machine.step(.requested(.processRecords)) == [.write(.processRecords), .read(2), .wake(at(5))])
        _ = machine.step(.written)
        _ = machine.step(.received(2, ProtocolReadings([checkpoint("5")])), at: 4)
        // The lease table's time is not the child's.
        #expect(machine.step(.woke(at(5)), at: 5) == [])
        _ = machine.step(.checkpointed(error: nil, endsShard: false), at: 9)
        _ = machine.step(.replied, at: 10)
        #expect(machine.step(.woke(at(14)), at: 14) == [.wake(at(15))])
        #expect(machine.step(.woke(at(15)), at: 15) == [.closeInput, .wake(at(17))])
        _ = machine.step(.exited(.exited(0)), at: 16)
        _ = machine.step(.outputEnded, at: 16)
        #expect(machine.failure == "it did not answer processRecords within 5 s (it exited with status 0)")
    }

    @Test func `without a timeout a slow child is only spoken of, more and more rarely`() {
        var machine = ChildMachine.ready()
        _ = machine.step(.requested(.processRecords))
        _ = machine.step(.written)
        #expect(
            machine.step(.woke(at(30)), at: 30) == [
                .warn("waiting for its answer to processRecords for 30 s"), .wake(at(90)),
            ])
        #expect(
            machine.step(.woke(at(90)), at: 90) == [
                .warn("waiting for its answer to processRecords for 90 s"), .wake(at(210)),
            ])
        _ = machine.step(.received(2, ProtocolReadings([status(.processRecords)])), at: 100_000)
        #expect(machine.isFinished)
        #expect(machine.failure == nil)
    }

    @Test func `a failing child's checkpoint that is being stored is waited for`() {
        var machine = ChildMachine.ready()
        _ = machine.step(.requested(.processRecords))
        _ = machine.step(.written)
        _ = machine.step(.received(2, ProtocolReadings([checkpoint("5")])))
        _ = machine.step(.exited(.exited(1)))
        _ = machine.step(.outputEnded)
        #expect(!machine.isFinished)
        _ = machine.step(.checkpointed(error: nil, endsShard: false))
        #expect(machine.step(.replied) == [.closeInput, .abandon])
    }

    @Test func `a flood of checkpoints is left in the pipe`() {
        var machine = ChildMachine.ready()
        _ = machine.step(.requested(.processRecords))
        let flood = ProtocolReadings(Array(repeating: checkpoint("5"), count: 300))
        #expect(machine.step(.received(2, flood)) == [])
        #expect(machine.step(.written) == [.checkpoint(sequenceNumber: "5", subSequenceNumber: nil)])
    }

    @Test func `late events of a finished request change nothing`() {
        var machine = ChildMachine.ready()
        #expect(machine.step(.woke(at(30)), at: 31) == [])
        #expect(machine.step(.replied) == [])
        #expect(machine.step(.checkpointed(error: nil, endsShard: true)) == [])
        #expect(machine.step(.writeFailed("x")) == [])
        #expect(machine.isFinished && !machine.isEnded && machine.failure == nil)
    }
}
