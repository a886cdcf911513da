import AWSWire
import Dashboard
import Fleet
import Leases
import Machine
import Testing

/// A table of two streams on the screen.
@Suite struct StreamScreenTests {
    private static let orders = StreamID(account: "123456789012", name: "orders", created: 1_700_000_000)
    private static let clicks = StreamID(account: "123456789012", name: "clicks", created: 1_700_000_000)

    private static func row(
        _ stream: StreamID, _ number: Int, range: HashKeyRange, owner: String? = Fixture.seven, parents: [Int] = [],
        children: [Int] = [], state: LeaseState = .live, isOpen: Bool = true, lag: Int64 = 200
    ) -> LeaseView {
        var view = Fixture.lease(
            number, state, owner: owner, range: range, lag: lag, parents: parents, children: children, isOpen: isOpen)
        view.id = stream.leaseKey(view.shardID)
        view.lease?.leaseKey = view.id
        view.lease?.streamName = stream.text
        view.stored["leaseKey"] = .s(view.id)
        view.stream = stream.text
        return view
    }

    private static func tree(_ rows: [LeaseView], _ stream: StreamID) -> ShardTree {
        Fixture.tree(rows.filter { $0.stream == stream.text })
    }

    private static func fleet(isSure: Bool = true) -> FleetSnapshot {
        var fleet = Fixture.troubled(isWritable: true)
        fleet.leases = [
            row(clicks, 0, range: Fixture.range(0, 8), owner: Fixture.eight, lag: 9000),
            row(clicks, 1, range: Fixture.range(8, 16), owner: Fixture.eight),
            row(orders, 0, range: Fixture.range(0, 8), children: [2], state: .drain, isOpen: false),
            row(orders, 2, range: Fixture.range(0, 8), parents: [0]), row(orders, 1, range: Fixture.range(8, 16)),
        ]
        fleet.identity.stream = nil
        fleet.streamMatch = nil
        fleet.shards = nil
        fleet.events = []
        fleet.problems = [
            Problem(
                id: "STUCK", kind: .stuck, severity: .warning, since: Fixture.start,
                shardIDs: [clicks.leaseKey(Fixture.shardID(1))], message: "clicks:…0001: renewed, but the checkpoint")
        ]
        fleet.streams = [clicks, orders].map {
            StreamView(
                id: $0, address: $0.name, shards: tree(fleet.leases, $0),
                match: isSure || $0 == orders ? .verified : .unverified("its shards are not listed yet"), leases: 2)
        }
        return fleet
    }

    private func lines(_ screen: Screen, with name: String) -> [Substring] {
        screen.lines.filter { $0.contains("LIVE") && $0.contains(name) || $0.contains("DRAIN") && $0.contains(name) }
    }

    @Test func theHeaderCountsTheStreamsAndSaysHowManyAreNotProven() throws {
        let screen = try Screen(.watch, Self.fleet())
        #expect(screen.lines[0].contains("2 streams ✓"))
        #expect(!screen.lines[0].contains("stream unknown"))
        let doubted = try Screen(.watch, Self.fleet(isSure: false))
        #expect(doubted.lines[0].contains("2 streams") && doubted.lines[0].contains("1 unverified"))
        #expect(!doubted.lines[0].contains("2 streams ✓"))
    }

    @Test func eachRowNamesItsStreamAndATableOfOneStreamHasNoSuchColumn() throws {
        let screen = try Screen(.watch, Self.fleet())
        let head = try #require(screen.lines.first { $0.contains("OWNER") })
        #expect(head.contains("STREAM"))
        #expect(lines(screen, with: "clicks").count >= 2)
        #expect(lines(screen, with: "orders").count >= 3)
        #expect(!(try Screen(.watch, Fixture.troubled())).text.contains("STREAM"))
    }

    @Test func theStreamIsAFilterAndAnOrder() throws {
        var screen = try Screen(.watch, Self.fleet())
        try screen.press("/stream:clicks<enter>")
        #expect(screen.text.contains("2 of 5"))
        try screen.press("<esc>:sort stream<enter>")
        let order = screen.lines.filter { $0.contains("LIVE") || $0.contains("DRAIN") }.prefix(5)
        #expect(order.map { $0.contains("clicks") } == [true, true, false, false, false])
    }

    @Test func anActionNamesTheKeyOfTheRow() throws {
        var screen = try Screen(.watch, Self.fleet())
        try screen.press(":sort stream<enter>")
        // The first of clicks.
        let key = Self.clicks.leaseKey(Fixture.shardID(0))
        try screen.press("<home>")
        #expect(try screen.press("e") == [.makePlan(.evict(lease: key))])
        var other = try Screen(.watch, Self.fleet())
        #expect(try other.press(":split clicks:0000 at middle<enter>") == [.makePlan(.split(shard: key, at: nil))])
        var merging = try Screen(.watch, Self.fleet())
        #expect(
            try merging.press(":merge orders:0002 orders:0001<enter>")
                == [
                    .makePlan(
                        .merge(
                            shard: Self.orders.leaseKey(Fixture.shardID(2)),
                            adjacent: Self.orders.leaseKey(Fixture.shardID(1))))
                ])
        var wrong = try Screen(.watch, Self.fleet())
        #expect(try wrong.press(":merge orders:0002 clicks:0001<enter>") == [])
        #expect(wrong.foot.contains("do not adjoin"))
    }

    @Test func aNumberThatTwoStreamsHaveIsNotGuessed() throws {
        var screen = try Screen(.watch, Self.fleet())
        #expect(try screen.press(":evict 0000<enter>") == [])
        #expect(screen.foot.contains("0000 means 2 shards"))
    }

    @Test func aProblemLeadsToTheRowOfItsStream() throws {
        var screen = try Screen(.watch, Self.fleet())
        #expect(try screen.press("6e") == [.makePlan(.evict(lease: Self.clicks.leaseKey(Fixture.shardID(1))))])
    }

    @Test func familiesOfStreamsAreApart() throws {
        var screen = try Screen(.watch, Self.fleet(), width: 160, height: 50)
        try screen.press("3")
        #expect(screen.text.contains("orders:0002"))
        #expect(!screen.text.contains("gone from the table"))
        // clicks has a 0000 too, and no child.
        #expect(screen.text.contains("3 shards never resharded"))
    }

    @Test func aScreenReaderHearsTheStreams() {
        let lines = Narrator.report(Self.fleet())
        #expect(lines[0].contains("2 streams: clicks verified, orders verified"))
        #expect(lines.contains { $0.hasPrefix("clicks:0000 LIVE") })
    }
}
