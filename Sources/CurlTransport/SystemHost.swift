public import AWSWire
import FoundationEssentials
import Glibc

/// The machine that the program runs on: its environment as it was at the start, its files, its commands and whoever
/// sits at its terminal.
public struct SystemHost: Host, CustomReflectable {
    public let environment: [String: String]
    public let homeDirectory: String?

    /// Reads the environment, once.
    public init() {
        environment = ProcessInfo.processInfo.environment
        if let home = environment["HOME"], !home.isEmpty {
            homeDirectory = home
        } else {
            homeDirectory = Self.passwdHome()
        }
    }

    public func readFile(_ path: String, bytesMax: Int) throws(HostError) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw HostError("cannot read \(path): \(String(cString: strerror(errno)))")
        }
        defer { close(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = read(file, &chunk, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw HostError("cannot read \(path): \(String(cString: strerror(errno)))")
            }
            if count == 0 { return bytes }
            guard bytes.count + count <= bytesMax else {
                throw HostError("\(path) is larger than \(bytesMax) bytes, which no such file should be")
            }
            bytes += chunk[..<count]
        }
    }

    /// Reflection shows nothing of the environment, which may hold secrets.
    public var customMirror: Mirror { Mirror(self, children: [:]) }

    public func writeFile(_ path: String, _ bytes: [UInt8]) throws(HostError) {
        var name = Array((path + ".XXXXXX").utf8CString)
        // Made with mode 0600.
        let file = mkstemp(&name)
        guard file >= 0 else { throw HostError("cannot write \(path): \(String(cString: strerror(errno)))") }
        _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        var written = 0
        var failure: Int32 = 0
        while written < bytes.count, failure == 0 {
            let count = bytes[written...].withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
            if count >= 0 { written += count } else if errno != EINTR { failure = errno }
        }
        if failure == 0, fsync(file) != 0 { failure = errno }
        close(file)
        if failure == 0, rename(name, path) != 0 { failure = errno }
        guard failure == 0 else {
            unlink(name)
            throw HostError("cannot write \(path): \(String(cString: strerror(failure)))")
        }
    }

    private static func passwdHome() -> String? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16 << 10)
        guard getpwuid_r(getuid(), &entry, &buffer, buffer.count, &found) == 0, found != nil, let home = entry.pw_dir
        else { return nil }
        return String(cString: home)
    }
}
