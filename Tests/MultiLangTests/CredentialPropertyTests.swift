import AWSWire
import Testing

@testable import MultiLang

struct CredentialPropertyTests {
    private static let role = "arn:aws:iam::123456789012:role/reader"

    @Test(
        arguments: [
            ("DefaultCredentialsProvider", [.defaultChain]), ("DefaultAWSCredentialsProviderChain", [.defaultChain]),
            ("com.amazonaws.auth.DefaultAWSCredentialsProviderChain", [.defaultChain]),
            ("software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider", [.defaultChain]),
            ("EnvironmentVariableCredentialsProvider", [.environment]),
            ("ProfileCredentialsProvider", [.profile(nil)]), ("ProfileCredentialsProvider|prod", [.profile("prod")]),
            ("com.amazonaws.auth.profile.ProfileCredentialsProvider|prod", [.profile("prod")]),
            ("WebIdentityTokenFileCredentialsProvider", [.webIdentityToken]),
            ("com.amazonaws.auth.WebIdentityTokenCredentialsProvider", [.webIdentityToken]),
            ("ContainerCredentialsProvider", [.container]), ("InstanceProfileCredentialsProvider", [.instanceMetadata]),
            ("EC2ContainerCredentialsProviderWrapper", [.containerOrInstance]),
            ("AnonymousCredentialsProvider", [.anonymous]),
            (
                " EnvironmentVariableCredentialsProvider , ProfileCredentialsProvider|a b ,,DefaultCredentialsProvider",
                [.environment, .profile("a b"), .defaultChain]
            ),
        ] as [(String, [CredentialElement])])
    func `providers of both SDKs are known by simple and by full name`(
        _ value: String, _ expected: [CredentialElement]
    ) {
        let property = CredentialProperty(value)
        #expect(property.elements == expected)
        #expect(property.warnings == [])
        #expect(property.errors == [])
    }

    @Test(arguments: [
        "StsAssumeRoleCredentialsProvider", "KclStsAssumeRoleCredentialsProvider",
        "software.amazon.kinesis.multilang.auth.KclStsAssumeRoleCredentialsProvider",
        "com.amazonaws.auth.STSAssumeRoleSessionCredentialsProvider",
        "software.amazon.kinesis.multilang.auth.KclSTSAssumeRoleSessionCredentialsProvider",
    ])
    func `a role is assumed with its nested keys`(_ name: String) {
        let value =
            "\(name)|\(Self.role)|words|endpointRegion=eu-west-1|externalId=a=b"
            + "|endpoint=http://127.0.0.1:4567^us-east-1"
        let property = CredentialProperty(value)
        #expect(property.errors == [])
        #expect(property.warnings == [])
        #expect(
            property.elements == [
                .assumeRole(
                    .init(
                        roleARN: Self.role, sessionName: "words", externalID: "a=b", endpointRegion: "eu-west-1",
                        endpoint: Endpoint("http://127.0.0.1:4567"), signingRegion: "us-east-1"))
            ])
    }

    @Test(arguments: [
        "StsAssumeRoleCredentialsProvider", "StsAssumeRoleCredentialsProvider|\(role)",
        "StsAssumeRoleCredentialsProvider|words|\(role)",
        "StsAssumeRoleCredentialsProvider|\(role)|words|endpointRegion=Not a region",
        "StsAssumeRoleCredentialsProvider|\(role)|words|endpoint=https://sts.example.com",
        "StsAssumeRoleCredentialsProvider|\(role)|words|endpoint=nonsense^us-east-1",
    ])
    func `a role that cannot be assumed is an error`(_ value: String) {
        #expect(CredentialProperty(value).errors.count == 1)
    }

    @Test func `an unknown nested key is left out with a warning`() {
        let property = CredentialProperty("StsAssumeRoleCredentialsProvider|\(Self.role)|words|mfa=1|loose")
        #expect(property.errors == [])
        #expect(property.elements.count == 1)
        #expect(property.warnings.count == 2)
    }

    @Test func `what cannot be had is left out and the rest is used`() {
        let property = CredentialProperty(
            "com.example.VaultProvider|s3cret, SystemPropertyCredentialsProvider, DefaultCredentialsProvider")
        #expect(property.elements == [.defaultChain])
        #expect(property.errors == [])
        #expect(property.warnings.count == 2)
        #expect(property.warnings[0].contains("com.example.VaultProvider"))
        #expect(property.warnings[1].contains("system properties"))
        #expect(!"\(property)".contains("s3cret"))
    }

    @Test(arguments: ["com.example.VaultProvider", "SystemPropertiesCredentialsProvider", ",", "|x", " "])
    func `where nothing is left the error says what to write`(_ value: String) {
        let property = CredentialProperty(value)
        #expect(property.elements == [])
        #expect(property.errors.count == 1)
        #expect(property.errors.first?.contains("DefaultCredentialsProvider") == true)
    }

    @Test(arguments: [
        ("DefaultCredentialProvider", "DefaultCredentialsProvider"),
        ("defaultcredentialsprovider", "DefaultCredentialsProvider"),
        ("EnvironmentVariablesCredentialsProvider", "EnvironmentVariableCredentialsProvider"),
    ])
    func `a misspelt provider is told the nearest name`(_ name: String, _ near: String) {
        #expect(CredentialProperty("\(name),DefaultCredentialsProvider").warnings.first?.contains(near) == true)
    }

    @Test func `a description tells no external id`() {
        let role = CredentialElement.AssumeRole(roleARN: Self.role, sessionName: "words", externalID: "s3cret")
        #expect(CredentialElement.assumeRole(role).description == "assume role \(Self.role) as words")
    }
}
