import AWSWire
package import Machine

/// One call as it was answered, for a log.
package struct EmulatedCall: Hashable, Sendable {
    package var at: UnixTime
    /// `kinesis`, `dynamodb` or `monitoring`.
    package var service: String
    package var operation: String
    package var status: Int

    /// One line of NDJSON, without the line feed.
    package var json: String {
        JSON.text(
            .members([
                "at": .string(CivilTime(at).iso8601), "service": .string(service), "operation": .string(operation),
                "status": .int(Int64(status)),
            ]))
    }
}
