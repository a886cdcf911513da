import KinesisConsumer
import Machine
import Testing

@testable import MultiLang

struct DaemonConfigurationMessagesTests {
    private func told(_ line: String, _ severity: PropertiesMessage.Severity) throws -> [String] {
        let messages = try configure(minimal("retrievalMode = POLLING", line)).messages
        return messages.filter { $0.severity == severity }.map(\.description)
    }

    @Test(arguments: [
        ("maxActiveThreads = 4", "thread pool"), ("maxLeaseRenewalThreads = 30", "without threads"),
        ("shardSyncIntervalMillis = 1000", "no periodic shard sync"),
        ("initialLeaseTableReadCapacity = 20", "on demand"),
        ("leaseTablePitrEnabled = true", "update-continuous-backups"),
        ("clientVersionConfig = CLIENT_VERSION_CONFIG_3X", "as KCL 2.x does"),
        ("dampeningPercentage = 80", "2.x mode"), ("workerMetricsEMAAlpha = 0.25", "2.x mode"),
        ("staleWorkerMetricsEntryCleanupDuration = PT24H", "2.x mode"), ("maxThroughputPerHostKBps = 1e4", "2.x mode"),
        ("workerMetricsTags = a=b,c=d", "never creates that table"),
        ("coordinatorStateBillingMode = pay_per_request", "never creates that table"),
        ("skipShardSyncAtStartupIfLeasesExist = true", "one ListShards"),
        ("fanoutConfig.consumerName = words", "records are polled"),
        ("pollingConfig.retryGetRecordsInSeconds = 3", "no threads"),
        ("kinesisClient.overrideConfiguration.retryPolicy = x", "endpointOverride"),
        ("listShardsBackoffTimeInMillis = 100", "standard retry mode"),
    ])
    func `a property without effect is named once with the reason`(_ line: String, _ reason: String) throws {
        let warnings = try told(line, .warning)
        #expect(warnings.count == 1)
        #expect(warnings.first?.hasPrefix("app.properties:6: ") == true)
        #expect(warnings.first?.contains("has no effect here") == true)
        #expect(warnings.first?.contains(reason) == true)
    }

    @Test(arguments: [
        "maxActiveThreads = 0", "billingMode = pay_per_request", "leaseTablePitrEnabled = false",
        "clientVersionConfig = CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X", "shardSyncStrategyType = SHARD_END",
        "skipShardSyncAtWorkerInitializationIfLeasesExist = false", "isGracefulLeaseHandoffEnabled = false",
        "validateSequenceNumberBeforeCheckpointing = true",
    ])
    func `what asks for what is done anyway is worth no warning`(_ line: String) throws {
        #expect(try told(line, .warning) == [])
    }

    @Test(arguments: [
        ("failoverTime = 1", "did you mean failoverTimeMillis?"),
        ("failoverTimeMilis = 1", "did you mean failoverTimeMillis?"),
        ("intialPositionInStream = LATEST", "did you mean initialPositionInStream?"),
        ("maxrecords = 5", "did you mean maxRecords?; upper and lower case count"),
        ("timeout = 5", "did you mean timeoutInSeconds?"), ("mertics.level = x", "did you mean metricsLevel?"),
        ("colour = red", "no property of KCL"), ("x = 1", "no property of KCL"),
    ])
    func `an unknown name is told the nearest known one`(_ line: String, _ words: String) throws {
        let warnings = try told(line, .warning)
        #expect(warnings.count == 1)
        #expect(warnings.first?.contains(words) == true)
    }

    @Test func `the value of an unknown property is not told`() throws {
        #expect(!(try configure(minimal("dbPassword = hunter2")).messages).description.contains("hunter2"))
    }

    @Test func `nothing of a credentials argument is told`() throws {
        let text = minimal("AwsCredentialsProviderDynamoDB = com.example.Vault|hunter2,DefaultCredentialsProvider")
        let configuration = try configure(text)
        #expect(configuration.messages.contains { $0.text.hasPrefix("AwsCredentialsProviderDynamoDB: “com.example") })
        #expect(!configuration.messages.description.contains("hunter2"))
        #expect(!configuration.settings.description.contains("hunter2"))
        let errors = mistakes(minimal("AwsCredentialsProviderCloudWatch = com.example.Vault|hunter2"))
        #expect(errors.first?.hasPrefix("app.properties:5: AwsCredentialsProviderCloudWatch names no") == true)
        #expect(!errors.description.contains("hunter2"))
    }

    @Test(arguments: [
        "kinesisEndpoint = https://user:hunter2@example.com", "http.proxyHost = http://user:hunter2@proxy",
        "http.proxyHost = user:hunter2@proxy",
    ])
    func `a password in a URL is not told`(_ line: String) {
        let errors = mistakes(minimal(line))
        #expect(errors.count == 1)
        #expect(!errors.description.contains("hunter2"))
    }

    @Test(arguments: [
        "cleanupLeasesUponShardCompletion = false", "metricsBufferTimeMillis = 0", "taskBackoffTimeMillis = 0",
    ])
    func `zero and false are taken at their word, and a note says that Java does not`(_ line: String) throws {
        #expect(try told(line, .warning) == [])
        let notes = try told(line, .note)
        #expect(notes.count == 1)
        #expect(notes.first?.contains("for Java ignore it") == true)
    }

    @Test func `without credentials the default chain is used and said so`() throws {
        let text = "applicationName=app\nstreamName=words\nexecutableName=x\nretrievalMode=POLLING"
        let configuration = try configure(text)
        #expect(configuration.credentials.kinesis == [.defaultChain])
        #expect(configuration.messages.map(\.severity) == [.note])
    }

    @Test func `a name given twice, under one spelling or two, is warned of with both lines`() throws {
        let text = minimal("maxRecords = 5", "maxRecords = 6", "pollingConfig.maxRecords = 7")
        let configuration = try configure(text)
        #expect(configuration.worker.maxRecords == 7)
        #expect(
            configuration.messages.map(\.description) == [
                "app.properties:6: “maxRecords” is given twice, in line 5 and in line 6; line 6 counts",
                "app.properties:7: pollingConfig.maxRecords is the same as maxRecords in line 6; this counts",
            ])
        let credentials = try configure(minimal("AWSCREDENTIALSPROVIDER = ProfileCredentialsProvider|x"))
        #expect(credentials.credentials.kinesis == [.profile("x")])
        #expect(credentials.messages.contains { $0.text.contains("is the same as AwsCredentialsProvider in line 4") })
    }

    @Test(arguments: [
        ["initialPositionInStreamExtended = 5", "initialPositionInStream = LATEST"],
        ["initialPositionInStream = LATEST", "initialPositionInStreamExtended = 5"],
    ])
    func `a start time goes before a start position, with a warning`(_ lines: [String]) throws {
        let configuration = try configure(minimal("retrievalMode = POLLING", lines[0], lines[1]))
        #expect(configuration.worker.initialPosition == .atTimestamp(UnixTime(milliseconds: 5000)))
        #expect(configuration.messages.count == 1)
        #expect(configuration.messages.first?.text.contains("gives way to initialPositionInStreamExtended") == true)
    }

    @Test(
        arguments: [
            ([], .polling, [.note]), (["maxRecords = 5"], .polling, []), (["retrievalMode = POLLING"], .polling, []),
            (["retrievalMode = default"], .fanOut(FanOutConsumer()), [.note]),
            (["retrievalMode = FANOUT"], .fanOut(FanOutConsumer()), []),
            (["retrievalMode = FANOUT", "maxRecords = 5"], .fanOut(FanOutConsumer()), []),
            (["retrievalMode = DEFAULT", "maxRecords = 5"], .polling, [.note]),
            (["retrievalMode = DEFAULT", "pollingConfig.idleTimeBetweenReadsInMillis = 500"], .polling, [.note]),
            (["fanoutConfig.consumerName = words"], .fanOut(FanOutConsumer(name: "words")), [.note]),
            (["fanoutConfig.consumerName = words", "maxRecords = 5"], .polling, [.note, .warning]),
        ] as [([String], RetrievalMode, [PropertiesMessage.Severity])])
    func `a file chooses between polling and fan-out as Java does, and polls where it says nothing`(
        _ lines: [String], _ mode: RetrievalMode, _ said: [PropertiesMessage.Severity]
    ) throws {
        let configuration = try configure(minimal(lines.joined(separator: "\n")))
        #expect(configuration.worker.retrieval == mode)
        #expect(configuration.messages.map(\.severity) == said)
    }

    @Test func `the properties of fan-out reach the worker`() throws {
        let arn = "arn:aws:kinesis:us-east-1:123456789012:stream/words/consumer/app:1700000000"
        let configuration = try configure(
            minimal(
                "retrievalMode = FANOUT", "fanoutConfig.consumerArn = \(arn)",
                "fanoutConfig.maxDescribeStreamConsumerRetries = 3", "fanoutConfig.registerStreamConsumerRetries = 4",
                "fanoutConfig.retryBackoffMillis = 20"))
        var consumer = FanOutConsumer(arn: arn)
        consumer.describeAttemptsMax = 3
        consumer.registerAttemptsMax = 4
        consumer.retryBackoff = .milliseconds(20)
        #expect(configuration.worker.retrieval == .fanOut(consumer))
        #expect(configuration.messages == [])
    }

    @Test func `a property without a value is taken as not given`() throws {
        let configuration = try configure(minimal("maxRecords = 5", "workerId =", "failoverTimeMillis ="))
        #expect(configuration.worker.releaseLeasesOnShutdown)
        #expect(configuration.messages.map(\.place) == ["app.properties:6", "app.properties:7"])
    }

    @Test func `a pause that the service does not allow is raised`() throws {
        let configuration = try configure(minimal("idleTimeBetweenReadsInMillis = 50"))
        #expect(
            configuration.messages.map(\.description) == [
                "app.properties:5: idleTimeBetweenReadsInMillis is raised to 200: a shard can be read five times a "
                    + "second by all together"
            ])
    }

    @Test func `the effective configuration names each value and where it comes from`() throws {
        let settings = try configure(minimal("maxRecords = 5", "timestampAtInitialPositionInStream = 7")).settings
        func line(_ name: String) -> String? { settings.first { $0.name == name }?.description }
        #expect(line("applicationName") == "applicationName = words-app  [app.properties:2]")
        #expect(line("tableName") == "tableName = words-app  [default]")
        #expect(line("maxRecords") == "maxRecords = 5  [app.properties:5]")
        #expect(line("failoverTimeMillis") == "failoverTimeMillis = 10000  [default]")
        #expect(line("initialPositionInStream") == "initialPositionInStream = AT_TIMESTAMP  [app.properties:6]")
        #expect(line("initialPositionInStreamExtended") == "initialPositionInStreamExtended = 7  [app.properties:6]")
        #expect(line("timeoutInSeconds") == "timeoutInSeconds = (unset)  [default]")
        #expect(line("AwsCredentialsProviderDynamoDB") == "AwsCredentialsProviderDynamoDB = default chain  [default]")
        #expect(line("maxActiveThreads") == nil)
        #expect(line("executableName") == "executableName = app.py  [app.properties:1]")
        let other = try configure(
            minimal("processor=count", "streamArn=arn:aws:kinesis:us-east-1:123456789012:stream/w"))
        #expect(other.settings.first { $0.name == "executableName" }?.value == nil)
        #expect(
            other.settings.first { $0.name == "streamName" }?.description == "streamName = w  [app.properties:6]")
        #expect(Set(settings.map(\.name)).count == settings.count)
        #expect(settings.allSatisfy { !$0.meaning.isEmpty })
    }

    /// kcl.md §8.5 and the names of 1.x.
    @Test func `every property of KCL is known`() {
        let names = """
            executableName applicationName streamName streamArn AwsCredentialsProvider AwsCredentialsProviderDynamoDB
            AwsCredentialsProviderCloudWatch processingLanguage maxActiveThreads tableName workerId workerIdentifier
            regionName kinesisEndpoint dynamoDBEndpoint initialPositionInStream initialPositionInStreamExtended
            timestampAtInitialPositionInStream failoverTimeMillis leaseAssignmentIntervalMillis
            enablePriorityLeaseAssignment leaseTableDeletionProtectionEnabled leaseTablePitrEnabled
            shardSyncIntervalMillis cleanupLeasesUponShardCompletion ignoreUnexpectedChildShards maxLeasesForWorker
            maxLeasesToStealAtOneTime initialLeaseTableReadCapacity initialLeaseTableWriteCapacity
            leaseTableScanTotalSegments maxLeaseRenewalThreads listShardsBackoffTimeInMillis maxListShardsRetryAttempts
            callProcessRecordsEvenForEmptyRecordList parentShardPollIntervalMillis shardPrioritization
            skipShardSyncAtWorkerInitializationIfLeasesExist schedulerInitializationBackoffTimeMillis
            clientVersionConfig migrateAllEntitiesToLeaseTable tableMigrationCompleteBakeTimeSeconds
            taskBackoffTimeMillis metricsBufferTimeMillis metricsMaxQueueSize metricsLevel metricsEnabledDimensions
            logWarningForTaskAfterMillis retrievalMode fanoutConfig.consumerArn fanoutConfig.consumerName
            fanoutConfig.maxDescribeStreamSummaryRetries fanoutConfig.maxDescribeStreamConsumerRetries
            fanoutConfig.registerStreamConsumerRetries fanoutConfig.retryBackoffMillis maxRecords
            pollingConfig.maxRecords idleTimeBetweenReadsInMillis pollingConfig.idleTimeBetweenReadsInMillis
            retryGetRecordsInSeconds maxGetRecordsThreadPool millisBehindLatestThresholdForReducedTps
            gracefulLeaseHandoffTimeoutMillis isGracefulLeaseHandoffEnabled inMemoryWorkerMetricsCaptureFrequencyMillis
            workerMetricsReporterFreqInMillis noOfPersistedMetricsPerWorkerMetrics disableWorkerMetrics
            maxThroughputPerHostKBps dampeningPercentage reBalanceThresholdPercentage allowThroughputOvershoot
            varianceBalancingFrequency workerMetricsEMAAlpha staleWorkerMetricsEntryCleanupDuration
            workerMetricsTableName workerMetricsBillingMode workerMetricsReadCapacity workerMetricsWriteCapacity
            workerMetricsPointInTimeRecoveryEnabled workerMetricsDeletionProtectionEnabled workerMetricsTags
            coordinatorStateTableName coordinatorStateBillingMode coordinatorStateReadCapacity
            coordinatorStateWriteCapacity coordinatorStatePointInTimeRecoveryEnabled
            coordinatorStateDeletionProtectionEnabled coordinatorStateTags validateSequenceNumberBeforeCheckpointing
            shutdownGraceMillis timeoutInSeconds kinesisClient.endpointOverride dynamoDbClient.endpointOverride
            cloudWatchClient.endpointOverride maxPendingProcessRecordsInput maxCacheByteSize maxRecordsCount
            dataFetchingStrategy idleMillisBetweenCalls userAgent skipShardSyncAtStartupIfLeasesExist billingMode
            shardSyncStrategyType leasesRecoveryAuditorExecutionFrequencyMillis
            leasesRecoveryAuditorInconsistencyConfidenceThreshold maxInitializationAttempts leaseCleanupIntervalMillis
            completedLeaseCleanupThresholdMillis garbageLeaseCleanupThresholdMillis http.proxyHost http.proxyPort
            """
        let missing = names.split(whereSeparator: \.isWhitespace).map(String.init)
            .filter { DaemonConfigurationProperty.byName[$0] == nil }
        #expect(missing == [])
        #expect(DaemonConfigurationProperty.names.count == Set(DaemonConfigurationProperty.names).count)
    }

    @Test func `no value whatever traps, and what is wrong has a place`() {
        let values = [
            "0", "-1", "x", "9223372036854775807", "9223372036854775808", "1e400", "nan", "arn:::::", "|", ",", "^",
            "=", "P", "T", "://", "http://", "http://[::1]:99999", "ProfileCredentialsProvider|", "\u{1F600}",
            "StsAssumeRoleCredentialsProvider|arn:|x|endpoint=^|=", "true", "FALSE", "ALL,,", "a=,=b",
            String(repeating: "z", count: 10_000),
        ]
        for name in DaemonConfigurationProperty.names {
            for value in values {
                do {
                    _ = try configure(minimal("\(name) = \(value)"))
                } catch let error as PropertiesError {
                    #expect(!error.errors.isEmpty)
                    #expect(error.errors.allSatisfy { $0.place.hasPrefix("app.properties") && $0.text.count < 500 })
                } catch {
                    Issue.record(error)
                }
            }
        }
    }

    @Test(arguments: [
        ("PT15M", 900), ("PT10H", 36_000), ("P2D", 172_800), ("p1dt1h1m1.5s", 90_061), ("-PT1S", -1), ("PT-1M", -60),
    ])
    func `an ISO-8601 duration is read as Java reads it`(_ text: String, _ seconds: Int) {
        #expect(parseISO8601Duration(text) == .seconds(seconds))
    }

    @Test(arguments: [
        "", "P", "PT", "P1", "1H", "PT1D", "P1H", "PT1M1H", "PTM", "PT1.5M", "P1DT", "PT99999999999999999999S",
        "P9999999999999D", "PT1H ",
    ])
    func `what is no duration is not read`(_ text: String) {
        #expect(parseISO8601Duration(text) == nil)
    }

    @Test(arguments: [("abc", "abc", 0), ("abc", "acb", 1), ("abc", "ab", 1), ("", "abc", 3), ("kitten", "sitting", 3)])
    func `the edit distance counts a swap as one`(_ a: String, _ b: String, _ distance: Int) {
        #expect(editDistance(Array(a.utf8), Array(b.utf8)) == distance)
    }
}
