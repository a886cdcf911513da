import Glibc
import MultiLang

extension ChildUsage {
    /// What `/proc/PID/stat` says; nil where there is none.
    init?(process: Int32) {
        let file = open("/proc/\(process)/stat", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 2048)
        let count = read(file, &bytes, bytes.count)
        guard count > 0 else { return nil }
        self.init(stat: String(decoding: bytes[..<count], as: UTF8.self))
    }

    /// Reads the line of proc_pid_stat(5); the program's name in it may hold anything.
    init?(
        stat: String, ticksPerSecond: Int = sysconf(Int32(_SC_CLK_TCK)), pageBytes: Int = sysconf(Int32(_SC_PAGESIZE))
    ) {
        guard let nameEnd = stat.lastIndex(of: ")"), ticksPerSecond > 0 else { return nil }
        // The first field after the name is the third of the line.
        let fields = stat[stat.index(after: nameEnd)...].split(separator: " ")
        guard fields.count > 21, let user = Int(fields[11]), let system = Int(fields[12]), let pages = Int(fields[21]),
            case (let ticks, let overflow) = user.addingReportingOverflow(system), !overflow,
            case (let bytes, let overflow) = pages.multipliedReportingOverflow(by: pageBytes), !overflow
        else { return nil }
        self.init(processorTime: .seconds(Double(ticks) / Double(ticksPerSecond)), residentBytes: bytes)
    }
}
