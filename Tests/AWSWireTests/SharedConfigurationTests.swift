import Machine
import Testing

@testable import AWSWire

@Suite struct SharedConfigurationTests {
    static let config = """
        # a comment
        [default]
        region = eu-central-1
        output = json ; a comment

        [profile ops]
        region=us-west-2
        endpoint_url = http://localhost:9
        services = local
        ca_bundle = ~/ca.pem

        [profile "with space"]
        region = ap-south-1

        [services local]
        kinesis =
          endpoint_url = http://localhost:4567 # another comment
          other = x
        dynamodb =
          other = y
        """

    static func shared(
        _ environment: [String: String] = [:], profile: String? = nil, files: [String: String] = [:]
    ) throws -> SharedConfiguration {
        var all = ["/home/me/.aws/config": config]
        all.merge(files) { $1 }
        return try SharedConfiguration(host: ScriptedHost(environment: environment, files: all), profile: profile)
    }

    @Test func profilesAreReadWithCommentsNestingAndOddSpacing() {
        let file = ProfileFile(
            Array(
                """
                \u{FEFF}[default]
                KEY = a=b#c  # comment
                \tnested = 1
                empty =
                [ profile   "x y" ] # comment
                k=v
                no equals sign
                [default]
                late = yes
                [broken
                lost = 1
                """.replacing("\n", with: "\r\n").utf8))
        #expect(file["default"]?["key"] == ProfileFile.Property(value: "a=b#c", nested: ["nested": "1"]))
        #expect(file["default"]?["empty"]?.value == "")
        #expect(file["default"]?["late"]?.value == "yes")
        #expect(file["profile x y"]?["k"]?.value == "v")
        #expect(!file.sections.values.contains { $0["lost"] != nil })
    }

    @Test("Damaged files are read as far as they go", arguments: 0..<20 as Range<UInt64>)
    func damaged(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 { _ = ProfileFile(Array(Self.config.utf8).damaged(using: &generator)) }
    }

    @Test func theRegionIsTheEnvironmentsThenTheProfiles() throws {
        #expect(try Self.shared().region() == "eu-central-1")
        #expect(try Self.shared(["AWS_DEFAULT_REGION": "us-east-2"]).region() == "us-east-2")
        #expect(
            try Self.shared(["AWS_DEFAULT_REGION": "us-east-2", "AWS_REGION": "us-east-1"]).region() == "us-east-1")
        #expect(try Self.shared(["AWS_REGION": ""]).region() == "eu-central-1")
        #expect(try Self.shared(["AWS_PROFILE": "ops"]).region() == "us-west-2")
        #expect(try Self.shared(["AWS_PROFILE": "ops"], profile: "with space").region() == "ap-south-1")
    }

    @Test func noRegionSaysHowToSetOne() throws {
        let shared = try SharedConfiguration(host: ScriptedHost())
        #expect(try shared.regionIfSet() == nil)
        let error = try #require(throws: AWSConfigurationError.self) { try shared.region() }
        #expect(error.message.contains("AWS_REGION"))
        #expect(error.message.contains("/home/me/.aws/config"))
    }

    @Test func theLastResortForARegionIsTheInstances() async throws {
        func region(
            _ environment: [String: String] = [:], files: [String: String] = [:], answer: String = "eu-south-2\n"
        ) async throws -> String {
            let metadata = ScriptedTransport { (request, _) throws(TransportError) in
                switch (request.path, request.headers["X-aws-ec2-metadata-token"]) {
                case ("/latest/api/token", _): .json("T")
                case ("/latest/meta-data/placement/region", "T"): .json(answer)
                default: .json("", status: 401)
                }
            }
            let shared = try SharedConfiguration(host: ScriptedHost(environment: environment, files: files))
            return try await shared.region(transport: metadata, time: VirtualTime().source)
        }
        #expect(try await region() == "eu-south-2")
        #expect(try await region(["AWS_REGION": "us-east-1"]) == "us-east-1")
        #expect(try await region(files: ["/home/me/.aws/config": Self.config]) == "eu-central-1")
        for environment in [["AWS_EC2_METADATA_DISABLED": "true"], [:]] {
            let error = await #expect(throws: AWSConfigurationError.self) {
                try await region(environment, answer: "<html>")
            }
            #expect(error?.message.contains(environment.isEmpty ? "instance metadata" : "AWS_REGION") == true)
        }
    }

    @Test(
        "A region that could lead elsewhere is refused",
        arguments: ["us east", "us-east-1.evil.com/", "US-EAST-1", "a@b", "-a", "é", "x\ny"])
    func oddRegion(_ region: String) throws {
        #expect(throws: AWSConfigurationError.self) { try Self.shared(["AWS_REGION": region]).region() }
    }

    @Test func aNamedProfileMustExist() throws {
        let error = try #require(throws: AWSConfigurationError.self) { try Self.shared(profile: "none").region() }
        #expect(
            error.message
                == "the profile none stands neither in /home/me/.aws/config nor in /home/me/.aws/credentials")
    }

    @Test func endpointsComeFromTheMostSpecificPlace() throws {
        func endpoint(_ environment: [String: String], _ service: AWSService = .kinesis) throws -> String? {
            try Self.shared(environment).endpoint(for: service)?.description
        }
        #expect(try endpoint([:]) == nil)
        #expect(try endpoint(["AWS_PROFILE": "ops"]) == "http://localhost:4567")
        #expect(try endpoint(["AWS_PROFILE": "ops"], .dynamodb) == "http://localhost:9")
        #expect(try endpoint(["AWS_PROFILE": "ops", "AWS_ENDPOINT_URL": "http://a:1"]) == "http://a:1")
        #expect(
            try endpoint(["AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_KINESIS": "http://b:2/"])
                == "http://b:2")
        #expect(try endpoint(["AWS_ENDPOINT_URL_KINESIS": "http://b:2"], .dynamodb) == nil)
        #expect(
            try endpoint(["AWS_ENDPOINT_URL": "http://a:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"]) == nil)
        #expect(throws: AWSConfigurationError.self) { try endpoint(["AWS_ENDPOINT_URL": "localhost:1"]) }
    }

    @Test func filesMayLieElsewhere() throws {
        let shared = try Self.shared(
            ["AWS_CONFIG_FILE": "~/other", "AWS_SHARED_CREDENTIALS_FILE": "/creds"],
            files: ["/home/me/other": "[default]\nregion=a-b-1", "/creds": "[default]\nregion=c-d-1"])
        #expect(try shared.region() == "c-d-1")
        #expect(shared.caBundle == nil)
        #expect(try Self.shared(profile: "ops").caBundle == "/home/me/ca.pem")
        #expect(try Self.shared(["AWS_CA_BUNDLE": "/x"], profile: "ops").caBundle == "/x")
    }

    @Test func aFileThatCannotBeReadIsAnError() {
        #expect(throws: AWSConfigurationError("cannot read /x/unreadable: Permission denied")) {
            try Self.shared(["AWS_CONFIG_FILE": "/x/unreadable"])
        }
    }
}
