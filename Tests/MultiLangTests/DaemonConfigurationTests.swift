import AWSWire
import KinesisConsumer
import Machine
import Testing

@testable import MultiLang

/// What `text` says, read as app.properties.
func configure(
    _ text: String, overrides: [DaemonConfiguration.Override] = []
) throws -> DaemonConfiguration {
    var generator = SeededGenerator(seed: 1)
    let file = try PropertiesFile(Array(text.utf8), path: "app.properties")
    return try DaemonConfiguration.load(file, overrides: overrides, generator: &generator)
}

/// The least that a worker needs, with `more` from line 5 on.
func minimal(_ more: String...) -> String {
    """
    executableName = app.py
    applicationName = words-app
    streamName = words
    AwsCredentialsProvider = DefaultCredentialsProvider

    """ + more.joined(separator: "\n")
}

func mistakes(_ text: String) -> [String] {
    do {
        _ = try configure(text)
        return []
    } catch let error as PropertiesError {
        return error.errors.map(\.description)
    } catch {
        return ["\(error)"]
    }
}

struct DaemonConfigurationTests {
    /// In the shape of the sample that kclpy 3 ships.
    private static let newSample = """
        # The script
        executableName = sample_app.py

        streamArn = arn:aws:kinesis:eu-west-3:123456789012:stream/words
        streamName = words
        applicationName = PythonWords
        AwsCredentialsProvider = DefaultCredentialsProvider
        processingLanguage = python/3.8
        initialPositionInStream = TRIM_HORIZON
        regionName = us-east-1
        #failoverTimeMillis = 10000
        #workerId =
        # clientVersionConfig =
        """

    /// In the shape of the sample of kclpy 2 and 1.
    private static let oldSample = """
        executableName = sample_app.py
        streamName = words
        applicationName = PythonWords
        AWSCredentialsProvider = DefaultAWSCredentialsProviderChain
        processingLanguage = python/3.8
        initialPositionInStream = TRIM_HORIZON
        regionName = us-east-1
        #workerId =\u{20}
        """

    @Test(arguments: [newSample, oldSample])
    func `files in the shape of the samples load`(_ text: String) throws {
        let configuration = try configure(text)
        #expect(configuration.worker.applicationName == "PythonWords")
        #expect(configuration.worker.tableName == "PythonWords")
        #expect(configuration.worker.streamName == "words")
        #expect(configuration.worker.initialPosition == .trimHorizon)
        #expect(configuration.worker.releaseLeasesOnShutdown)
        #expect(configuration.worker.workerID.utf8.count == 36)
        #expect(configuration.child.arguments == ["sample_app.py"])
        #expect(configuration.child.processingLanguage == "python/3.8")
        #expect(configuration.credentials.kinesis == [.defaultChain])
        #expect(configuration.regions.kinesis == "us-east-1")
        #expect(configuration.builtIn == nil)
    }

    @Test func `the old sample is worth no warning, the new one that its ARN is of another region`() throws {
        #expect(try configure(Self.oldSample).messages.filter { $0.severity == .warning } == [])
        let warnings = try configure(Self.newSample).messages.filter { $0.severity == .warning }
        #expect(
            warnings.map(\.description) == [
                "app.properties:4: streamArn is of eu-west-3, but regionName is us-east-1: the stream is looked for in "
                    + "us-east-1"
            ])
    }

    @Test func `what is not given is KCL's default`() throws {
        let configuration = try configure(minimal())
        let worker = configuration.worker
        #expect(worker.initialPosition == .latest)
        #expect(worker.failoverTime == .seconds(10))
        #expect(worker.maxLeasesToStealAtOneTime == 1)
        #expect(worker.maxRecords == 10_000)
        #expect(worker.idleTimeBetweenReads == .milliseconds(1500))
        #expect(worker.parentShardPollInterval == .seconds(10))
        #expect(worker.taskBackoffTime == .milliseconds(500))
        #expect(worker.cleanupLeasesUponShardCompletion)
        #expect(worker.shutdownGrace == .seconds(10))
        #expect(configuration.metrics == .init())
        #expect(configuration.metrics.level == .detailed)
        #expect(configuration.child.answerTimeout == nil)
        #expect(configuration.child.onFailure == .restart)
        #expect(configuration.worker.restartsMax == 5)
        #expect(configuration.endpoints == .init())
    }

    private static let effects: [(line: String, holds: @Sendable (DaemonConfiguration) -> Bool)] = [
        ("tableName = other", { $0.worker.tableName == "other" && $0.worker.applicationName == "words-app" }),
        ("workerId = w1", { $0.worker.workerID == "w1" && !$0.worker.releaseLeasesOnShutdown }),
        ("workerIdentifier = w1", { $0.worker.workerID == "w1" }),
        ("releaseLeasesOnShutdown = false", { !$0.worker.releaseLeasesOnShutdown }),
        ("initialPositionInStream = trim_horizon", { $0.worker.initialPosition == .trimHorizon }),
        (
            "initialPositionInStreamExtended = 1636609142",
            { $0.worker.initialPosition == .atTimestamp(UnixTime(milliseconds: 1_636_609_142_000)) }
        ),
        (
            "timestampAtInitialPositionInStream = 5",
            { $0.worker.initialPosition == .atTimestamp(UnixTime(milliseconds: 5000)) }
        ),
        ("failoverTimeMillis = 2000", { $0.worker.failoverTime == .seconds(2) }),
        ("maxLeasesForWorker = 2147483647", { $0.worker.maxLeasesForWorker == .max }),
        ("maxLeasesForWorker = 3", { $0.worker.maxLeasesForWorker == 3 }),
        ("maxLeasesToStealAtOneTime = 4", { $0.worker.maxLeasesToStealAtOneTime == 4 }),
        ("cleanupLeasesUponShardCompletion = No", { !$0.worker.cleanupLeasesUponShardCompletion }),
        ("completedLeaseCleanupThresholdMillis = 9000", { $0.worker.completedLeaseCleanupInterval == .seconds(9) }),
        (
            "leasesRecoveryAuditorExecutionFrequencyMillis = 60000",
            { $0.worker.leasesRecoveryAuditorInterval == .seconds(60) }
        ),
        ("ignoreUnexpectedChildShards = TRUE", { $0.worker.ignoreUnexpectedChildShards }),
        ("pollingConfig.maxRecords = 7", { $0.worker.maxRecords == 7 }),
        ("idleTimeBetweenReadsInMillis = 1000", { $0.worker.idleTimeBetweenReads == .seconds(1) }),
        ("idleTimeBetweenReadsInMillis = 100", { $0.worker.idleTimeBetweenReads == .milliseconds(200) }),
        ("maxPendingProcessRecordsInput = 2", { $0.worker.prefetchBatchesMax == 2 }),
        ("maxCacheByteSize = 1000", { $0.worker.prefetchBytesMax == 1000 }),
        ("maxCacheByteSizePerWorker = 1000", { $0.worker.prefetchBytesMaxPerWorker == 1000 }),
        ("coordinatorStateTableName = coord", { $0.worker.coordinatorStateTable == "coord" }),
        (
            "billingMode = provisioned\ninitialLeaseTableReadCapacity = 20",
            { $0.worker.leaseTableCapacity == TableCapacity(reads: 20, writes: 10) }
        ),
        ("initialLeaseTableReadCapacity = 20", { $0.worker.leaseTableCapacity == nil }),
        ("leaseTableDeletionProtectionEnabled = true", { $0.worker.isLeaseTableDeletionProtected }),
        ("shutdownGraceMillis = 0", { $0.worker.shutdownGrace == .zero }),
        ("timeoutInSeconds = 30", { $0.child.answerTimeout == .seconds(30) }),
        ("onChildFailure = exit", { $0.child.onFailure == .exit }),
        ("onProcessorFailure = STOPSHARD", { $0.worker.onProcessorFailure == .stopShard }),
        ("logWarningForTaskAfterMillis = 500", { $0.logWarningForTaskAfter == .milliseconds(500) }),
        ("kinesisEndpoint = http://127.0.0.1:1", { $0.endpoints.kinesis == Endpoint("http://127.0.0.1:1") }),
        (
            "kinesisClient.endpointOverride = http://127.0.0.1:1",
            { $0.endpoints.kinesis == Endpoint("http://127.0.0.1:1") }
        ),
        (
            "dynamoDbClient.endpointOverride = https://db",
            { $0.endpoints.dynamoDB == Endpoint("https://db") && $0.endpoints.kinesis == nil }
        ),
        (
            "cloudWatchClient.endpointOverride = https://cw",
            { $0.endpoints.cloudWatch == Endpoint("https://cw") }
        ),
        ("metricsLevel = summary", { $0.metrics.level == .summary }),
        ("metricsBufferTimeMillis = 0", { $0.metrics.bufferTime == .zero }),
        ("metricsEnabledDimensions = ShardId, StreamId", { $0.metrics.dimensions == ["ShardId", "StreamId"] }),
        ("metricsEnabledDimensions = ALL", { $0.metrics.dimensions == nil }),
        ("http.proxyHost = proxy\nhttp.proxyPort = 3128", { $0.proxy.url == "http://proxy:3128" }),
        (
            "regionName = us-east-1\ndynamoDBRegionName = eu-west-1",
            { $0.regions.kinesis == "us-east-1" && $0.regions.dynamoDB == "eu-west-1" }
        ),
        (
            "awscredentialsproviderDynamoDB = ProfileCredentialsProvider|db",
            { $0.credentials.dynamoDB == [.profile("db")] && $0.credentials.cloudWatch == [.defaultChain] }
        ),
    ]

    @Test(arguments: effects)
    func `a property sets what it names`(_ line: String, _ holds: @Sendable (DaemonConfiguration) -> Bool) throws {
        #expect(holds(try configure(minimal(line))))
    }

    @Test func `the executable is split on blanks`() throws {
        let text = minimal().replacing("app.py", with: "python3  -u\tapp.py ")
        #expect(try configure(text).child.arguments == ["python3", "-u", "app.py"])
    }

    @Test(arguments: [
        ("failoverTimeMillis = soon", "failoverTimeMillis must be whole milliseconds from 500 to 3600000, not “soon”"),
        ("failoverTimeMillis = 10s", "failoverTimeMillis must be whole milliseconds from 500 to 3600000, not “10s”"),
        ("maxRecords = 10001", "maxRecords must be a whole number from 1 to 10000, not “10001”"),
        (
            "maxRecords = 99999999999999999999",
            "maxRecords must be a whole number from 1 to 10000, not "
                + "“99999999999999999999”"
        ),
        (
            "maxRecords = 0",
            "maxRecords must be a whole number from 1 to 10000, not “0” (Java 2.x and 3.x take it as "
                + "not given: leave the line out)"
        ),
        ("ignoreUnexpectedChildShards = maybe", "ignoreUnexpectedChildShards must be true or false, not “maybe”"),
        ("metricsLevel = ALL", "metricsLevel must be NONE, SUMMARY or DETAILED, not “ALL”"),
        (
            "kinesisEndpoint = 127.0.0.1:4567",
            "kinesisEndpoint must be http:// or https:// with a host and at most a port"
        ),
        ("regionName = US East", "regionName must be a region's name, such as us-east-1, not “US East”"),
        (
            "streamArn = arn:aws:kinesis:us-east-1:1:stream/x",
            "streamArn must be of the form "
                + "arn:aws:kinesis:REGION:ACCOUNT:stream/NAME, not “arn:aws:kinesis:us-east-1:1:stream/x”"
        ),
        ("tableName = a b", "tableName must be 3 to 255 letters, digits, dots, hyphens or underscores, not “a b”"),
        (
            "initialPositionInStream = AT_TIMESTAMP",
            "initialPositionInStream must be LATEST or TRIM_HORIZON (for a "
                + "time, set initialPositionInStreamExtended to it, in seconds since 1970), not “AT_TIMESTAMP”"
        ),
        (
            "initialPositionInStreamExtended = 1636609142000",
            "initialPositionInStreamExtended must be a time in seconds "
                + "since 1970, such as 1767225600 (seconds, not milliseconds), not “1636609142000”"
        ),
        (
            "fanoutConfig.consumerName = a b",
            "fanoutConfig.consumerName must be 1 to 128 letters, digits, dots, hyphens or underscores, not “a b”"
        ),
        (
            "staleWorkerMetricsEntryCleanupDuration = 1 day",
            "staleWorkerMetricsEntryCleanupDuration must be an ISO-8601 "
                + "duration, such as PT15M or P2D, not “1 day”"
        ),
        ("workerMetricsTags = a", "workerMetricsTags must be tags of the form key=value,key2=value2, not “a”"),
        ("onChildFailure = shrug", "onChildFailure must be restart or exit, not “shrug”"),
        ("processor = grep", "processor must be count or print, not “grep”"),
        (#"workerId = a\u0000b"#, "workerId must be without control characters"),
    ])
    func `a value of the wrong kind is an error with file and line`(_ line: String, _ error: String) {
        #expect(mistakes(minimal(line)) == ["app.properties:5: \(error)"])
    }

    @Test func `all errors are told at once`() {
        #expect(mistakes(minimal("maxRecords = x", "", "metricsLevel = y", "retrievalMode = FAST")).count == 3)
    }

    @Test(arguments: ["", "\n\n# nothing\n", "\u{FEFF}"])
    func `an empty file is one error`(_ text: String) {
        #expect(
            mistakes(text) == [
                "app.properties: there is no property in it; it needs applicationName, streamName (or streamArn) and "
                    + "executableName at least"
            ])
    }

    @Test(arguments: [
        ("applicationName", "applicationName is missing: it names the application and its lease table"),
        ("streamName", "streamName is missing: it names the stream; streamArn does too"),
        (
            "executableName",
            "executableName is missing: it is the program that processes the records (or set processor = count)"
        ),
    ])
    func `a file without a required property is one error`(_ name: String, _ error: String) {
        let lines = minimal().split(separator: "\n").filter { !$0.hasPrefix(name) }
        #expect(mistakes(lines.joined(separator: "\n")) == ["app.properties: \(error)"])
        let blank = minimal().split(separator: "\n").map { $0.hasPrefix(name) ? "\(name) =" : String($0) }
        #expect(mistakes(blank.joined(separator: "\n")) == ["app.properties: \(error)"])
    }

    @Test func `an application whose name no table can have needs a tableName`() throws {
        let text = minimal().replacing("words-app", with: "my words")
        #expect(mistakes(text).count == 1)
        #expect(mistakes(text).first?.hasPrefix("app.properties:2: applicationName must be 3 to 255") == true)
        #expect(try configure(text + "tableName = words").worker.applicationName == "my words")
    }

    @Test func `a processor of our own needs no executable and goes before one`() throws {
        let built = try configure("applicationName=app\nstreamName=words\nprocessor=COUNT")
        #expect(built.builtIn == .count)
        #expect(built.child.arguments == [])
        let both = try configure(minimal("processor = print"))
        #expect(both.builtIn == .print)
        #expect(both.child.arguments == [])
        #expect(both.messages.map(\.place).contains("app.properties:1"))
    }

    @Test func `the stream may be given by its ARN alone, whose region is only told`() throws {
        let text = minimal("streamArn = arn:aws-cn:kinesis:cn-north-1:123456789012:stream/w")
        let configuration = try configure(text)
        #expect(configuration.worker.streamName == "w")
        #expect(configuration.streamARN?.account == "123456789012")
        #expect(configuration.regions.kinesis == nil)
        #expect(configuration.messages.contains { $0.severity == .warning && $0.text.contains("streamName = words") })
        #expect(configuration.messages.contains { $0.severity == .note && $0.text.contains("cn-north-1") })
    }

    @Test func `two workers without an id get different ones`() throws {
        var generator = SeededGenerator(seed: 1)
        let file = try PropertiesFile(Array(minimal().utf8), path: "f")
        let first = try DaemonConfiguration.load(file, generator: &generator)
        let second = try DaemonConfiguration.load(file, generator: &generator)
        #expect(first.worker.workerID != second.worker.workerID)
    }

    @Test func `a flag goes before the file and is named as the origin`() throws {
        let flag = DaemonConfiguration.Override("regionName", "eu-west-1", source: "--region")
        let configuration = try configure(minimal("regionName = us-east-1"), overrides: [flag])
        #expect(configuration.regions.kinesis == "eu-west-1")
        #expect(configuration.messages.filter { $0.severity == .warning } == [])
        #expect(
            configuration.settings.first { $0.name == "regionName" }?.description
                == "regionName = eu-west-1  [--region]")
        let wrong = DaemonConfiguration.Override("regionName", "Europe", source: "--region")
        let error = #expect(throws: PropertiesError.self) { try configure(minimal(), overrides: [wrong]) }
        #expect(error?.errors.map(\.place) == ["--region"])
    }
}
