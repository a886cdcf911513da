import Fleet
import Leases

extension LeaseView {
    /// What tells the shard from all others of the fleet: its id, or the key of its lease where that names
    /// the stream.
    var key: String { stream == nil ? shardID : id }
}
