import AWSWire
import Dashboard
import Fleet
import Leases
import Machine
import Testing

/// A fleet of 3.x, whose leader assigns leases.
private func assigned(_ change: (inout FleetSnapshot) -> Void = { _ in }) -> FleetSnapshot {
    var fleet = Fixture.troubled(isWritable: true)
    fleet.generation = .v3
    fleet.mode = .leaderAssigned(clientVersion: "CLIENT_VERSION_3X_WITH_ROLLBACK")
    fleet.leaderHeartbeat = LeaderHeartbeat(
        workerID: Fixture.seven, age: .seconds(12), isExact: true, leaseDuration: .seconds(120))
    for index in fleet.workers.indices {
        fleet.workers[index].report = report(fleet.workers[index].workerID, cpu: 30 + 20 * index)
    }
    change(&fleet)
    return fleet
}

private func report(_ worker: String, cpu: Int, age: Duration = .seconds(12)) -> WorkerReport? {
    let samples: [String: AttributeValue] = [
        "C": .l([.n(cpu)]), "M": .l([.n(41)]), "NI": .l([.n(3)]), "NO": .l([.n(5)]),
    ]
    let range: AttributeValue = .l([.n(60)])
    var report = WorkerReport(
        [
            "wid": .s(worker), "lut": .n(1_769_860_800), "sts": .m(samples),
            "opr": .m(["C": range, "M": range, "NI": range, "NO": range]),
        ], keyName: "wid")
    report?.age = age
    return report
}

@Suite struct AssignScreenTests {
    @Test func aLeaseIsAssignedToAWorkerThatIsChosen() throws {
        let fleet = assigned()
        var screen = try Screen(.watch, fleet)
        // The lease at the cursor is that of the worker that is gone.
        #expect(try screen.press("a") == [])
        #expect(screen.text.contains("assign 0007 to"))
        #expect(
            try screen.press("<enter>")
                == [
                    .makePlan(.assign(lease: Fixture.shardID(7), worker: Fixture.seven, isHard: false))
                ])
    }

    @Test func theOnlyOtherWorkerIsTakenWithoutAChoice() throws {
        var screen = try Screen(
            .watch,
            assigned { fleet in
                for index in fleet.workers.indices where fleet.workers[index].workerID != Fixture.eight {
                    fleet.workers[index].report = nil
                }
            })
        #expect(
            try screen.press("a")
                == [.makePlan(.assign(lease: Fixture.shardID(7), worker: Fixture.eight, isHard: false))])
    }

    @Test func whereTheGenerationAllowsNothingTheKeySaysWhy() throws {
        var old = try Screen(.watch, Fixture.troubled(isWritable: true))
        #expect(try old.press("a") == [])
        #expect(old.foot.contains("take leases themselves"))
        #expect(!old.text.contains("a assign"))
        var silent = try Screen(
            .watch, assigned { fleet in for index in fleet.workers.indices { fleet.workers[index].report = nil } })
        #expect(try silent.press("a") == [])
        #expect(silent.foot.contains("no other worker reports"))
    }

    @Test func aHandoverIsCompleted() throws {
        let fleet = assigned { fleet in
            for index in fleet.leases.indices where fleet.leases[index].id == Fixture.shardID(7) {
                fleet.leases[index].checkpointOwner = Fixture.eight
            }
        }
        var screen = try Screen(.watch, fleet)
        #expect(try screen.press("a") == [.makePlan(.completeHandoff(lease: Fixture.shardID(7)))])
    }

    @Test func commandsDoTheSame() throws {
        var screen = try Screen(.watch, assigned())
        #expect(
            try screen.press(":assign 0 \(Fixture.eight) hard<enter>")
                == [.makePlan(.assign(lease: Fixture.shardID(0), worker: Fixture.eight, isHard: true))])
        screen.send(.planRefused("no"))
        #expect(try screen.press(":complete-handoff 0<enter>") == [])
        #expect(screen.foot.contains("is not being handed over"))
    }

    @Test func theHeaderAndTheWorkersTellWhatAFleetOf3xReports() throws {
        var screen = try Screen(
            .watch, assigned { $0.assignment = .leader(metrics: [.cpu, .memory]) }, width: 240, height: 60)
        try screen.press("4z")
        #expect(screen.text.contains("leader ip-10-0-1-7 12s"))
        #expect(screen.text.contains("the leader assigns by CPU, memory"))
        #expect(screen.text.contains("REPORT") && screen.text.contains("30%") && screen.text.contains("3%/5%"))
        var old = try Screen(.watch, Fixture.troubled(isWritable: true), width: 240, height: 60)
        try old.press("4z")
        #expect(!old.text.contains("REPORT"))
    }

    @Test func theDetailsOfALeaseTellOfItsWorker() throws {
        var screen = try Screen(.watch, assigned(), width: 160, height: 60)
        try screen.press("<enter>")
        #expect(screen.text.contains("its worker"))
        #expect(screen.text.contains("of 60 %, memory 41 of 60 %"))
    }
}
