import AWSWire
import Machine

package final class KinesisService: Sendable {
    init(configuration: EmulatorConfiguration, time: TimeSource) {}
    func handle(operation: String, input: AWSValue, throttledShards: Set<String>) throws(ServiceError) -> ServiceAnswer
    {
        throw ServiceError("UnknownOperationException")
    }
    func shards(touchedBy operation: String, input: AWSValue) -> Set<String> { [] }
    func expired(iterator: String?) -> ServiceError { ServiceError("ExpiredIteratorException") }
}
struct ShardIterator {
    var stream: String
    init?(_ t: String) { return nil }
}
