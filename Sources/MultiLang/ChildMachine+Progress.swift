import Machine

extension ChildMachine {
    /// Does what has become possible, and what is due.
    mutating func advance(at now: Timestamp, _ effects: inout [Effect]) {
        if case .requesting = phase {
            handleMessages(at: now, &effects)
            settleRequest(at: now, &effects)
        }
        if case .requesting(let request) = phase { checkWait(of: request, at: now, &effects) }
        if case .ending = phase { advanceEnding(at: now, &effects) }
    }

    /// Looks at the child's messages in their order, one checkpoint at a time.
    private mutating func handleMessages(at now: Timestamp, _ effects: inout [Effect]) {
        while exchange == nil, case .requesting(var request) = phase, let message = pending.first {
            switch message {
            case .status(let action):
                pending.removeFirst()
                if request.isAnswered {
                    countStray(1)
                } else if action == request.action.rawValue {
                    request.isAnswered = true
                    phase = .requesting(request)
                } else {
                    let name = action.map { "“\($0)”" } ?? "nothing"
                    fail("it answered \(name) to \(request.action.rawValue)", at: now, &effects)
                }
            case .checkpoint(let number, let subNumber):
                // Replies come after the request in the pipe. After the answer, a checkpoint belongs to the request
                // that follows; there is none after the last.
                guard request.isWritten, !request.isAnswered || isLast(request) else { return }
                pending.removeFirst()
                let reply = CheckpointReply(sequenceNumber: number, subSequenceNumber: subNumber)
                if request.action.mayCheckpoint, !request.isAnswered {
                    exchange = .storing(reply)
                    wait = nil
                    effects.append(.checkpoint(sequenceNumber: number, subSequenceNumber: subNumber))
                } else {
                    countRefusal()
                    exchange = .replying
                    startWaiting(now)
                    var refusal = reply
                    refusal.error = "InvalidStateException"
                    effects.append(.reply(refusal))
                }
            }
        }
    }

    /// Whether the child is let go once it has answered: after the lease is lost, and after SHARD_END is stored.
    private func isLast(_ request: Request) -> Bool {
        request.action == .leaseLost || request.action == .shardEnded && request.endedShard
    }

    private mutating func settleRequest(at now: Timestamp, _ effects: inout [Effect]) {
        guard case .requesting(let request) = phase, exchange == nil else { return }
        if request.isAnswered, request.isWritten {
            guard isLast(request) else { return finishRequest() }
            countAnswer()
            end(grace: limits.exitGrace, at: now, &effects)
        } else if isOutputEnded, pending.isEmpty {
            fail(
                exit.map { "it \($0.how) during \(request.action.rawValue)" }
                    ?? "it closed its output during \(request.action.rawValue)", at: now, &effects)
        } else if let exit, now >= exit.at + limits.outputGrace {
            fail("it \(exit.how) during \(request.action.rawValue)", at: now, &effects)
        }
    }

    /// Fails the child that is silent for too long; warns of the one that is silent for long.
    private mutating func checkWait(of request: Request, at now: Timestamp, _ effects: inout [Effect]) {
        guard var wait else { return }
        if request.isAnswered, request.isWritten {
            // All that is left is the reply to a checkpoint that came too late.
            if now >= wait.since + limits.exitGrace { end(grace: limits.killGrace, at: now, &effects) }
        } else if let timeout = limits.responseTimeout, now >= wait.since + timeout {
            let seconds = timeout.inSeconds.formattedSeconds
            fail("it did not answer \(request.action.rawValue) within \(seconds)", at: now, &effects)
        } else if now >= wait.warnAt {
            let seconds = (now - wait.since).inSeconds.rounded().formattedSeconds
            effects.append(.warn("waiting for its answer to \(request.action.rawValue) for \(seconds)"))
            wait.pause = wait.pause + wait.pause
            wait.warnAt = now + wait.pause
            self.wait = wait
        }
    }

    private mutating func advanceEnding(at now: Timestamp, _ effects: inout [Effect]) {
        guard case .ending(let step, let deadline) = phase else { return }
        // What it still says is not listened to.
        countStray(pending.count)
        pending = []
        // A checkpoint that is being stored is waited for: who starts again wants to see it.
        if case .storing? = exchange { return }
        if let exit {
            if isOutputEnded || now >= exit.at + limits.outputGrace { finish(&effects) }
            return
        }
        guard now >= deadline else { return }
        switch step {
        case .closing:
            effects.append(.warn("it goes on after its input was closed; it gets SIGTERM"))
            effects.append(.signal(.terminate))
            phase = .ending(.terminating, deadline: now + limits.killGrace)
        case .terminating:
            effects.append(.warn("it goes on after SIGTERM; it gets SIGKILL"))
            effects.append(.signal(.kill))
            phase = .ending(.killing, deadline: now + limits.killGrace)
        case .killing:
            effects.append(.warn("it goes on after SIGKILL; the system does not end it"))
            finish(&effects)
        }
    }

    /// When time alone changes something.
    var nextDeadline: Timestamp? {
        let afterExit = exit.map { $0.at + limits.outputGrace }
        switch phase {
        case .resting, .ended: return nil
        case .ending(_, let deadline):
            if case .storing? = exchange { return nil }
            return afterExit ?? deadline
        case .requesting(let request):
            var deadlines: [Timestamp] = []
            if exchange == nil, let afterExit { deadlines.append(afterExit) }
            if let wait {
                if request.isAnswered, request.isWritten {
                    deadlines.append(wait.since + limits.exitGrace)
                } else {
                    deadlines.append(wait.warnAt)
                    if let timeout = limits.responseTimeout { deadlines.append(wait.since + timeout) }
                }
            }
            return deadlines.min()
        }
    }
}

extension Double {
    /// `30 s`, `1.5 s`
    fileprivate var formattedSeconds: String {
        self == rounded() && magnitude < 1e15 ? "\(Int64(self)) s" : "\(self) s"
    }
}
