import Leases
import Machine
import Testing

@testable import Fleet

struct FrugalityTests {
    /// A fleet machine whose last scan took `units`.
    private func observed(_ change: (inout FleetConfiguration) -> Void, units: Double) -> Watch {
        var configuration = FleetConfiguration.test()
        change(&configuration)
        var watch = Watch(configuration)
        watch.scan([item(lease(0))], units: units)
        return watch
    }

    @Test func `a given cap beats the usual one and the share of provisioned reads`() {
        #expect(observed({ _ in }, units: 500).machine.refreshInterval == .seconds(20))
        var watch = observed({ $0.readUnitsPerSecondMax = 10 }, units: 500)
        #expect(watch.machine.refreshInterval == .seconds(50))
        watch.machine.provisionedReads = 10_000
        #expect(watch.machine.refreshInterval == .seconds(50))
    }

    @Test func `a given cap holds for a fixed refresh too`() {
        let fixed = RefreshRate.every(.seconds(1))
        #expect(observed({ $0.refresh = fixed }, units: 500).machine.refreshInterval == .seconds(1))
        let capped = observed(
            {
                $0.refresh = fixed
                $0.readUnitsPerSecondMax = 100
            }, units: 500)
        #expect(capped.machine.refreshInterval == .seconds(5))
    }

    @Test func `a table in which nothing changes is read more slowly, until something does`() {
        var watch = observed({ _ in }, units: 1)
        for _ in 0..<11 { watch.scan([item(lease(0))]) }
        #expect(watch.machine.refreshInterval == .seconds(5))
        watch.scan([item(lease(0))])
        #expect(watch.machine.refreshInterval == .seconds(10))
        for _ in 0..<12 { watch.scan([item(lease(0))]) }
        #expect(watch.machine.refreshInterval == .seconds(20))
        watch.scan([item(lease(0, counter: 2))])
        #expect(watch.machine.refreshInterval == .seconds(5))
    }

    @Test func `a row that comes or goes is a change`() {
        var watch = observed({ _ in }, units: 1)
        for _ in 0..<12 { watch.scan([item(lease(0))]) }
        watch.scan([item(lease(0)), item(lease(1))])
        #expect(watch.machine.refreshInterval == .seconds(5))
        for _ in 0..<12 { watch.scan([item(lease(0)), item(lease(1))]) }
        #expect(watch.machine.refreshInterval == .seconds(10))
        watch.scan([item(lease(0))])
        #expect(watch.machine.refreshInterval == .seconds(5))
    }

    @Test func `where reading costs nothing it is never slowed, and a fixed refresh neither`() {
        for configuration: (inout FleetConfiguration) -> Void in [
            { $0.readUnitsPerSecondMax = .infinity }, { $0.refresh = .every(.seconds(5)) },
        ] {
            var watch = observed(configuration, units: 1)
            for _ in 0..<30 { watch.scan([item(lease(0))]) }
            #expect(watch.machine.refreshInterval == .seconds(5))
        }
    }
}
