import AWSWire
import Leases
import Machine

/// What our own engine says of one shard: how far behind delivery is and how much flows.
struct Flow: Hashable, Sendable {
    var workerID: String?
    /// The service's MillisBehindLatest with the newest batch.
    private(set) var millisBehindLatest: Int64?
    private(set) var reportedAt: Timestamp = .zero
    /// The last sequence number delivered.
    private(set) var deliveredTo: SequenceNumber?
    private(set) var recordsPerSecond: Double = 0
    private(set) var bytesPerSecond: Double = 0
    /// Records delivered since the lease's checkpoint changed.
    var recordsSinceCheckpoint = 0
    /// The lag when the checkpoint last changed.
    var lagAtCheckpoint: Int64?

    private var records = 0
    private var bytes = 0
    private var bucketStart: Timestamp
    private var hasRate = false

    init(at now: Timestamp) { bucketStart = now }

    mutating func delivered(_ event: WorkerEvent, at now: Timestamp) {
        workerID = event.workerID ?? workerID
        records += event.records ?? 0
        bytes += event.bytes ?? 0
        recordsSinceCheckpoint += event.records ?? 0
        if let to = event.to { deliveredTo = max(deliveredTo ?? to, to) }
        if let lag = event.millisBehindLatest {
            millisBehindLatest = max(0, lag)
            reportedAt = now
        }
    }

    /// Closes the running second; called about once a second.
    mutating func sample(at now: Timestamp) {
        let elapsed = (now - bucketStart).inSeconds
        guard elapsed >= 0.95 else { return }
        let weight = hasRate ? min(1, elapsed / 3) : 1
        recordsPerSecond += (Double(records) / elapsed - recordsPerSecond) * weight
        bytesPerSecond += (Double(bytes) / elapsed - bytesPerSecond) * weight
        if recordsPerSecond < 0.05 { recordsPerSecond = 0 }
        if bytesPerSecond < 0.5 { bytesPerSecond = 0 }
        hasRate = true
        records = 0
        bytes = 0
        bucketStart = now
    }

    /// The delivered lag now. A report of a few seconds ago stands; afterwards a lag can only be bounded from above,
    /// and after a minute nothing is known.
    func deliveredLag(at now: Timestamp) -> Lag? {
        guard let lag = millisBehindLatest else { return nil }
        let age = now - reportedAt
        if age < .seconds(5) || lag == 0 && age < .seconds(60) { return Lag(lag, .exact) }
        guard age < .seconds(60) else { return nil }
        return Lag(lag + age.wholeMilliseconds, .estimate)
    }
}

/// How far behind the latest record `checkpoint` is: by what was delivered beyond it, else by the time inside it.
func checkpointLag(_ checkpoint: Checkpoint, flow: Flow?, at now: Timestamp, serviceTime: UnixTime) -> Lag? {
    guard let number = checkpoint.sequenceNumber else { return nil }
    if let flow, let delivered = flow.deliveredLag(at: now), let to = flow.deliveredTo, number >= to {
        return delivered
    }
    guard let parts = SequenceNumberParts(number, now: serviceTime) else { return nil }
    return Lag(max(0, (serviceTime - parts.recordTime).wholeMilliseconds), .estimate)
}
