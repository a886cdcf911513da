import Fleet
import Leases
import Machine

/// The moment of the past that is looked at. The fleet goes on; nothing can be done to it from there.
struct Past: Hashable, Sendable {
    /// Where the person wants to be.
    var wanted: Timestamp
    /// The picture of then; `nil` until the first one came.
    var shown: FleetSnapshot?
    /// The bookmark that was jumped to, from its first event to its last.
    var bookmark: ClosedRange<UnixTime>?
    /// Steps in a row in one direction: they grow.
    var steps = 0
    var steppedAt: Timestamp
}

extension Model {
    /// A picture comes so long after a bookmark, so that what happened there is in it.
    private static let afterBookmark: Duration = .seconds(1)

    mutating func scrub(_ action: Action) -> [ModelEffect] {
        guard let live, live.scans > 0 else {
            say(.info, "there is no past yet")
            return []
        }
        switch action {
        case .earlier, .later: return step(isForward: action == .later, live)
        case .earlierBookmark: return jump(isForward: false, live)
        case .laterBookmark: return jump(isForward: true, live)
        default: return present()
        }
    }

    private mutating func step(isForward: Bool, _ live: FleetSnapshot) -> [ModelEffect] {
        if isForward, past == nil, configuration.purpose != .replay {
            say(.info, "this is now; [ goes back")
            return []
        }
        var steps = past?.steps ?? 0
        if let past, now - past.steppedAt > .seconds(2) || (steps > 0) != isForward { steps = 0 }
        steps += isForward ? 1 : -1
        let factor = abs(steps) <= 10 ? 1 : abs(steps) <= 20 ? 3 : 6
        let length = max(.seconds(2), live.refreshInterval * 2) * factor
        let from = past?.wanted ?? live.takenAtInstant
        let effects = go(to: isForward ? from + length : from - length, live)
        past?.steps = steps
        return effects
    }

    /// What was typed after `:past`.
    mutating func runPast(_ arguments: [String]) -> [ModelEffect] {
        let text = arguments.joined(separator: " ")
        if text == "now" { return present() }
        guard let live, live.scans > 0 else {
            say(.info, "there is no past yet")
            return []
        }
        let day = CivilTime(live.takenAt).iso8601.prefix(10)
        let clock = text.split(separator: ":").count == 2 ? "\(text):00" : text
        guard let request = RewindRequest(text) ?? RewindRequest("\(day)T\(clock)Z") else {
            say(.warning, "usage: :past now, 10m, 12:04:07 or 2026-01-31T12:00:00Z")
            return []
        }
        switch request {
        case .ago(let time): return go(to: live.takenAtInstant - time, live)
        case .time(let time): return go(to: live.takenAtInstant - (live.takenAt - time), live)
        case .number, .sentinel:
            say(.warning, "usage: :past now, 10m, 12:04:07 or 2026-01-31T12:00:00Z")
            return []
        }
    }

    private mutating func jump(isForward: Bool, _ live: FleetSnapshot) -> [ModelEffect] {
        let time = time(of: past?.wanted ?? live.takenAtInstant, live)
        let found =
            isForward
            ? bookmarks.nearest(after: past?.bookmark?.upperBound ?? time)
            : bookmarks.nearest(before: past?.bookmark?.lowerBound ?? time)
        guard let first = found.first, let last = found.last else {
            say(
                .info,
                "no steal, ZOMBIE, TERMINATE, reshard or action is known \(isForward ? "after" : "before") this")
            return []
        }
        let begin = found.map(\.event.at).min() ?? first.event.at
        let end = found.map(\.event.at).max() ?? last.event.at
        let target = live.takenAtInstant - (live.takenAt - end) + Self.afterBookmark
        let isInside = configuration.purpose == .replay || target < live.takenAtInstant
        let effects = go(to: isInside ? target : live.takenAtInstant - .milliseconds(1), live)
        past?.bookmark = begin...end
        let words = found.prefix(4).map { entry in
            EventWord(entry.event.kind).word + (entry.event.shardID.map { " " + Format.shard($0) } ?? "")
        }
        let more = found.count > words.count ? " and \(found.count - words.count) more" : ""
        say(nil, "\(CivilTime(end).clock)Z  \(words.joined(separator: ", "))\(more)")
        return effects
    }

    private mutating func go(to target: Timestamp, _ live: FleetSnapshot) -> [ModelEffect] {
        if configuration.purpose != .replay, target >= live.takenAtInstant { return present() }
        if past == nil { past = Past(wanted: target, steppedAt: now) }
        past?.wanted = target
        past?.steppedAt = now
        past?.bookmark = nil
        return [.showPast(target)]
    }

    /// Back to now.
    mutating func present() -> [ModelEffect] {
        guard past != nil else { return [] }
        past = nil
        rebuildRows()
        say(nil, configuration.purpose == .replay ? "back to where the recording plays" : "now again")
        return []
    }

    /// The service's clock at a moment.
    private func time(of moment: Timestamp, _ live: FleetSnapshot) -> UnixTime {
        live.takenAt + (moment - live.takenAtInstant)
    }

    mutating func take(past snapshot: FleetSnapshot, asked: Timestamp) {
        guard past != nil else { return }
        var snapshot = snapshot
        snapshot.events = bookmarks.events(until: snapshot.takenAt, in: live?.events ?? [])
        past?.shown = snapshot
        if past?.wanted == asked {
            past?.wanted = snapshot.takenAtInstant
            if snapshot.takenAtInstant > asked { say(.info, "this is as far back as it goes") }
            if snapshot.takenAtInstant < asked { say(.info, "this is the end of the recording") }
        }
        rebuildRows()
    }

    mutating func refusePast(_ why: String) {
        if let shown = past?.shown { past?.wanted = shown.takenAtInstant } else { past = nil }
        say(.info, why)
    }

    /// The moment that is shown, for people; `nil` where it is now.
    var pastWords: String? {
        guard let past, let live else { return nil }
        let going = "going to \(CivilTime(time(of: past.wanted, live)).clock)Z"
        guard let shown = past.shown else { return going }
        let then = "PAST \(CivilTime(shown.takenAt).clock)Z"
        // Of a large fleet a picture of the past takes a while; the key is answered at once.
        if shown.takenAtInstant != past.wanted { return "\(then), \(going)" }
        if configuration.purpose == .replay { return "\(then) in the recording" }
        return "\(then) \(max(.zero, live.takenAtInstant - shown.takenAtInstant).brief) ago"
    }
}
