import AWSWire
import Synchronization

/// What was asked of the emulator, by operation.
package final class EmulatorCounters: Sendable {
    package struct Count: Hashable, Sendable {
        package var calls = 0
        /// Calls answered with an error, throttles included.
        package var failures = 0
        /// Calls refused for their rate, and PutRecords in which a record was.
        package var throttles = 0
    }

    private let counts = Mutex<[String: Count]>([:])

    /// By `Kinesis.GetRecords`, `DynamoDB.Scan`, ….
    package var byOperation: [String: Count] { counts.withLock { $0 } }

    /// How often `operation` (`Kinesis.GetRecords`) was called, failures included.
    package func calls(_ operation: String) -> Int { counts.withLock { $0[operation]?.calls ?? 0 } }

    func count(_ service: AWSService, _ operation: String, _ result: Result<ServiceAnswer, ServiceError>) {
        let isFailure: Bool
        let isThrottle: Bool
        switch result {
        case .success(.encoded(_, let throttledRecords)): (isFailure, isThrottle) = (false, throttledRecords > 0)
        case .success: (isFailure, isThrottle) = (false, false)
        case .failure(let error):
            // Names that nobody knows would let a caller grow the table without bound.
            if error.type == "UnknownOperationException" { return }
            (isFailure, isThrottle) = (true, error.isThrottle)
        }
        count(Self.name(service, operation), isFailure: isFailure, isThrottle: isThrottle)
    }

    func count(_ name: String, isFailure: Bool, isThrottle: Bool = false) {
        counts.withLock { counts in
            var count = counts[name] ?? Count()
            count.calls += 1
            if isFailure { count.failures += 1 }
            if isThrottle { count.throttles += 1 }
            counts[name] = count
        }
    }

    static func name(_ service: AWSService, _ operation: String) -> String {
        "\(service.name).\(operation)"
    }
}
