import ArgumentParser
import Dashboard
import Fleet

/// Lags that are measured, at a price.
struct LagOptions: ParsableArguments {
    @Option(
        help: """
            Measure lags, not only estimate them from checkpoints. probe: read the one record after each checkpoint, \
            at most once in 10 s a shard and 20 calls a second in all, fewer when throttled; it shares the shard's \
            five reads a second with its consumers, and needs --stream unless the table names its streams. \
            cloudwatch: read what KCL workers publish, at most 100 metrics a minute, which AWS bills. May be given \
            twice. estimate: neither, whatever the settings say of the application.
            """)
    var lag: [LagChoice] = []

    /// By flag, else by the settings.
    func apply(to fleet: inout OpenFleet) {
        fleet.isLagAsked = !lag.isEmpty
        fleet.configuration.measures =
            lag.isEmpty
            ? fleet.settings.measures(application: fleet.configuration.identity.application)
            : Set(lag.compactMap(\.measure))
    }
}

enum LagChoice: String, ExpressibleByArgument, CaseIterable {
    case estimate, probe, cloudwatch

    var measure: LagMeasure? { LagMeasure(rawValue: rawValue) }
}

extension LagMeasure: ExpressibleByArgument {}
