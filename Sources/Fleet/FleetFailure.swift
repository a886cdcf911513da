package import AWSWire

/// A failed call in one line for an operator: what is wrong and what to do.
package struct FleetFailure: Error, Hashable, Sendable {
    package enum Subject: Hashable, Sendable {
        case table(String)
        /// A table that 3.0 to 3.4 keep beside it.
        case sideTable(String)
        case stream(String)
        /// By their namespace.
        case metrics(String)

        var name: String {
            switch self {
            case .table(let name): "the lease table \(name)"
            case .sideTable(let name): "the table \(name)"
            case .stream(let name): "the stream \(name)"
            case .metrics(let name): "CloudWatch's metrics of \(name)"
            }
        }
    }

    package var subject: Subject
    package var meaning: AWSError.Meaning
    package var message: String

    package init(_ error: AWSError, _ subject: Subject, region: String, endpoint: String?, permission: String) {
        self.subject = subject
        meaning = error.meaning
        let place = endpoint ?? region
        switch error.meaning {
        case .notFound:
            switch subject {
            case .table(let name):
                message =
                    "there is no table \(name) at \(place): no worker has run under this name, or name, account or region "
                    + "are others"
            case .sideTable(let name): message = "there is no table \(name) at \(place)"
            case .stream(let name):
                message = "there is no stream \(name) at \(place): check the name, the account and the region"
            case .metrics: message = "\(subject.name) are not to be found at \(place)"
            }
        case .denied:
            message = "reading \(subject.name) is denied: the policy must allow \(permission)"
        case .unauthenticated:
            message = "the credentials are not accepted: \(error.description)"
        case .clockSkewed:
            message = "this machine's clock is too far from the service's: set it (\(error.description))"
        case .throttled:
            message = "\(subject.name) is throttled: reading more slowly"
        case .transient:
            message = "\(subject.name) cannot be read at \(place): \(Self.cause(error)); trying again"
        case .conditionFailed, .inUse, .expiredIterator, .invalid, .cancelled:
            message = "\(subject.name) cannot be read: \(error.description)"
        }
    }

    private static func cause(_ error: AWSError) -> String {
        if case .transport(let error) = error.cause { error.message } else { error.description }
    }
}
