package import AWSWire
package import KinesisConsumer
package import Leases
package import Machine

/// Publishes a worker's metrics to CloudWatch under KCL's names: the shell around `MetricsMachine`.
///
/// `observe` and `measure` only post and never block; wire them to the worker's `onEvent` and `onMeasure`. `run` goes
/// on until `shutdown`, which belongs after the worker's end, and then for at most five seconds.
package final class MetricsPublisher: Sendable {
    private let settings: MetricsSettings
    private let cloudWatch: CloudWatchClient
    private let time: TimeSource
    private let say: @Sendable (String) -> Void
    private let mailbox = Mailbox<MetricsMachine.Event>()

    /// - Parameter say: a line for people, once per outage.
    package init(
        _ settings: MetricsSettings, cloudWatch: CloudWatchClient, time: TimeSource,
        say: @escaping @Sendable (String) -> Void
    ) {
        self.settings = settings
        self.cloudWatch = cloudWatch
        self.time = time
        self.say = say
    }

    /// With `metricsLevel = NONE` nothing is gathered, and no call is made.
    package var isEnabled: Bool { settings.level != .none }

    package func observe(_ event: WorkerEvent) {
        if isEnabled, event.source == .engine { mailbox.post(.happened(event)) }
    }

    package func measure(_ measure: WorkerMeasure) {
        if isEnabled { mailbox.post(.measured(measure)) }
    }

    package func shutdown() { mailbox.post(.shutdownRequested) }

    /// Throws only `CancellationError`.
    package func run() async throws {
        let (settings, cloudWatch, time, say) = (settings, cloudWatch, time, say)
        _ = try await drive(
            MetricsMachine(settings), mailbox: mailbox, time: time,
            immediately: { effect in
                guard case .say(let line) = effect else { return false }
                say(line)
                return true
            },
            perform: { effect in
                switch effect {
                case .say: return nil
                case .wake(let deadline):
                    do { try await time.sleep(deadline) } catch { return nil }
                    return .woke(deadline)
                case .publish(let data):
                    do throws(AWSError) {
                        try await cloudWatch.putMetricData(namespace: settings.namespace, data)
                        return .published(failure: nil)
                    } catch {
                        return .published(failure: error.description)
                    }
                }
            })
    }
}
