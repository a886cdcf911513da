import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct LargeFleetTests {
    /// Any quadratic step would make this run for minutes.
    @Test func `ten thousand leases over two hundred workers are watched through splits and takes`() throws {
        let count = 10_000
        var watch = Watch()
        watch.noMigration()
        watch.list(
            (0..<count).map { shard($0, of: count, isClosed: $0 < 1000) }
                + (0..<1000).map { shard(count + $0, parent: id($0), range: range($0, of: count)) })
        for round in Int64(1)...4 {
            watch.scan(
                (0..<count).map { number in
                    let worker = round == 4 && number % 2 == 0 ? "x\(number % 200)" : "w\(number % 200)"
                    return item(lease(number, of: count, owner: worker, counter: round))
                })
            watch.wait(.seconds(5))
            watch.send(.woke)
        }
        let snapshot = watch.snapshot
        #expect(snapshot.leases.count == count + 1000)
        #expect(snapshot.leases.count { $0.state == .blocked } == 1000)
        #expect(snapshot.leases.count { $0.state == .drain } == 1000)
        #expect(snapshot.workers.count == 200)
        #expect(snapshot.events.count == 500)
        #expect(snapshot.totals.open == 9000)
        let starts = snapshot.leases.map { $0.hashKeyRange?.start ?? .max }
        #expect(starts == starts.sorted())
    }

    @Test func `a lineage of ten thousand generations is walked without recursion`() {
        let count = 10_000
        var watch = Watch()
        watch.list(
            (0..<count).map { number in
                shard(
                    number, parent: number == 0 ? nil : id(number - 1), range: .whole, isClosed: number < count - 1)
            })
        watch.scan([item(lease(0, of: 1))])
        let snapshot = watch.snapshot
        #expect(snapshot.leases.count { $0.state == .blocked } == count - 1)
        #expect(snapshot.leases.first { $0.id == id(count - 1) }?.parents == [id(count - 2)])
    }
}
