import AWSWire
import Testing

@testable import Fleet

@Suite struct LeastPolicyTests {
    private var place: LeastPolicy.Place {
        LeastPolicy.Place(application: "words-app", streams: ["words"], region: "eu-west-1", account: "123456789012")
    }

    @Test func `every stream that is given stands in it, an ARN as it is`() throws {
        var several = place
        several.streams = ["words", "arn:aws:kinesis:eu-west-1:210987654321:stream/theirs"]
        let text = LeastPolicy.document(for: .watch, several)
        #expect(
            text.contains(
                """
                      "Resource": [
                        "arn:aws:kinesis:eu-west-1:123456789012:stream/words",
                        "arn:aws:kinesis:eu-west-1:210987654321:stream/theirs"
                      ]
                """))
        #expect(text.contains("\"Resource\": \"arn:aws:dynamodb:eu-west-1:123456789012:table/words-app\""))
    }

    @Test func `a worker's policy names its stream, its tables and its namespace`() throws {
        let text = LeastPolicy.document(for: .consume, place)
        #expect(
            text == """
                {
                  "Version": "2012-10-17",
                  "Statement": [
                    {
                      "Sid": "Stream",
                      "Effect": "Allow",
                      "Action": [
                        "kinesis:GetRecords",
                        "kinesis:GetShardIterator",
                        "kinesis:ListShards"
                      ],
                      "Resource": "arn:aws:kinesis:eu-west-1:123456789012:stream/words"
                    },
                    {
                      "Sid": "LeaseTable",
                      "Effect": "Allow",
                      "Action": [
                        "dynamodb:CreateTable",
                        "dynamodb:DeleteItem",
                        "dynamodb:DescribeTable",
                        "dynamodb:GetItem",
                        "dynamodb:PutItem",
                        "dynamodb:Scan",
                        "dynamodb:UpdateItem"
                      ],
                      "Resource": "arn:aws:dynamodb:eu-west-1:123456789012:table/words-app"
                    },
                    {
                      "Sid": "FleetMode",
                      "Effect": "Allow",
                      "Action": [
                        "dynamodb:GetItem"
                      ],
                      "Resource": "arn:aws:dynamodb:eu-west-1:123456789012:table/words-app-CoordinatorState"
                    },
                    {
                      "Sid": "Metrics",
                      "Effect": "Allow",
                      "Action": [
                        "cloudwatch:PutMetricData"
                      ],
                      "Resource": "*",
                      "Condition": { "StringEquals": { "cloudwatch:namespace": "words-app" } }
                    }
                  ]
                }
                """)
        #expect((try? JSON.decode(Bytes(text)))?["Statement"] != nil)
    }

    @Test func `what is not known is a star, and the partition follows the region`() {
        let unknown = LeastPolicy.Place(application: "a\"b", streams: [])
        let text = LeastPolicy.document(for: .watch, unknown)
        #expect(text.contains(#""arn:aws:dynamodb:*:*:table/a\"b""#))
        #expect(!text.contains("kinesis"))
        var china = place
        china.region = "cn-north-1"
        china.table = "leases"
        #expect(
            LeastPolicy.document(for: .operate, china)
                .contains(#""arn:aws-cn:dynamodb:cn-north-1:123456789012:table/leases""#))
    }

    @Test func `a fan-out worker subscribes as its consumer, and polls nothing`() {
        var place = place
        place.reading = .fanOut(consumer: "words-app")
        let text = LeastPolicy.document(for: .consume, place)
        #expect(
            text.contains(
                #""arn:aws:kinesis:eu-west-1:123456789012:stream/words/consumer/words-app:*""#))
        #expect(text.contains("kinesis:SubscribeToShard"))
        #expect(text.contains("kinesis:RegisterStreamConsumer"))
        #expect(!text.contains("kinesis:GetRecords"))
    }

    @Test func `metrics that are not published need no permission`() {
        var place = place
        place.publishesMetrics = false
        #expect(!LeastPolicy.document(for: .consume, place).contains("cloudwatch"))
    }

    @Test func `watching scans what workers report, operating also looks at one row of it`() {
        let metrics = LeastPolicy.grants(for: .watch).first { $0.resource == .workerMetricsTable }
        #expect(metrics?.actions == ["dynamodb:Scan"])
        let operating = LeastPolicy.grants(for: .operate).first { $0.resource == .workerMetricsTable }
        #expect(operating?.actions == ["dynamodb:GetItem", "dynamodb:Scan"])
        #expect(LeastPolicy.document(for: .watch, place).contains(":table/words-app-WorkerMetricStats\""))
        #expect(!LeastPolicy.document(for: .consume, place).contains("WorkerMetricStats"))
    }

    @Test func `watching writes nothing`() {
        #expect(
            LeastPolicy.actions(for: .watch) == [
                "dynamodb:BatchGetItem", "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:Scan",
                "kinesis:DescribeStreamSummary", "kinesis:ListShards",
            ])
        #expect(
            Set(LeastPolicy.actions(for: .operate)).subtracting(LeastPolicy.actions(for: .watch)) == [
                "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "kinesis:GetRecords",
                "kinesis:GetShardIterator", "kinesis:MergeShards", "kinesis:SplitShard", "kinesis:UpdateShardCount",
            ])
    }
}
