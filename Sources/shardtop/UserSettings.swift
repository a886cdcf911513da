import AWSWire
import CurlTransport
import Dashboard
import Fleet

extension Settings {
    /// The user's: `$XDG_CONFIG_HOME/shardtop/config.toml` and the variables. What makes no sense there ends the
    /// command.
    init(_ host: SystemHost) throws {
        let path = Self.path(host)
        do {
            try self.init(
                file: try host.readFile(path, bytesMax: 1 << 20), path: path, variable: { host.variable($0) })
        } catch let error as HostError {
            throw Failure(error.message, status: .usage)
        } catch let error as SettingsError {
            throw Failure(error.description, status: .usage)
        }
    }

    static func path(_ host: SystemHost) -> String { "\(host.configurationDirectory)/shardtop/config.toml" }

    /// Who says what holds for `key`, for messages.
    func place(of key: SettingKey, application: String? = nil) -> String {
        switch choice(key, application: application).source {
        case .variable(let name): name
        case .file(let line): "\(path), line \(line)"
        case .standard: "default"
        }
    }

    /// Whether `write` counts; says on stderr what takes it back.
    ///
    /// - Parameter application: `nil` where it is about a stream.
    func allows(
        write: Bool, application: String?, connection: ConnectionOptions, _ host: SystemHost
    ) -> Bool {
        guard write else { return false }
        let profile =
            connection.profile ?? host.variable("AWS_PROFILE") ?? host.variable("AWS_DEFAULT_PROFILE") ?? "default"
        let profiles = [profile] + (connection.dynamoDBProfile.map { [$0] } ?? [])
        guard let reason = readOnlyReason(application: application, profiles: profiles) else { return true }
        Output.error("shardtop: READ-ONLY by \(reason): --write does not count")
        return false
    }

    /// Refuses an action without a reason where one is wanted.
    func check(reason: String?) throws {
        guard flag(.requireReason), reason?.contains(where: { !$0.isWhitespace }) != true else { return }
        throw Failure(
            "every action wants its reason (require_reason: \(place(of: .requireReason))): give --reason",
            status: .refused)
    }

    /// What the settings say of an application's account, behind flags and AWS's own variables.
    func complete(_ connection: inout ConnectionOptions, for application: String, _ host: SystemHost) throws {
        func isSet(_ names: String...) -> Bool { names.contains { host.variable($0) != nil } }
        if connection.region == nil, !isSet("AWS_REGION", "AWS_DEFAULT_REGION"),
            let region = text(.region, application: application)
        {
            do throws(AWSConfigurationError) {
                connection.region = try SharedConfiguration.checked(
                    region: region, from: place(of: .region, application: application))
            } catch {
                throw Failure(error.message, status: .usage)
            }
        }
        if connection.profile == nil,
            !isSet("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE")
        {
            connection.profile = text(.profile, application: application)
        }
    }
}

extension SystemHost {
    /// `$XDG_CONFIG_HOME`, which counts only where it is an absolute path, or `~/.config`.
    var configurationDirectory: String {
        if let given = variable("XDG_CONFIG_HOME"), given.hasPrefix("/") { return given }
        return "\(homeDirectory ?? "")/.config"
    }
}
