package import Fleet
package import Machine

/// Something that the screen has to know.
package enum ModelEvent: Sendable {
    case terminal(TerminalEvent)
    case snapshotTaken(FleetSnapshot)
    /// Time went on; about once a second.
    case ticked(Timestamp)
    /// The answer to `makePlan`: what would be written, to be confirmed.
    case planMade(Plan)
    /// The answer to `makePlan` for several.
    case plansMade(PlanSet)
    /// So many of a set were written so far.
    case setProgressed(Int)
    /// The answer to `performSet`.
    case setPerformed(SetOutcome)
    /// The answer to `makePlan` where it cannot be done: why, in a sentence.
    case planRefused(String)
    /// The answer to `perform`: what came of it, in a sentence.
    case planPerformed(PlanOutcome)
    /// A line for the person; `nil` severity for good news.
    case reported(Severity?, String)
    /// What the tour or a scenario is showing now.
    case captionChanged(Caption?)
    case demoChanged(DemoStatus)
    /// The table or the stream could not be read; a later snapshot withdraws it.
    case unreachable(String, retryAt: Timestamp?)
    /// The answer to `showPast`: the fleet as it was at the moment that was asked for, or the nearest that is kept.
    case pastShown(FleetSnapshot, asked: Timestamp)
    /// The answer to `showPast` where there is none yet: why, in a sentence.
    case pastRefused(String)
    /// What happened in all of a recording.
    case bookmarksFound(Bookmarks)
    /// A line passed between us and a child; wanted only after the effect `trace` named its shard.
    case traced(TraceLine)
}

/// Something that the program shall do for the screen.
package enum ModelEffect: Hashable, Sendable {
    /// Work out what an action would write; answered by `planMade` or `planRefused`.
    case makePlan(PlanRequest)
    /// Nobody waits any more for the plan that is being made.
    case dropPlan
    /// The person said yes; answered by `planPerformed`.
    case perform(Plan)
    /// The person said yes to several; answered by `setPerformed`.
    case performSet(PlanSet)
    /// No further one of the set.
    case stopSet
    case setRefresh(Duration)
    case refreshNow
    /// Answered by `pastShown` or `pastRefused`; of several asked quickly only the last need be answered.
    case showPast(Timestamp)
    case setTheme(String)
    case setMouse(Bool)
    case copy(String)
    /// Write a text to a file; answered by `reported`.
    case export(path: String, text: String)
    case demo(DemoCommand)
    /// Post the protocol with the child of this shard as `traced` from now on, and of no other; `nil` ends it.
    case trace(shardID: String?)
    case suspend
    case redraw
    /// The terminal is gone and the engine goes on without one.
    case goHeadless
    case quit
}

/// An intent, before the table is read again for it. Leases are named by `LeaseView.id`, shards by their id.
package indirect enum PlanRequest: Hashable, Sendable {
    case steal(lease: String, worker: String)
    case evict(lease: String)
    case release(lease: String)
    /// `isHard`: at once, without a handover.
    case assign(lease: String, worker: String, isHard: Bool)
    case completeHandoff(lease: String)
    case rewind(lease: String, to: RewindRequest)
    /// Put the checkpoint back to before the last rewind.
    case undo(lease: String)
    /// Make the lease that a shard lacks.
    case create(shard: String)
    /// Delete a lease whose shard is no more.
    case delete(lease: String)
    /// The same to several leases.
    case several([PlanRequest])
    /// `at` is where the second child begins; `nil` splits in the middle.
    case split(shard: String, at: UInt128?)
    case merge(shard: String, adjacent: String)
}

/// What the demo's fleet and producer are told.
package enum DemoCommand: Hashable, Sendable {
    case startWorker
    case stopWorker(String)
    case killWorker(String)
    case pauseWorker(String)
    case resumeWorker(String)
    /// Records a second.
    case setRate(Double)
    /// The share of records, 0...1, that go to one partition key.
    case setHotFraction(Double)
    /// The person takes the controls: the tour ends.
    case takeOver
}

/// The demo's strip: what its producer and its consumers counted.
package struct DemoStatus: Hashable, Sendable {
    package var produced: Int64
    package var delivered: Int64
    package var duplicates: Int64
    package var outOfOrder: Int64
    package var lost: Int64
    /// Records a second that the producer aims at.
    package var rate: Double
    /// The share of records, 0...1, that go to one partition key.
    package var hotFraction: Double

    package init(
        produced: Int64 = 0, delivered: Int64 = 0, duplicates: Int64 = 0, outOfOrder: Int64 = 0, lost: Int64 = 0,
        rate: Double = 0, hotFraction: Double = 0
    ) {
        self.produced = produced
        self.delivered = delivered
        self.duplicates = duplicates
        self.outOfOrder = outOfOrder
        self.lost = lost
        self.rate = rate
        self.hotFraction = hotFraction
    }
}

/// A step of the tour in words.
package struct Caption: Hashable, Sendable {
    package var title: String
    package var text: String
    /// 1 for the first of `steps`.
    package var step: Int
    package var steps: Int
    /// Any key press ends it.
    package var isTour: Bool

    package init(title: String, text: String, step: Int = 1, steps: Int = 1, isTour: Bool = true) {
        self.title = title
        self.text = text
        self.step = step
        self.steps = steps
        self.isTour = isTour
    }
}
