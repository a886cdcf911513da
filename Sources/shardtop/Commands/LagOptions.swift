import ArgumentParser
import Fleet

/// Lags that are measured, at a price.
struct LagOptions: ParsableArguments {
    @Option(
        help: """
            Measure lags, not only estimate them from checkpoints. probe: read the one record after each checkpoint, \
            at most once in 10 s a shard and 20 calls a second in all, fewer when throttled; it shares the shard's \
            five reads a second with its consumers, and needs --stream unless the table names its streams. \
            cloudwatch: read what KCL workers publish, at most 100 metrics a minute, which AWS bills. May be given \
            twice.
            """)
    var lag: [LagMeasure] = []

    func apply(to configuration: inout FleetConfiguration) {
        configuration.measures = Set(lag)
    }
}

extension LagMeasure: ExpressibleByArgument {}
