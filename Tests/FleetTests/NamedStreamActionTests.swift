import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

/// What is measured of, done to and said of the rows of a table of several streams.
struct NamedStreamActionTests {
    private typealias Streams = NamedStreamTests

    private static let orders = Streams.orders
    /// Of another account.
    private static let clicks = Streams.stream("clicks", account: "999999999999")
    private static let address = "arn:aws:kinesis:us-east-1:999999999999:stream/clicks"

    private func watch(
        _ measures: Set<LagMeasure> = [], stream: String? = nil, missing: Bool = false
    ) -> Watch {
        var configuration = FleetConfiguration.test(stream: stream)
        configuration.measures = measures
        let position = checkpoint(age: .seconds(20))
        var rows = [Self.orders, Self.clicks].map { Streams.row($0, 0, checkpoint: position) }
        rows.append(Streams.row(Self.orders, 1, checkpoint: checkpoint(age: .seconds(20), of: 1)))
        if !missing { rows.append(Streams.row(Self.clicks, 1, checkpoint: checkpoint(age: .seconds(20), of: 1))) }
        var watch = Streams.watch(rows, configuration)
        watch.wait(.seconds(3))
        for index in rows.indices { rows[index].leaseCounter = 2 }
        watch.scan(rows)
        return watch
    }

    private func key(_ number: Int, _ stream: StreamID = clicks) -> String { stream.leaseKey(id(number)) }

    private func refusal(_ make: () throws(Refusal) -> Plan) -> Refusal? {
        do throws(Refusal) {
            _ = try make()
            return nil
        } catch { return error }
    }

    // MARK: - Measured lag

    @Test func `a probe reads the stream of its row`() {
        var watch = watch([.probe])
        var probes: [LagProbe] = []
        for _ in 0..<10 {
            for case .probe(let probe) in watch.effects { probes.append(probe) }
            watch.wait(.milliseconds(100))
            watch.send(.woke)
        }
        #expect(
            Set(probes.map { "\($0.stream) \($0.leaseKey)" }) == [
                "orders \(key(0, Self.orders))", "orders \(key(1, Self.orders))", "\(Self.address) \(key(0))",
                "\(Self.address) \(key(1))",
            ])
        guard let probe = probes.first(where: { $0.leaseKey == key(1) }) else { return }
        #expect(probe.shardID == id(1))
        watch.send(.probed(probe, LagProbe.Answer(firstUnread: nil, millisBehindLatest: 0), watch.info()))
        #expect(watch.view(key(1))?.checkpointLag == Lag(0, .probe))
        #expect(watch.view(key(1, Self.orders))?.checkpointLag?.source == .estimate)
    }

    @Test func `with a stream given only its shards are probed, and only its metrics read`() {
        var watch = watch([.probe, .cloudwatch], stream: "orders")
        var streams: Set<String> = []
        var asked: [String] = []
        for turn in 0..<13 {
            for effect in watch.effects {
                if case .probe(let probe) = effect { streams.insert(probe.stream) }
                if case .readMetricLags(_, let shards, _) = effect { asked += shards }
            }
            watch.wait(.seconds(6))
            watch.send(turn == 0 ? .metricLagsRead([], watch.info()) : .woke)
        }
        #expect(streams == ["orders"])
        #expect(Set(asked) == [key(0, Self.orders), key(1, Self.orders)])
    }

    @Test func `what CloudWatch says is of the row whose key was asked for`() {
        var configuration = FleetConfiguration.test(stream: nil)
        configuration.measures = [.cloudwatch]
        var watch = Watch(configuration)
        watch.scan([Streams.row(Self.orders, 0), Streams.row(Self.clicks, 0)])
        var asked: [String] = []
        for case .readMetricLags(_, let shards, _) in watch.effects { asked = shards }
        #expect(Set(asked) == [key(0), key(0, Self.orders)])
        let minute = Watch.noon + .seconds(-60)
        watch.send(.metricLagsRead([MetricLag(shardID: key(0), milliseconds: 4200, at: minute)], watch.info()))
        #expect(watch.view(key(0))?.deliveredLag == Lag(4200, .cloudwatch))
        #expect(watch.view(key(0, Self.orders))?.deliveredLag == nil)
    }

    // MARK: - Actions

    @Test func `a shard's id that two streams have is refused, with the keys to choose from`() throws {
        let fleet = watch().snapshot
        let refusal = refusal { () throws(Refusal) in try Plan.evict(id(0), in: fleet) }
        #expect(refusal?.reason == .ambiguous)
        #expect(refusal?.description.contains(key(0)) == true)
        let plan = try Plan.evict("clicks:\(id(0))", in: fleet)
        #expect(plan.intent.leaseKey == key(0))
        #expect(plan.shardIDs == [key(0)])
        #expect(plan.title == "evict w1 from clicks:\(id(0))")
        #expect(try Plan.evict(key(1, Self.orders), in: fleet).intent.leaseKey == key(1, Self.orders))
        #expect(
            self.refusal { () throws(Refusal) in try Plan.evict("none:\(id(0))", in: fleet) }?.reason == .noSuchShard)
    }

    @Test func `a split and a merge go to the stream of the row`() throws {
        let fleet = watch().snapshot
        guard case .split(Self.address, let shard, _) = try Plan.split(key(0), in: fleet).call else {
            Issue.record("no split of the row's stream")
            return
        }
        #expect(shard.shardID == id(0))
        let merge = try Plan.merge(key(1, Self.orders), with: key(0, Self.orders), in: fleet)
        guard case .merge("orders", let low, let high) = merge.call else {
            Issue.record("no merge of the row's stream")
            return
        }
        #expect([low.shardID, high.shardID] == [id(0), id(1)])
        #expect(merge.shardIDs == [key(1, Self.orders), key(0, Self.orders)])
        guard case .merge(Self.address, _, _) = try Plan.merge(key(0), in: fleet).call else {
            Issue.record("no neighbour in the row's stream")
            return
        }
    }

    @Test func `a call names another account's stream by its ARN`() throws {
        let fleet = watch().snapshot
        let request = try #require(try Plan.split(key(0), in: fleet).call.request)
        #expect(request.input["StreamARN"]?.string == Self.address && request.input["StreamName"] == nil)
        let own = try #require(try Plan.split(key(0, Self.orders), in: fleet).call.request)
        #expect(own.input["StreamName"]?.string == "orders" && own.input["StreamARN"] == nil)
    }

    @Test func `a lease is made under the key of its stream, with the attributes of such a row`() throws {
        let fleet = watch(missing: true).snapshot
        let plan = try Plan.create("clicks:\(id(1))", in: fleet)
        guard case .put(let item) = plan.call else {
            Issue.record("no row is put")
            return
        }
        #expect(item["leaseKey"] == .s(key(1)))
        #expect(item["streamName"] == .s(Self.clicks.text))
        #expect(item["shardId"] == .s(id(1)))
        #expect(plan.intent.leaseKey == key(1))
        #expect(self.refusal { () throws(Refusal) in try Plan.create(key(0), in: fleet) }?.reason == .exists)
    }

    @Test func `a position is looked up in the row's stream, and the row of that key is rewound`() throws {
        let fleet = watch().snapshot
        guard case .search(let search) = try Plan.rewind(key(1), to: .ago(.seconds(60)), in: fleet) else {
            Issue.record("nothing is looked up")
            return
        }
        #expect(search.stream == Self.address && search.shardID == id(1))
        let number = try #require(checkpoint(age: .seconds(60), of: 1).sequenceNumber)
        let plan = try Plan.rewind(after: search, .record(number, arrival: nil), in: fleet)
        #expect(plan.intent.leaseKey == key(1))
    }

    @Test func `an orphan is looked for once more in its own stream before it is deleted`() throws {
        var watch = Streams.watch(
            [Streams.row(Self.clicks, 0, of: 1, checkpoint: checkpoint(age: .zero)), Streams.row(Self.clicks, 1)],
            shards: [Self.clicks: [shard(0, of: 1)]])
        watch.wait(.seconds(61))
        watch.answerStreams(shards: [Self.clicks: [shard(0, of: 1)]])
        let plan = try Plan.delete(key(1), in: watch.snapshot)
        #expect(plan.stream == Self.address)
        #expect(plan.shardIDs == [key(1)])
        guard case .delete(let deleted, _) = plan.call else {
            Issue.record("nothing is deleted")
            return
        }
        #expect(deleted == key(1))
    }

    // MARK: - Reports

    @Test func `every format names the stream of a row`() throws {
        let snapshot = watch(missing: true).snapshot
        let report = StatusReport.json(snapshot)
        #expect(report["streams"]?.list?.compactMap { $0["stream"]?.string } == [Self.clicks.text, Self.orders.text])
        #expect(report["streams"]?.list?.first?["state"]?.string == "verified")
        #expect(report["streams"]?.list?.first?["openShards"]?.int == 2)
        let table = StatusReport.text(snapshot, as: .table)
        #expect(table.contains("stream clicks of 999999999999  verified  2 open shards  1 leases\n"))
        #expect(table.contains("STREAM  SHARD"))
        let csv = StatusReport.text(snapshot, as: .csv).split(separator: "\r\n")
        #expect(csv.first?.hasSuffix(",stream") == true)
        #expect(csv.dropFirst().count { $0.hasSuffix(",\(Self.clicks.text)") } == 2)
        let page = StatusReport.text(snapshot, as: .prometheus)
        #expect(
            page.contains("shardtop_stream_verified{application=\"orders-app\",stream=\"\(Self.clicks.text)\"} 1\n"))
        #expect(
            page.contains(
                "shardtop_shard_consumed{application=\"orders-app\",stream=\"\(Self.clicks.text)\",shard=\"\(id(1))\"} 0"
            ))
    }

    @Test func `a check names the stream, and takes it for listed`() {
        let snapshot = watch(stream: "clicks").snapshot
        let check = Check(snapshot, limits: Check.Limits(lag: .seconds(1)), hasStream: true)
        #expect(!check.line.contains("was not listed"))
        #expect(check.line.contains("clicks:\(id(0)) lags up to"))
    }

    @Test func `a table of one stream has no column of streams and no series of them`() {
        var watch = Watch()
        watch.scan([lease(0)])
        let snapshot = watch.snapshot
        #expect(!StatusReport.text(snapshot, as: .table).contains("STREAM"))
        #expect(!StatusReport.text(snapshot, as: .prometheus).contains("shardtop_stream_"))
        #expect(StatusReport.json(snapshot)["streams"]?.list == [])
    }
}
