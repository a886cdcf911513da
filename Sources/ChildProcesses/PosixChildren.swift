import AWSWire
package import Machine
package import MultiLang

/// The children of this process: one thread starts them, moves all their bytes and collects them when they end.
///
/// A child gets a session of its own, so that the terminal's signals do not reach it, and dies with that thread, and
/// so with this process, however it ends. Nobody is left behind: what a child started in its process group dies with
/// the child.
package final class PosixChildren: ChildSpawner {
    private let loop: ChildLoop
    private let time: TimeSource

    /// - Parameter time: for the grace of `endAll`.
    package init(time: TimeSource) {
        self.time = time
        loop = ChildLoop()
    }

    /// Kills what is left.
    deinit { loop.close() }

    package func spawn(
        _ command: ChildCommand, news: @escaping @Sendable (ChildNews) -> Void
    ) async throws -> any ChildProcess {
        let (id, pid) = try await loop.spawn(command, news)
        return PosixChild(id: id, pid: pid, loop: loop)
    }

    package func endAll(grace: Duration) async {
        loop.signalAll(.terminate)
        let (loop, time) = (loop, time)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await loop.waitUntilNoneIsLeft() }
            group.addTask {
                try? await time.sleep(for: grace)
                loop.signalAll(.kill)
                await loop.waitUntilNoneIsLeft()
            }
            await group.next()
            group.cancelAll()
        }
    }
}

/// A handle; the child lives in the loop.
final class PosixChild: ChildProcess {
    private let id: Int
    let pid: Int32
    private let loop: ChildLoop

    init(id: Int, pid: Int32, loop: ChildLoop) {
        self.id = id
        self.pid = pid
        self.loop = loop
    }

    /// Without a handle nobody can end it any more.
    deinit { abandon() }

    func write(_ piece: [UInt8]) async throws { try await loop.write(piece, to: id) }

    func read() async throws -> Bytes? { try await loop.read(from: id) }

    func closeInput() { loop.post(.closeInput(id)) }

    func signal(_ signal: ChildSignal) { loop.post(.signal(id, signal)) }

    func abandon() { loop.post(.abandon(id)) }

    func usage() -> ChildUsage? { loop.isAlive(id) ? ChildUsage(process: pid) : nil }
}
