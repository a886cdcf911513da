import KinesisConsumer
import Leases
import Machine
import Metrics
import Synchronization

/// Holds what `--listen` tells: the worker's events go in, pages come out.
final class ServiceDesk: Sendable {
    private let status: Mutex<ServiceStatus>
    private let time: TimeSource
    private let children: @Sendable (Timestamp) -> [ChildFigures]

    /// - Parameter children: what is known of the children at a time; called on the listener's thread.
    init(
        _ configuration: WorkerConfiguration, version: String, time: TimeSource,
        children: @escaping @Sendable (Timestamp) -> [ChildFigures] = { _ in [] }
    ) {
        status = Mutex(
            ServiceStatus(
                version: version, application: configuration.applicationName, stream: configuration.streamName,
                workerID: configuration.workerID, failoverTime: configuration.failoverTime, at: time.now()))
        self.time = time
        self.children = children
    }

    func observe(_ event: WorkerEvent) {
        let now = time.now()
        status.withLock { $0.note(event, at: now) }
    }

    func measure(_ measure: WorkerMeasure) {
        let now = time.now()
        status.withLock { $0.note(measure, at: now) }
    }

    func shutdownRequested() { status.withLock { $0.shutdownRequested() } }

    /// `HTTPListener.Pages`
    func page(_ path: String) -> HTTPPage? {
        let now = time.now()
        switch path {
        case "/healthz": return page(of: status.withLock { $0.health(at: now) })
        case "/readyz": return page(of: status.withLock { $0.readiness(at: now) })
        case "/metrics":
            let children = children(now)
            // The copy is formatted outside of the lock, so that a scrape holds up no event.
            let status = status.withLock { $0 }
            return HTTPPage(
                contentType: PrometheusPage.contentType, text: status.metrics(children: children, at: now))
        default: return nil
        }
    }

    private func page(of answer: ServiceStatus.Answer) -> HTTPPage {
        HTTPPage(isOK: answer.isOK, text: answer.text + "\n")
    }
}
