import CurlTransport
import Fleet
import Glibc
import KinesisConsumer
import Machine

/// Who acts and where that is kept: `$XDG_STATE_HOME/shardtop/audit.ndjson`, for its owner only.
enum AuditFile {
    static func log(_ host: SystemHost) -> AuditLog {
        let directory = stateDirectory(host)
        return AuditLog { line throws(AuditLog.Failure) in
            do {
                try makeDirectory(directory)
                try LineFile("\(directory)/audit.ndjson").append(line)
            } catch let failure as Failure {
                throw AuditLog.Failure(failure.message)
            } catch {
                throw AuditLog.Failure("\(error)")
            }
        }
    }

    /// What was done so far, a line each.
    static func lines(_ host: SystemHost) throws -> [String] {
        let path = "\(stateDirectory(host))/audit.ndjson"
        do throws(HostError) {
            let bytes = try host.readFile(path, bytesMax: 1 << 28) ?? []
            return bytes.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
        } catch {
            throw Failure("\(error)")
        }
    }

    private static func stateDirectory(_ host: SystemHost) -> String {
        let state = host.variable("XDG_STATE_HOME") ?? "\(host.homeDirectory ?? "/tmp")/.local/state"
        return "\(state)/shardtop"
    }

    private static func makeDirectory(_ path: String) throws {
        var made = ""
        for part in path.split(separator: "/") {
            made += "/\(part)"
            if mkdir(made, 0o700) != 0, errno != EEXIST {
                throw Failure("cannot make \(made): \(String(cString: strerror(errno)))")
            }
        }
    }

    /// The user, and the profile or role where one is named.
    static func caller(_ host: SystemHost, role: String?) -> Caller {
        let user = host.variable("USER") ?? "uid \(getuid())"
        return Caller(name: role.map { "\(user), \($0)" } ?? user)
    }
}

extension WorkerDoor {
    /// Reaches the workers of this process: a stolen lease is written in the thief's name, who then looks at the row.
    static func workers(
        _ find: @escaping @Sendable (String) -> FleetWorker?, dynamoDB: DynamoDBClient, table: String, time: TimeSource
    ) -> WorkerDoor {
        WorkerDoor(
            steal: { worker, write throws(AWSError) in
                let item = try await dynamoDB.updateItem(write)
                if let key = write.key[LeaseTable.hashKey]?.string { find(worker)?.poke(key) }
                return item
            },
            release: { worker, leaseKey throws(AWSError) in
                find(worker)?.release(leaseKey)
                // The processor has its last checkpoint to write; the row tells when it is done.
                for _ in 0..<100 {
                    let item = try await dynamoDB.getItem(table, key: LeaseTable.key(leaseKey))
                    if item.flatMap({ LeaseTable.row($0).lease })?.leaseOwner != worker { return item }
                    do { try await time.sleep(for: .milliseconds(100)) } catch { return item }
                }
                return nil
            })
    }
}
