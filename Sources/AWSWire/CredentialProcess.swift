import Machine

extension CredentialWorld {
    static let processTimeout = Duration.seconds(60)
    private static let outputBytesMax = 64 << 10

    /// Runs the `credential_process` of a profile and reads what it prints.
    ///
    /// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
    /// The line goes to `/bin/sh -c`, as in most SDKs, the Java one among them, which the consumer replaces: what the
    /// AWS CLI accepts, which splits it like a shell without being one, means the same to the shell. Neither the line,
    /// which may hold secrets, nor what it prints stands in an error; its error output does.
    func run(_ command: String, of profile: String) async throws(CredentialError) -> Credentials {
        let source = "the credential_process of the profile \(profile)"
        let result: CommandOutput
        do throws(HostError) {
            result = try await host.run(
                ["/bin/sh", "-c", command], outputBytesMax: Self.outputBytesMax, timeout: Self.processTimeout)
        } catch {
            throw CredentialError("\(source) failed: \(error.message)")
        }
        let document = try? JSON.decode(Bytes(result.output))
        guard result.status == 0 else {
            let secrets = [document?["SecretAccessKey"]?.string, document?["SessionToken"]?.string]
            let words = String(decoding: result.errors, as: UTF8.self).quoted(without: secrets)
            let how =
                result.status > 128
                ? "was ended by signal \(result.status - 128)" : "ended with exit code \(result.status)"
            throw CredentialError("\(source) \(how)\(words.isEmpty ? "" : ": \(words)")")
        }
        guard let document else { throw CredentialError("\(source) printed something that is not JSON") }
        guard document["Version"]?.int == 1 else {
            throw CredentialError("\(source) printed no document with \"Version\": 1")
        }
        guard let id = document["AccessKeyId"]?.string, let secret = document["SecretAccessKey"]?.string,
            !id.isEmpty, !secret.isEmpty
        else { throw CredentialError("\(source) printed no AccessKeyId or no SecretAccessKey") }
        var expiration: UnixTime?
        if let text = document["Expiration"]?.string {
            guard let time = CivilTime.parseISO8601(text) else {
                throw CredentialError("\(source) printed an Expiration that is no time")
            }
            guard time > self.time.wallClock() else {
                throw CredentialError("\(source) printed credentials that have expired already")
            }
            expiration = time
        }
        return Credentials(
            accessKeyID: id, secretAccessKey: secret, sessionToken: document["SessionToken"]?.string,
            expiration: expiration)
    }
}
