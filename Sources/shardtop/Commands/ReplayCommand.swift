import AWSWire
import ArgumentParser
import CurlTransport
import Dashboard
import Fleet
import Machine

struct ReplayCommand: AsyncParsableCommand, HandlesSignals {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Open a recording in the same screen.",
        discussion: """
            Recordings come from `watch --record FILE` and `simulate --record FILE`. With --anonymize no screen is \
            opened: names of applications, streams and workers, account, role and endpoint are replaced, each by the \
            same one throughout, and messages and attributes that are not the KCL's are left out. Times, hash keys, \
            sequence numbers, the region and the service's own shard numbers stay.
            """)

    @Argument(help: "The recording.")
    var file: String

    @Option(help: "How many times faster than it happened.")
    var speed = 1.0

    @Option(help: "Write a recording to this file that can be shown to anybody, and end; `-` is stdout.")
    var anonymize: String?

    @OptionGroup var screen: ScreenOptions

    func validate() throws {
        if let anonymize, anonymize == file {
            throw ValidationError("--anonymize names another file than the recording")
        }
        guard speed > 0, speed <= 10_000 else { throw ValidationError("--speed must be between 0 and 10000") }
    }

    func run() async throws {
        let host = SystemHost()
        let lines = try Self.lines(of: file, host)
        guard let header = lines.first else { throw Failure("\(file) is empty") }
        if let anonymize { return try share(lines, as: anonymize) }
        let replay: Replay
        do { replay = try Replay(header: header) } catch { throw Failure("\(file): \(error)") }
        let past = PastDesk(nil)
        let screen = try Screen(
            screen, purpose: .replay, host: host, time: .system,
            doors: Screen.Doors(
                plan: { _, _ in throw Failure("this is a recording: nothing can be done in it") },
                perform: { _ in .failed("this is a recording") }, setRefresh: { _ in }, refreshNow: {}, demo: { _ in },
                showPast: { past.show($0, $1) }))
        let speed = speed
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                do { try await Self.play(replay, Array(lines.dropFirst()), speed: speed, on: screen) } catch {
                    if !(error is CancellationError) { screen.post(.reported(.warning, "\(error)")) }
                }
            }
            group.addTask { Self.read(replay, lines, into: past, screen) }
            _ = await screen.run()
            group.cancelAll()
        }
    }

    /// Nothing is written before all of it could be read.
    private func share(_ lines: [String], as path: String) throws {
        var anonymizer = Anonymizer()
        var shared: [String] = []
        do {
            for line in lines {
                if let line = try anonymizer.line(line) { shared.append(line) }
            }
        } catch { throw Failure("\(file): \(error)") }
        let output = try LineFile(path, truncating: true)
        for line in shared { try output.append(line) }
    }

    private static func lines(of path: String, _ host: SystemHost) throws -> [String] {
        do {
            guard let bytes = try host.readFile(path, bytesMax: 1 << 30) else {
                throw Failure("\(path): no such file", status: .usage)
            }
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        } catch let error as HostError {
            throw Failure(error.message, status: .usage)
        }
    }

    /// Reads all of the recording, so that any moment of it can be jumped to. What cannot be read ends it: `play` says
    /// where.
    private static func read(_ replay: Replay, _ lines: [String], into past: PastDesk, _ screen: Screen) {
        var replay = replay
        var bookmarks = Bookmarks()
        replay.keepTimeline(until: lines.last ?? "")
        for line in lines.dropFirst() {
            guard !Task.isCancelled, let snapshots = try? replay.next(line) else { break }
            for snapshot in snapshots { bookmarks.note(snapshot) }
        }
        bookmarks.note(replay.finish())
        past.replace(replay.timeline)
        screen.post(.bookmarksFound(bookmarks))
    }

    private static func play(_ replay: Replay, _ lines: [String], speed: Double, on screen: Screen) async throws {
        var replay = replay
        let time = TimeSource.system
        let start = time.now()
        for line in lines {
            for snapshot in try replay.next(line) {
                let due = Duration.nanoseconds(
                    Int64(Double((snapshot.takenAtInstant - .zero).wholeNanoseconds) / speed))
                try await time.sleep(start + due)
                screen.show(snapshot)
            }
        }
        screen.show(replay.finish())
        screen.post(.reported(nil, "the recording ends here"))
    }
}
