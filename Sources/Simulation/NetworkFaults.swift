import Machine

/// What may go wrong between a node and the services: every fault is one named probability, 0 to 1 for each call.
package struct NetworkFaults: Hashable, Sendable {
    /// The request never arrives.
    package var requestLost = 0.0
    /// The request takes effect and its answer never arrives.
    package var answerLost = 0.0
    /// How a loss shows: with this probability as silence until the request's time is up, otherwise as a connection
    /// that is closed at once.
    package var lossIsSilent = 0.2
    /// The service refuses for its rate; nothing happened.
    package var throttled = 0.0
    /// The service fails before it did anything.
    package var serverError = 0.0
    /// The service answers 500 although it did what was asked.
    package var serverErrorAfterEffect = 0.0
    /// GetRecords finds its iterator expired.
    package var expiredIterator = 0.0
    /// A stream breaks off at a piece, each piece with this probability; `lossIsSilent` says how that shows.
    package var streamCut = 0.0
    /// When the service learns that nobody is at the other end of a stream any more: its subscription is active until
    /// then. It learns nothing while the node is cut off.
    package var streamEndNoticed: ClosedRange<Duration> = .milliseconds(1) ... .milliseconds(8000)
    /// One way takes `slowLatency` instead of `latency`.
    package var slow = 0.0
    package var latency: ClosedRange<Duration> = .milliseconds(1) ... .milliseconds(15)
    package var slowLatency: ClosedRange<Duration> = .milliseconds(200) ... .milliseconds(4000)

    package init() {}

    /// Nothing goes wrong; calls still take time.
    package static let none = NetworkFaults()

    /// Each fault about as likely as `level`.
    package static func everything(_ level: Double) -> NetworkFaults {
        var faults = NetworkFaults()
        faults.requestLost = level
        faults.answerLost = level
        faults.throttled = level
        faults.serverError = level
        faults.serverErrorAfterEffect = level / 2
        faults.expiredIterator = level / 4
        faults.streamCut = level / 2
        faults.slow = level
        return faults
    }
}

/// How a node is cut off from the services.
package enum Partition: Hashable, Sendable {
    /// Connections are refused at once.
    case refused
    /// Packets vanish on the way there: calls run into their timeouts.
    case silent
    /// Requests arrive and take effect; answers vanish.
    case oneWay
}
