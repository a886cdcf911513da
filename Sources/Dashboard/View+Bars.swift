import Fleet
import Leases
import Machine

/// The lines above and below the panes.
extension Frame {
    private struct Segment {
        var spans: [Span]
        /// Larger goes first where room is short; 0 always stays.
        var priority: Int

        var width: Int { spans.reduce(0) { $0 + $1.text.columns } }
    }

    mutating func drawHeader() {
        let line = layout.header
        buffer.fill(line, style: look.style(.text))
        var left = headerLeft()
        var right = headerRight()
        func needed() -> Int {
            let all = left + right
            return all.reduce(0) { $0 + $1.width } + 2 * max(0, all.count - 1) + 2
        }
        while needed() > line.width {
            let worst = max(left.map(\.priority).max() ?? 0, right.map(\.priority).max() ?? 0)
            guard worst > 0 else { break }
            left.removeAll { $0.priority == worst }
            right.removeAll { $0.priority == worst }
        }
        let excess = needed() - line.width
        if excess > 0,
            let index = left.firstIndex(where: { $0.spans.first?.text == model.snapshot?.identity.application })
        {
            left[index].spans = shortened(left[index].spans, by: excess)
        }
        var x = line.x + 1
        for segment in left { x = buffer.write(segment.spans, x: x, y: line.y, clip: line) + 2 }
        let width = right.reduce(0) { $0 + $1.width } + 2 * max(0, right.count - 1)
        x = line.endX - 1 - width
        for segment in right { x = buffer.write(segment.spans, x: x, y: line.y, clip: line) + 2 }
    }

    private func shortened(_ spans: [Span], by excess: Int) -> [Span] {
        var left = excess
        return spans.reversed().map { span in
            let width = max(6, span.text.columns - left)
            guard span.text.columns > 6, left > 0 else { return span }
            left -= span.text.columns - width
            return Span(span.text.truncated(to: width, keeping: .ends, ellipsis: symbols.ellipsis), span.style)
        }.reversed()
    }

    private func headerLeft() -> [Segment] {
        let text = look.style(.text)
        let dim = look.style(.dim)
        var segments = [Segment(spans: [Span("shardtop", look.style(.title))], priority: 6)]
        guard let snapshot = model.snapshot else { return segments }
        let identity = snapshot.identity
        var name = [Span(identity.application, look.style(.title))]
        if let stream = identity.stream {
            name += [Span(" \(symbols.bothWays) ", dim), Span(stream, text)]
            if snapshot.streamMatch == .verified, !identity.isDemo {
                name.append(Span(" \(symbols.check)", look.style(.ok)))
            }
        } else if snapshot.namesStreams {
            let count = snapshot.streams.count
            name += [Span(" \(symbols.bothWays) ", dim), Span("\(count) stream\(count == 1 ? "" : "s")", text)]
            if snapshot.streams.allSatisfy({ $0.match == .verified }) {
                name.append(Span(" \(symbols.check)", look.style(.ok)))
            }
        } else {
            name.append(Span(" (stream unknown)", dim))
        }
        segments.append(Segment(spans: name, priority: 0))
        if let match = snapshot.streamMatch, let why = match.why {
            let role: Theme.Role = if case .foreign = match { .critical } else { .warning }
            segments.append(Segment(spans: [Span(match.word, look.style(role))], priority: 1))
            segments.append(Segment(spans: [Span("(\(why))", dim)], priority: 6))
        }
        let unsure = identity.stream == nil ? snapshot.streams.count { $0.match != .verified } : 0
        if unsure > 0 {
            segments.append(Segment(spans: [Span("\(unsure) unverified", look.style(.warning))], priority: 1))
        }
        if identity.isDemo {
            segments.append(Segment(spans: [Span(" DEMO ", look.style(.demo))], priority: 0))
        } else {
            if let account = identity.account { segments.append(Segment(spans: [Span(account, text)], priority: 0)) }
            segments.append(Segment(spans: [Span(identity.region, text)], priority: 0))
            if let role = identity.role { segments.append(Segment(spans: [Span(role, text)], priority: 2)) }
            let badge =
                identity.isWritable
                ? Span(" WRITE ", look.style(.writable).reversed) : Span("READ-ONLY", look.style(.readOnly).bold)
            segments.append(Segment(spans: [badge], priority: 0))
        }
        if let endpoint = identity.endpoint, !identity.isDemo {
            segments.append(Segment(spans: [Span(endpoint, look.style(.warning))], priority: 0))
        }
        let purpose: String? =
            switch model.configuration.purpose {
            case .consume: "CONSUMING"
            case .replay: "REPLAY"
            case .demo, .watch: nil
            }
        if let purpose { segments.append(Segment(spans: [Span(" \(purpose) ", look.style(.banner))], priority: 0)) }
        if snapshot.generation != .unknown {
            let mode = if case .upgrading? = snapshot.mode { " upgrading" } else { "" }
            segments.append(Segment(spans: [Span("KCL \(snapshot.generation.rawValue)\(mode)", dim)], priority: 5))
        } else if snapshot.isModeDenied {
            segments.append(Segment(spans: [Span("KCL unknown (denied)", look.style(.warning))], priority: 5))
        }
        if let leader = snapshot.leader {
            let spans = [Span("leader ", dim), Span(leader.truncated(to: 24, keeping: .ends), ownerStyle(leader))]
            segments.append(Segment(spans: spans + heartbeat(snapshot), priority: 7))
        }
        segments += assignment(snapshot)
        return segments
    }

    /// How long ago the leader's heartbeat was.
    private func heartbeat(_ snapshot: FleetSnapshot) -> [Span] {
        guard let beat = snapshot.leaderHeartbeat else { return [] }
        let role: Theme.Role = beat.isLost ? .critical : beat.age > .seconds(60) ? .warning : .dim
        return [Span(" " + (symbols.isASCII ? beat.brief.asciiBounds : beat.brief), look.style(role))]
    }

    /// How far a 3.x fleet is on its way, and who shares leases out.
    private func assignment(_ snapshot: FleetSnapshot) -> [Segment] {
        var segments: [Segment] = []
        if let migration = snapshot.migration, let mode = snapshot.mode {
            let text = mode.words + migration.lasting(at: snapshot.takenAt)
            segments.append(Segment(spans: [Span(text, look.style(.dim))], priority: 9))
        }
        if case .leader? = snapshot.assignment, let words = snapshot.assignment?.words {
            segments.append(Segment(spans: [Span(words, look.style(.dim))], priority: 10))
        }
        return segments
    }

    /// A recording's instants are those of another clock.
    private func elapsed(since snapshot: FleetSnapshot) -> Duration {
        model.configuration.purpose == .replay ? .zero : max(.zero, model.now - snapshot.takenAtInstant)
    }

    private func headerRight() -> [Segment] {
        guard let snapshot = model.snapshot else { return [] }
        var segments: [Segment] = []
        let passed = elapsed(since: snapshot)
        if model.isFrozen {
            segments.append(Segment(spans: [Span(" FROZEN \(passed.brief) ", look.style(.paused))], priority: 0))
        }
        if snapshot.cost.readUnitsPerSecond > 0 || snapshot.cost.callsPerSecond > 0 {
            let units = Format.decimals(snapshot.cost.readUnitsPerSecond, 1)
            segments.append(Segment(spans: [Span("\(units) RCU/s", look.style(.dim))], priority: 8))
        }
        let time = CivilTime(
            (model.live ?? snapshot).takenAt + elapsed(since: model.live ?? snapshot))
        segments.append(Segment(spans: [Span("\(time.clock)Z", look.style(.text))], priority: 3))
        let interval = (model.live ?? snapshot).refreshInterval
        let age =
            ((model.live ?? snapshot).refreshAge ?? .zero)
            + elapsed(since: model.live ?? snapshot)
        if age > interval * 3 + .seconds(2) {
            let text = "\(symbols.cross) \(age.brief) old"
            segments.append(Segment(spans: [Span(text, look.style(.critical))], priority: 1))
        } else {
            let every =
                interval.wholeMilliseconds % 1000 == 0 ? "\(interval.wholeMilliseconds / 1000)s" : interval.brief
            segments.append(
                Segment(
                    spans: [Span(symbols.bullet, look.style(.ok)), Span(" " + every, look.style(.dim))], priority: 4))
        }
        return segments
    }

    // MARK: The verdict

    mutating func drawVerdict() {
        let line = layout.verdict
        buffer.fill(line, style: look.style(.text))
        var x = line.x + 1
        func write(_ spans: [Span]) { x = buffer.write(spans, x: x, y: line.y, clip: line) }
        if let past = model.pastWords {
            write([Span(" \(past) ", look.style(.paused)), Span(" ", look.style(.text))])
        }
        if let outage = model.outage {
            let retry = outage.retryAt.map { ", again in \(max(.zero, $0 - model.now).brief)" } ?? ""
            write([Span(" UNREACHABLE ", look.style(.critical).reversed), Span(" ", look.style(.text))])
            let message = Format.sentence(outage.message)
                .truncated(to: max(0, line.endX - 1 - x - retry.columns), ellipsis: symbols.ellipsis)
            write([Span(message + retry, look.style(.critical))])
        } else if let verdict = model.snapshot?.verdict {
            let style: Style =
                switch verdict.severity {
                case .critical: look.style(.critical).reversed
                case .warning: look.style(.warning).reversed
                case .info, nil: look.style(verdict.word == "OK" ? .ok : .notice).bold.reversed
                }
            write([Span(" \(verdict.word) ", style), Span(" ", look.style(.text))])
            let dot = Span(" \(symbols.middleDot) ", look.style(.dim))
            let facts = verdict.facts.map { fact -> [Span] in
                let isLag = fact.hasPrefix("max lag")
                return [dot, Span(symbols.isASCII ? fact.asciiBounds : fact, look.style(.text))]
                    + (isLag ? trend(verdict) : [])
            }
            let headline = Format.sentence(verdict.headline)
                .truncated(to: line.endX - x - 1, ellipsis: symbols.ellipsis)
            write([Span(headline, look.style(.title))])
            for fact in facts {
                guard x + fact.reduce(0, { $0 + $1.text.columns }) < line.endX else { break }
                write(fact)
            }
        } else {
            write([Span("connecting \(symbols.ellipsis)", look.style(.dim))])
        }
    }

    private func trend(_ verdict: Verdict) -> [Span] {
        switch verdict.lagTrend {
        case .rising: [Span(symbols.isASCII ? " ^" : " ▲", look.style(.warning))]
        case .falling: [Span(symbols.isASCII ? " v" : " ▼", look.style(.ok))]
        case .steady: []
        }
    }

    // MARK: The tour and the demo

    mutating func drawCaption() {
        guard let caption = model.caption, layout.caption.height >= 3 else { return }
        let steps = caption.steps > 1 ? "\(caption.step)/\(caption.steps)" : ""
        let note = caption.isTour ? [Span("any key takes over", look.style(.dim))] : []
        let panel = Panel(
            title: steps.isEmpty ? caption.title : "\(steps) \(caption.title)", note: note, border: .dialogBorder,
            hasFocus: true)
        let area = panel.draw(in: layout.caption, on: &buffer, look: look).inset(columns: 1)
        for (row, text) in caption.text.wrapped(to: max(1, area.width)).prefix(area.height).enumerated() {
            buffer.write(text, in: area.row(row), style: look.style(.text))
        }
    }

    mutating func drawStrip() {
        guard let demo = model.demo, layout.strip.height > 0 else { return }
        let line = layout.strip
        buffer.fill(line, style: look.style(.text))
        func pair(_ name: String, _ value: Int64, _ role: Theme.Role) -> [Span] {
            [
                Span(name + " ", look.style(.dim)), Span(Format.count(value), look.style(role)),
                Span("  ", look.style(.dim)),
            ]
        }
        var spans = pair("produced", demo.produced, .text) + pair("delivered", demo.delivered, .text)
        spans += pair("duplicates", demo.duplicates, demo.duplicates > 0 ? .notice : .text)
        spans += pair("out of order", demo.outOfOrder, demo.outOfOrder > 0 ? .warning : .text)
        spans += pair("lost", demo.lost, demo.lost > 0 ? .critical : .ok)
        buffer.write(spans, x: line.x + 1, y: line.y, clip: line)
        var right = Format.rate(demo.rate, symbols) + "/s"
        if demo.hotFraction > 0 { right += " \(Format.share(demo.hotFraction)) to one key" }
        let width = spans.reduce(0) { $0 + $1.text.columns }
        if width + right.columns + 3 <= line.width {
            let rect = Rect(x: line.x, y: line.y, width: line.width - 1, height: 1)
            buffer.write(right, x: rect.endX - right.columns, y: line.y, style: look.style(.notice), clip: rect)
        }
    }

    // MARK: The foot

    mutating func drawFooter() {
        let line = layout.footer
        if let status = model.status {
            let severity = SeverityLook(status.severity, symbols)
            buffer.fill(line, style: look.style(.text))
            let spans = [
                Span(severity.symbol + " ", look.style(severity.role)),
                Span(status.text, look.style(status.severity == nil ? .text : severity.role)),
            ]
            let room = Rect(x: line.x + 1, y: line.y, width: line.width - 1, height: 1)
            if buffer.write(spans, x: room.x, y: room.y, clip: room) > room.endX {
                buffer.write(symbols.ellipsis, x: room.endX - 1, y: room.y, style: look.style(severity.role))
            }
            return
        }
        let bindings = hintBindings()
        let hints = bindings.map { binding in
            KeyHint(binding.hintKey.asASCII(symbols), binding.hint ?? "", isEnabled: isEnabled(binding.action))
        }
        for (index, rect) in KeyHints(hints, pinned: 2).draw(in: line, on: &buffer, look: look) {
            if let key = bindings[index].keys.first { hit(rect, .key(key)) }
        }
    }

    /// What the foot shows: the keys of the pane, then those of everywhere; help and quit stay.
    private func hintBindings() -> [Binding] {
        let isDetail = model.detail != nil
        let shown = Binding.all.filter { $0.hint != nil && $0.applies(in: model.situation) }
        let back = Binding.all.filter { $0.action == .back && (isDetail || model.trace != nil) }.map { binding in
            var binding = binding
            binding.hint = "back"
            return binding
        }
        let past = shown.filter { $0.scope == .past }
        let first = shown.filter { $0.action == .open || $0.action == .chatter }
        let last = shown.filter { $0.action == .help || $0.action == .quit }
        let isWritable = model.snapshot?.identity.isWritable == true && model.configuration.purpose != .replay
        let isAssigned = if case .leaderAssigned? = model.snapshot?.mode { true } else { false }
        let rest = shown.filter { binding in
            switch binding.action {
            case .open, .chatter, .help, .quit: false
            case .earlier, .later, .earlierBookmark, .laterBookmark, .present: model.past == nil
            case .mark: isWritable && model.past == nil
            // Where nothing can be written, or shards are not what is chosen, other keys get the room.
            case .assign: isWritable && isAssigned && model.past == nil && (model.focus != .events || isDetail)
            case .steal, .evict, .release, .rewind, .split, .merge:
                isWritable && model.past == nil && (model.focus != .events || isDetail)
            default: true
            }
        }
        return past + back + first + rest + last
    }

    private func isEnabled(_ action: Action) -> Bool {
        switch action {
        case .steal, .evict, .release, .assign, .rewind, .split, .merge:
            model.obstacle(to: action, on: model.subject) == nil
        case .killWorker, .stopWorker, .pauseWorker:
            model.subjectWorker.map { $0.isOurs && !$0.isStopped } ?? false
        default: true
        }
    }
}

extension String {
    /// `≤` as plain characters.
    var asciiBounds: String {
        contains("≤") ? split(separator: "≤", omittingEmptySubsequences: false).joined(separator: "<=") : self
    }
}
