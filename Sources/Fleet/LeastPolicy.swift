import AWSWire
import Leases

/// What shardtop is allowed to do at the least, as an IAM policy: exactly the operations that it calls, on exactly the
/// stream and the tables that it calls them on.
package struct LeastPolicy: Hashable, Sendable {
    package enum Purpose: String, Hashable, Sendable, CaseIterable {
        /// The screen and `status`: nothing is written.
        case watch
        /// The screen with its actions, `lease` and `shard`.
        case operate
        /// A worker without a screen.
        case consume
    }

    /// Where it applies; what is not known is `*`.
    package struct Place: Hashable, Sendable {
        package var region: String?
        package var account: String?
        package var application: String
        /// The lease table, where it is not named as the application.
        package var table: String?
        /// Names or ARNs; several of a table that names its streams.
        package var streams: [String]
        /// The legacy coordinator table, where its name is given.
        package var coordinatorTable: String?
        /// The legacy table of the workers' metrics, where its name is given.
        package var workerMetricsTable: String?
        package var publishesMetrics = true
        package var reading = Reading.polling
        /// How who watches measures lags.
        package var measures: Set<LagMeasure> = []

        package init(application: String, streams: [String], region: String? = nil, account: String? = nil) {
            self.application = application
            self.streams = streams
            self.region = region
            self.account = account
        }
    }

    /// How a worker reads.
    package enum Reading: Hashable, Sendable {
        case polling
        /// Enhanced fan-out, by a registered consumer of that name.
        case fanOut(consumer: String)
    }

    /// What operations are called on.
    package enum Resource: Hashable, Sendable {
        case stream, consumer, leaseTable, coordinatorTable, workerMetricsTable, metrics, readMetrics
    }

    package struct Grant: Hashable, Sendable {
        package var sid: String
        package var resource: Resource
        /// `kinesis:GetRecords`, sorted.
        package var actions: [String]
    }

    /// All actions of `purpose`, sorted.
    package static func actions(
        for purpose: Purpose, _ reading: Reading = .polling, measuring measures: Set<LagMeasure> = []
    ) -> [String] {
        Set(grants(for: purpose, reading, measuring: measures).flatMap(\.actions)).sorted()
    }

    package static func grants(
        for purpose: Purpose, _ reading: Reading = .polling, measuring measures: Set<LagMeasure> = []
    ) -> [Grant] {
        func kinesis(_ names: [String]) -> [String] { names.map { "kinesis:\($0)" }.sorted() }
        func dynamoDB(_ names: [String]) -> [String] { names.map { "dynamodb:\($0)" }.sorted() }
        let mode = Grant(sid: "FleetMode", resource: .coordinatorTable, actions: dynamoDB(["GetItem"]))
        switch purpose {
        case .watch, .operate:
            var stream = ["ListShards", "DescribeStreamSummary"]
            // The rows that a screen shows, between two scans.
            var table = ["BatchGetItem", "DescribeTable", "Scan"]
            var metrics = ["Scan"]
            if purpose == .operate {
                stream += ["SplitShard", "MergeShards", "UpdateShardCount"]
                table += ["GetItem", "UpdateItem", "PutItem", "DeleteItem"]
                // Whether the worker that shall have a lease still reports.
                metrics += ["GetItem"]
            }
            // A rewind to a time looks for the first record at it.
            if purpose == .operate || measures.contains(.probe) { stream += ["GetShardIterator", "GetRecords"] }
            return [
                Grant(sid: "Stream", resource: .stream, actions: kinesis(stream)),
                Grant(sid: "LeaseTable", resource: .leaseTable, actions: dynamoDB(table)), mode,
                Grant(sid: "WorkerMetrics", resource: .workerMetricsTable, actions: dynamoDB(metrics)),
            ]
                + (measures.contains(.cloudwatch)
                    ? [Grant(sid: "Metrics", resource: .readMetrics, actions: ["cloudwatch:GetMetricData"])] : [])
        case .consume:
            let stream: [String]
            let consumer: [Grant]
            switch reading {
            case .polling:
                stream = ["GetShardIterator", "GetRecords"]
                consumer = []
            case .fanOut:
                stream = ["DescribeStreamSummary", "DescribeStreamConsumer", "RegisterStreamConsumer"]
                consumer = [
                    Grant(
                        sid: "Consumer", resource: .consumer,
                        actions: kinesis(["DescribeStreamConsumer", "SubscribeToShard"]))
                ]
            }
            return [Grant(sid: "Stream", resource: .stream, actions: kinesis(["ListShards"] + stream))] + consumer + [
                Grant(
                    sid: "LeaseTable", resource: .leaseTable,
                    actions: dynamoDB([
                        "DescribeTable", "CreateTable", "Scan", "GetItem", "PutItem", "UpdateItem", "DeleteItem",
                    ])),
                mode, Grant(sid: "Metrics", resource: .metrics, actions: ["cloudwatch:PutMetricData"]),
            ]
        }
    }

    /// The policy document, indented.
    package static func document(for purpose: Purpose, _ place: Place) -> String {
        var statements: [String] = []
        for grant in grants(for: purpose, place.reading, measuring: place.measures) {
            let resources = arns(of: grant.resource, place)
            guard !resources.isEmpty else { continue }
            let list = resources.map { "        \(quoted($0))" }.joined(separator: ",\n")
            var members = [
                "\"Sid\": \(quoted(grant.sid))", "\"Effect\": \"Allow\"",
                "\"Action\": [\n" + grant.actions.map { "        \(quoted($0))" }.joined(separator: ",\n")
                    + "\n      ]",
                "\"Resource\": \(resources.count == 1 ? quoted(resources[0]) : "[\n\(list)\n      ]")",
            ]
            if grant.resource == .metrics {
                members.append(
                    "\"Condition\": { \"StringEquals\": { \"cloudwatch:namespace\": \(quoted(place.application)) } }")
            }
            statements.append("    {\n" + members.map { "      \($0)" }.joined(separator: ",\n") + "\n    }")
        }
        return "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n" + statements.joined(separator: ",\n")
            + "\n  ]\n}"
    }

    /// Empty where nothing of the kind is used.
    private static func arns(of resource: Resource, _ place: Place) -> [String] {
        let region = place.region ?? "*"
        let account = place.account ?? "*"
        let partition = partition(of: region)
        func table(_ name: String) -> [String] {
            ["arn:\(partition):dynamodb:\(region):\(account):table/\(name)"]
        }
        let streams = place.streams.map { name in
            name.hasPrefix("arn:") ? name : "arn:\(partition):kinesis:\(region):\(account):stream/\(name)"
        }
        switch resource {
        case .stream: return streams
        case .consumer:
            guard case .fanOut(let name) = place.reading else { return [] }
            // Its ARN ends in the time of its registration.
            return streams.map { "\($0)/consumer/\(name):*" }
        case .leaseTable: return table(place.table ?? place.application)
        case .coordinatorTable:
            return table(place.coordinatorTable ?? FleetMode.coordinatorTable(application: place.application))
        case .workerMetricsTable:
            return table(place.workerMetricsTable ?? FleetMode.workerMetricsTable(application: place.application))
        // PutMetricData knows no resources; the namespace limits it.
        case .metrics: return place.publishesMetrics ? ["*"] : []
        // GetMetricData knows neither resources nor namespaces.
        case .readMetrics: return ["*"]
        }
    }

    private static func partition(of region: String) -> String {
        let partitions = [
            ("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("us-isob-", "aws-iso-b"), ("us-isof-", "aws-iso-f"),
            ("us-iso-", "aws-iso"), ("eu-isoe-", "aws-iso-e"), ("eusc-", "aws-eusc"),
        ]
        return partitions.first { region.hasPrefix($0.0) }?.1 ?? "aws"
    }

    private static func quoted(_ text: String) -> String { JSON.text(.string(text)) }
}
