import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct MetricLagTests {
    private func watched(_ count: Int) -> Watch {
        var configuration = FleetConfiguration.test(stream: nil)
        configuration.measures = [.cloudwatch]
        var watch = Watch(configuration)
        watch.scan((0..<count).map { lease($0, of: count) })
        return watch
    }

    private func asked(_ effects: [FleetMachine.Effect]) -> [String]? {
        for case .readMetricLags("orders-app", let shards, _) in effects { return shards }
        return nil
    }

    private func minute(_ watch: Watch) -> UnixTime { Watch.noon + (watch.now - .zero) + .seconds(-60) }

    @Test func `what workers publish is the delivered lag, until it is old`() {
        var watch = watched(1)
        #expect(asked(watch.effects) == [id(0)])
        watch.send(.metricLagsRead([MetricLag(shardID: id(0), milliseconds: 4200, at: minute(watch))], watch.info()))
        #expect(watch.view(id(0))?.deliveredLag == Lag(4200, .cloudwatch))
        watch.wait(.seconds(241))
        watch.scan([lease(0, of: 1, counter: 2)])
        #expect(watch.view(id(0))?.deliveredLag == nil)
    }

    @Test func `our own engine knows better`() {
        var watch = watched(1)
        watch.send(.metricLagsRead([MetricLag(shardID: id(0), milliseconds: 4200, at: minute(watch))], watch.info()))
        watch.send(
            .happened(
                WorkerEvent(
                    .recordsProcessed, at: Watch.noon, workerID: "w1", shardID: id(0), records: 1,
                    millisBehindLatest: 7)))
        #expect(watch.view(id(0))?.deliveredLag == Lag(7, .exact))
    }

    @Test func `a hundred shards a minute, each in its turn`() {
        var watch = watched(150)
        var seen: [String] = []
        for turn in 0..<3 {
            let shards = asked(watch.effects) ?? []
            #expect(shards.count == 100)
            seen += shards
            watch.send(.metricLagsRead([], watch.info()))
            watch.wait(.seconds(59))
            watch.scan((0..<150).map { lease($0, of: 150, counter: Int64(turn + 2)) })
            #expect(asked(watch.effects) == nil)
            watch.wait(.seconds(1))
            watch.send(.woke)
        }
        #expect(Set(seen.prefix(200)).count == 150)
    }

    @Test func `a denied read is a remark that names the permission`() throws {
        var watch = watched(1)
        watch.send(.metricLagsFailed(awsError("AccessDenied", status: 403), watch.info()))
        let problem = try #require(watch.problem(.denied))
        #expect(problem.severity == .info)
        #expect(problem.message.contains("CloudWatch's metrics of orders-app"))
        #expect(problem.message.contains("must allow cloudwatch:GetMetricData"))
        #expect(
            LeastPolicy.actions(for: .watch, measuring: [.cloudwatch]).contains("cloudwatch:GetMetricData"))
    }

    @Test func `a recording shows it again`() throws {
        let watch = watched(1)
        var recorder = Recorder(watch.machine.configuration)
        var lines = [recorder.header(at: .zero, wallClock: Watch.noon)]
        lines += recorder.lines(for: .scanned(FleetMachine.TablePage([item(lease(0))]), watch.info()), at: .zero)
        lines += recorder.lines(
            for: .metricLagsRead([MetricLag(shardID: id(0), milliseconds: 4200, at: minute(watch))], watch.info()),
            at: .zero)
        var anonymizer = Anonymizer()
        for lines in [lines, try lines.compactMap { try anonymizer.line($0) }] {
            var replay = try Replay(header: try #require(lines.first))
            for line in lines.dropFirst() { _ = try replay.next(line) }
            #expect(replay.finish().leases.first?.deliveredLag == Lag(4200, .cloudwatch))
        }
    }
}
