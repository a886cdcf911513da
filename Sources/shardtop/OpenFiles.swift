import Emulator
import Glibc

/// How many files this process may have open, connections among them.
enum OpenFiles {
    private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)

    /// As it is now.
    static var allowed: Int { limit.map { Int(clamping: $0.rlim_cur) } ?? 1024 }

    /// Raises it as far as the process may by itself, and returns it.
    static func raise() -> Int {
        guard var raised = limit else { return allowed }
        raised.rlim_cur = raised.rlim_max
        setrlimit(resource, &raised)
        return allowed
    }

    private static var limit: rlimit? {
        var limit = rlimit()
        return getrlimit(resource, &limit) == 0 ? limit : nil
    }
}

extension EmulatorServer.Limits {
    /// With so many connections at the most that files are left for what is none: files, libraries, the terminal.
    init(openFilesMax: Int) {
        self.init()
        connectionsMax = min(connectionsMax, max(16, openFilesMax - 64))
    }
}
