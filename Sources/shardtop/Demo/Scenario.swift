import Machine

/// A script for the demo: steps of acts, each with a caption, each ending when something was seen or time is up.
struct Scenario: Sendable {
    /// A thing that is done to the fleet; shards and workers are chosen when it is done.
    enum Act: Hashable, Sendable {
        case rate(Double)
        case hot(Double)
        /// The processors of these shards take so long for a batch, so that a backlog builds up.
        case slow(Shards, Duration)
        case steal
        case split(Shards)
        case merge
        case scale(Int)
        case pauseWorker
        case resumeWorker
        case killWorker
        case startWorker
        /// Reads and lease writes are throttled for so long.
        case throttle(Duration)
    }

    enum Shards: Hashable, Sendable {
        /// The open shard that holds the hot keys.
        case hot
        /// The first open shard and its neighbour.
        case firstPair
        case all
    }

    /// When a step is over: at the event, but no earlier than `atLeast` and no later than `atMost`.
    struct Until: Hashable, Sendable {
        var seen: Sight?
        var count = 1
        var atLeast: Duration
        var atMost: Duration
    }

    enum Sight: Hashable, Sendable {
        case terminate, zombie, taken, throttled, processedByChild
    }

    struct Step: Hashable, Sendable {
        var title: String
        var text: String
        var acts: [Act]
        var until: Until
    }

    var name: String
    var steps: [Step]
    var rate = 200.0
    var shards: Int?

    func prepare(_ options: inout DemoFleet.Options) {
        if options.workload.rate == 200 { options.workload.rate = rate }
        if let shards { options.shards = shards }
    }

    static let all = [tour, split, merge, scale, zombie, hotShard, failover, throttle]
    static var names: [String] { all.map(\.name) }
    static func named(_ name: String) -> Scenario? { all.first { $0.name == name } }
}

extension Scenario {
    private static func step(
        _ title: String, _ text: String, _ acts: [Act] = [], _ seen: Sight? = nil, count: Int = 1,
        atLeast: Int = 5, atMost: Int = 30
    ) -> Step {
        Step(
            title: title, text: text, acts: acts,
            until: Until(
                seen: seen, count: count, atLeast: .seconds(atLeast),
                atMost: .seconds(seen == nil ? atLeast : atMost)))
    }

    private static let backlog = Duration.seconds(4)

    private static let splitSteps = [
        step(
            "Backlog", "The hot shard's processor is slow now: its lag grows, checkpoints stand.",
            [.slow(.hot, backlog)], atLeast: 11),
        step(
            "Split", "The shard is split at its hot key. The parent is closed: DRAIN until its last record is done.",
            [.split(.hot)], atLeast: 4),
        step(
            "BLOCKED", "The children exist and wait: no record of a child comes before the last one of its parent.",
            [], .terminate, atLeast: 4, atMost: 60),
        step(
            "TERMINATE", "The parent ended: its processor checkpointed SHARD_END, and the children start.",
            [.slow(.all, .zero)], .taken, count: 1, atLeast: 5),
    ]

    private static let mergeSteps = [
        step(
            "Two neighbours", "Two adjacent shards get slow, so that you see them drain.",
            [.slow(.firstPair, backlog)], atLeast: 11),
        step(
            "Merge", "They are merged: two parents in DRAIN, one child that waits for both.", [.merge], .terminate,
            count: 2, atLeast: 8, atMost: 60),
        step("TERMINATE twice", "Both parents ended; the child starts.", [.slow(.all, .zero)], atLeast: 6),
    ]

    private static let zombieSteps = [
        step(
            "Pause", "A worker stands still, as in a long garbage collection. Its leases are not renewed any more.",
            [.pauseWorker], .taken, atLeast: 5),
        step(
            "ZOMBIE", "It wakes up, finds that its leases are others' now, and must not checkpoint.",
            [.resumeWorker], .zombie, atLeast: 4),
    ]

    private static let failoverSteps = [
        step(
            "Kill",
            "A worker dies without a word. Its leases look alive until their counters stood still for the "
                + "failover time: EXPIRED.", [.killWorker], .taken, atLeast: 5),
        step("Taken", "The others took its leases and read on from its last checkpoints.", [], atLeast: 5),
        step("Back", "The worker is started again and gets its share back.", [.startWorker], .taken, atLeast: 5),
    ]

    static let split = Scenario(name: "split", steps: splitSteps)
    static let merge = Scenario(name: "merge", steps: mergeSteps)
    static let zombie = Scenario(
        name: "zombie", steps: [step("At rest", "Three workers share four shards.")] + zombieSteps)
    static let failover = Scenario(
        name: "failover", steps: [step("At rest", "Three workers share four shards.")] + failoverSteps)

    static let scale = Scenario(
        name: "scale",
        steps: [
            step("Four shards", "The stream has four shards."),
            step(
                "Scale to 8", "UpdateShardCount splits every shard.", [.slow(.all, .seconds(1)), .scale(8)], .terminate,
                count: 4, atLeast: 10),
            step("Eight shards", "Eight shards, shared out anew.", [.slow(.all, .zero)], atLeast: 8),
            step(
                "Scale to 4", "And back: neighbours are merged.", [.slow(.all, .seconds(1)), .scale(4)], .terminate,
                count: 12, atLeast: 10),
            step(
                "Four again", "Ended leases are cleaned up once their children are on their way.", [.slow(.all, .zero)],
                atLeast: 8),
        ], shards: 4)

    static let hotShard = Scenario(
        name: "hot-shard",
        steps: [
            step("At rest", "The load is spread evenly."),
            step(
                "Hot",
                "Nine of ten records go to one range of keys: more than the 1 000 records a second that a shard "
                    + "takes. Puts are throttled.", [.hot(0.9), .rate(1600)], .throttled, atLeast: 10),
            step("Split at the hot key", "The range is split in its middle.", [.split(.hot)], .terminate, atLeast: 8),
            step("Relief", "Two shards carry the load.", [], atLeast: 10),
            step("At rest", "The producer calms down.", [.hot(0), .rate(200)], atLeast: 4),
        ])

    static let throttle = Scenario(
        name: "throttle",
        steps: [
            step("At rest", "Every read and write passes."),
            step(
                "Throttled",
                "GetRecords and a third of the lease writes are throttled for ten seconds: lag grows, no "
                    + "lease is lost.", [.throttle(.seconds(10))], atLeast: 11),
            step("Over", "The workers catch up.", [], atLeast: 6),
        ])

    static let tour = Scenario(
        name: "tour",
        steps: [
            step(
                "Ownership",
                "Three KCL workers share four shards. Each row is a lease: who owns it, and the counter "
                    + "that its owner raises as heartbeat.", atLeast: 8),
            step("Lag", "LAG is how far behind the tip of the shard the last delivered record was.", atLeast: 6),
            step(
                "Steal",
                "A worker takes a lease from another, as KCL does to balance. The robbed one finds out at its "
                    + "next write: ZOMBIE.", [.steal], .zombie, atLeast: 6),
            step(
                "Hot shard", "Most records now go to one narrow range of keys.", [.hot(0.7), .rate(400)], atLeast: 7),
        ] + splitSteps + [
            step("Lag falls", "The load is spread over two shards now.", [.hot(0), .rate(200)], atLeast: 6)
        ] + zombieSteps + failoverSteps + mergeSteps + [
            step(
                "Yours", "Press ? for the keys: steal, evict, split, merge, kill and pause are all yours now.",
                atLeast: 6)
        ])
}
