import AWSWire
import Leases
package import Machine

extension Timeline {
    /// An observer comes so long before the moment that is looked at, so that it knows the living from the dead and the
    /// last two minutes of every shard.
    private static let warmUp: Duration = .seconds(150)

    /// The fleet as it was known at `moment`, or at the nearest that is kept.
    package func snapshot(at moment: Timestamp) -> FleetSnapshot {
        let moment = min(max(moment, start), end)
        let begin = max(start, moment - Self.warmUp)
        var look = Look(self, from: begin)
        let first = chunks.lastIndex { $0.start <= begin } ?? 0
        for chunk in chunks[first...] where chunk.start <= moment { look.pass(chunk, until: moment) }
        return look.snapshot(at: moment)
    }

    /// A walk through the chunks: at first only the table is kept up, then an observer hears all.
    private struct Look {
        private let configuration: FleetConfiguration
        private let begin: Timestamp
        private var decoder = RowDecoder()
        private var hasTable = false
        private var standing: [Standing: FleetMachine.Event] = [:]
        private var named: [StreamID: [StreamQuestion: FleetMachine.Event]] = [:]
        private var clock: (at: Timestamp, time: UnixTime)
        private var rerun: Rerun?

        init(_ timeline: Timeline, from begin: Timestamp) {
            var configuration = timeline.configuration
            // Its pictures are not drawn, but what lasts is told by them.
            configuration.publishInterval = max(configuration.publishInterval, .seconds(2))
            self.configuration = configuration
            self.begin = begin
            clock = (begin, UnixTime(milliseconds: 0))
        }

        mutating func pass(_ chunk: Chunk, until moment: Timestamp) {
            if rerun == nil { clock = (chunk.start, chunk.wallClock) }
            for index in 0..<chunk.count {
                let (at, what) = chunk[index]
                if at > moment { return }
                if at >= begin { start() }
                take(what, at: at, of: chunk)
            }
        }

        private mutating func take(_ what: Chunk.What, at: Timestamp, of chunk: Chunk) {
            switch what {
            case .table(let place):
                decoder = RowDecoder()
                decoder.decode(place, of: chunk)
                hasTable = true
            case .scan(let place, let info):
                decoder.decode(place, of: chunk)
                hasTable = true
                if rerun == nil { clock = (at, info.wallClock) }
                hear(.scanned(FleetMachine.TablePage(decoder.items), info), at: at)
            case .row(let place):
                for item in decoder.decode(place, of: chunk) { hear(.rowWritten(item), at: at) }
            case .rows(let place, let look):
                decoder.decode(place, of: chunk)
                if rerun == nil { clock = (at, look.info.wallClock) }
                hear(.rowsRead(FleetMachine.RowsRead(look.keys.compactMap { decoder[$0] }), look.info), at: at)
            case .said(let place):
                guard rerun != nil, let value = try? JSON.decode(Bytes(Array(chunk.bytes[place]))),
                    let event = WorkerEvent(recorded: value)
                else { return }
                hear(.happened(event), at: at)
            case .other(let event):
                if rerun == nil, let kind = Standing(event) { standing[kind] = event }
                if rerun == nil, let (stream, question) = event.standingStream {
                    named[stream, default: [:]][question] = event
                }
                hear(event, at: at)
            }
        }

        private mutating func hear(_ event: FleetMachine.Event, at: Timestamp) {
            _ = rerun?.hear(event, at: at)
        }

        /// What stood before is told at once, the table last: its time is the right one. Only of streams that it names
        /// anything can be told.
        private mutating func start() {
            guard rerun == nil else { return }
            let time = clock.time + (begin - clock.at)
            var rerun = Rerun(configuration, at: begin, wallClock: time)
            for kind in Standing.allCases {
                if let event = standing[kind] { _ = rerun.hear(event, at: begin) }
            }
            if hasTable {
                let info = FleetMachine.CallInfo(wallClock: time, calls: 0)
                _ = rerun.hear(.scanned(FleetMachine.TablePage(decoder.items), info), at: begin)
            }
            for (_, events) in named.sorted(by: { $0.key < $1.key }) {
                for question in StreamQuestion.allCases {
                    if let event = events[question] { _ = rerun.hear(event, at: begin) }
                }
            }
            self.rerun = rerun
        }

        mutating func snapshot(at moment: Timestamp) -> FleetSnapshot {
            start()
            guard var rerun else { return FleetSnapshot(identity: configuration.identity) }
            rerun.wait(until: moment)
            return rerun.snapshot()
        }
    }
}
