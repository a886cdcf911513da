import KinesisConsumer
import Synchronization

/// Counts the events of a run for its last line.
final class EventTally: Sendable {
    struct Counts: Hashable, Sendable {
        var checkpointed = 0
        var terminated = 0
        var zombies = 0
        var skipped = 0
        var batches = 0
        var records = 0
    }

    private let state = Mutex(Counts())

    var counts: Counts { state.withLock { $0 } }

    func note(_ event: WorkerEvent) {
        state.withLock { counts in
            switch event.kind {
            case .checkpointed: counts.checkpointed += 1
            case .shardEnded: counts.terminated += 1
            case .leaseLost: counts.zombies += 1
            case .recordsSkipped: counts.skipped += event.records ?? 0
            case .recordsProcessed:
                counts.batches += 1
                counts.records += event.records ?? 0
            default: break
            }
        }
    }
}

extension EventTally.Counts {
    /// `produced 6000, delivered 6000 (+12 again), checkpointed 240, TERMINATE 2, ZOMBIE 1, lost 0, out of order 0`
    func summary(_ ledger: DeliveryLedger.Counts) -> String {
        "produced \(ledger.produced), delivered \(ledger.delivered) (+\(ledger.duplicates) again), checkpointed "
            + "\(checkpointed) times, TERMINATE \(terminated), ZOMBIE \(zombies), skipped \(skipped), lost "
            + "\(ledger.lost), out of order \(ledger.outOfOrder)"
    }
}
