import Dashboard
import Fleet
import Glibc
import Machine
import Synchronization

/// `--accessible`: lines on stdout in place of the picture, typed lines in place of keys.
extension Screen {
    func narrate() async -> End {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [self] in
                guard let interruption else { return }
                while case let signal = await interruption.wait(), signal != 0 {
                    post(.terminal(.interrupted(signal: signal)))
                }
            }
            readLines()
            let end = await tell()
            group.cancelAll()
            return end
        }
    }

    private func readLines() {
        let isRead = startThread { [self] in
            while let line = readLine() { post(.terminal(.paste(line))) }
            // Ctrl-D quits; a pipe that ended is just nobody who types.
            if isatty(STDIN_FILENO) == 1 { post(.terminal(.closed)) }
        }
        if !isRead { Output.error("shardtop: no typed lines are read: the system gives no thread") }
    }

    private func tell() async -> End {
        var narrator = Narrator(
            Model.Configuration(purpose: purpose, themes: themes.names, theme: themes.chosen, hasMouse: false),
            now: time.now())
        for await event in events {
            let snapshot = latest.withLock { latest in
                defer { latest = nil }
                return latest
            }
            var answers = snapshot.map { [narrator.handle(.snapshotTaken($0))] } ?? []
            answers.append(narrator.handle(event))
            for answer in answers {
                for line in answer.lines { Output.print(line) }
                for effect in answer.effects {
                    if let end = perform(effect) { return end }
                }
            }
        }
        return .quit
    }
}
