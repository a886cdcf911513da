import Fleet
import Leases
import Machine

/// Numbers and names as the screen writes them.
enum Format {
    /// `4.1s`, `≤23m05s`, or a dash.
    static func lag(_ lag: Lag?, _ symbols: Symbols) -> String {
        guard let lag else { return symbols.none }
        return (lag.isUpperBound ? symbols.atMost : "") + Duration.milliseconds(max(0, lag.milliseconds)).brief
    }

    static func age(_ age: Duration?, _ symbols: Symbols) -> String {
        age.map(\.brief) ?? symbols.none
    }

    /// Three significant digits: `0`, `0.4`, `940`, `12.3k`, `1.20M`.
    static func rate(_ perSecond: Double?, _ symbols: Symbols) -> String {
        guard let rate = perSecond, rate.isFinite else { return symbols.none }
        let value = max(0, rate)
        switch value {
        case ..<0.05: return "0"
        case ..<9.95: return decimals(value, 1)
        case ..<999.5: return decimals(value, 0)
        case ..<999_500: return scaled(value / 1e3) + "k"
        case ..<999_500_000: return scaled(value / 1e6) + "M"
        default: return value < 1e15 ? scaled(value / 1e9) + "G" : ">1P"
        }
    }

    private static func scaled(_ value: Double) -> String {
        decimals(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0)
    }

    static func decimals(_ value: Double, _ digits: Int) -> String {
        let scale = [1.0, 10, 100, 1000][min(3, max(0, digits))]
        guard value.isFinite, abs(value) < 1e15 else { return "?" }
        let scaled = Int64((value * scale).rounded())
        guard digits > 0 else { return String(scaled) }
        let whole = Int64(scale)
        let fraction = String(abs(scaled % whole))
        let zeros = String(repeating: "0", count: max(0, digits - fraction.count))
        return "\(scaled < 0 ? "-" : "")\(abs(scaled / whole)).\(zeros)\(fraction)"
    }

    /// `1234567` as `1 234 567`.
    static func count(_ value: Int64) -> String {
        let digits = Array(String(value.magnitude))
        var text = value < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0 && (digits.count - index) % 3 == 0 { text.append(" ") }
            text.append(digit)
        }
        return text
    }

    static func bytes(_ perSecond: Double?, _ symbols: Symbols) -> String {
        guard let perSecond, perSecond.isFinite else { return symbols.none }
        if perSecond < 1024 * 1024 { return decimals(max(0, perSecond) / 1024, perSecond < 10_240 ? 1 : 0) + " KB/s" }
        return decimals(min(perSecond / 1_048_576, 1e9), 1) + " MB/s"
    }

    /// `820 B`, `48.2 MB`, in units of 1 024.
    static func size(_ bytes: Int) -> String {
        let value = Double(max(0, bytes))
        switch value {
        case ..<1024: return "\(max(0, bytes)) B"
        case ..<1_048_576: return decimals(value / 1024, 1) + " KB"
        case ..<1_073_741_824: return decimals(value / 1_048_576, 1) + " MB"
        default: return decimals(min(value / 1_073_741_824, 1e9), 1) + " GB"
        }
    }

    /// `0017` for `shardId-000000000017`; other names stay whole. The stream of a multi-stream key goes in front.
    static func shard(_ id: String) -> String {
        guard let colon = id.lastIndex(of: ":") else { return short(id[...]) }
        let parts = id.split(separator: ":")
        let stream = parts.count == 4 ? String(parts[1]) : String(id[..<colon])
        return stream + ":" + short(id[id.index(after: colon)...])
    }

    private static func short(_ id: Substring) -> String {
        let prefix = "shardId-"
        guard id.hasPrefix(prefix) else { return String(id) }
        let digits = id.dropFirst(prefix.count)
        guard digits.count > 4, digits.utf8.allSatisfy({ (48...57).contains($0) }) else { return String(id) }
        let significant = digits.drop { $0 == "0" }
        return String(digits.suffix(max(4, significant.count)))
    }

    /// A sentence with Kinesis's long shard names in their short form.
    static func sentence(_ text: String) -> String {
        guard text.contains("shardId-") else { return text }
        return text.split(separator: " ", omittingEmptySubsequences: false).map { word in
            guard word.contains("shardId-") else { return String(word) }
            let end = word.lastIndex { $0.isNumber }.map { word.index(after: $0) } ?? word.endIndex
            guard word[..<end].split(separator: ":").last?.hasPrefix("shardId-") == true else { return String(word) }
            return shard(String(word[..<end])) + word[end...]
        }.joined(separator: " ")
    }

    /// A hash key in hexadecimal, its first 8 digits of 32.
    static func hashKey(_ key: UInt128) -> String {
        let digits = String(key, radix: 16)
        return String((String(repeating: "0", count: max(0, 32 - digits.count)) + digits).prefix(8))
    }

    /// A share of the hash key space.
    static func share(_ fraction: Double) -> String {
        let percent = fraction * 100
        return decimals(percent, percent < 10 ? 1 : 0) + "%"
    }

    /// 0...1 for a lag from nothing to ten minutes, by its logarithm.
    static func lagLevel(_ milliseconds: Double) -> Double {
        guard milliseconds > 1000 else { return 0 }
        var level = 0.0
        var limit = 1000.0
        while limit < 600_000, milliseconds > limit {
            let step = min(2, milliseconds / limit)
            level += (step - 1) / 9.2
            limit *= 2
        }
        return min(1, level)
    }
}

/// How a lease's state looks: a sign and a colour beside its word.
struct StateLook {
    var role: Theme.Role
    var symbol: String

    init(_ state: LeaseState, isASCII: Bool) {
        let (role, symbol, ascii): (Theme.Role, String, String) =
            switch state {
            case .learning: (.leaseLearning, "◔", ".")
            case .live: (.leaseLive, "●", "*")
            case .late: (.leaseLate, "◐", "~")
            case .expired: (.leaseExpired, "✗", "x")
            case .free: (.leaseFree, "○", "o")
            case .handoff: (.leaseHandoff, "⇄", "=")
            case .pending: (.leasePending, "◑", "%")
            case .blocked: (.leaseBlocked, "◌", "#")
            case .drain: (.leaseDrain, "▼", "v")
            case .ended: (.leaseEnded, "■", "-")
            case .orphan: (.leaseOrphan, "?", "?")
            case .missing: (.leaseMissing, "∅", "0")
            case .hole: (.leaseHole, "▨", "!")
            }
        self.role = role
        self.symbol = isASCII ? ascii : symbol
    }
}

/// How a worker's state looks.
struct WorkerLook {
    var role: Theme.Role
    var symbol: String

    init(_ state: WorkerView.State, isASCII: Bool) {
        let (role, symbol, ascii): (Theme.Role, String, String) =
            switch state {
            case .learning: (.leaseLearning, "◌", ".")
            case .live: (.leaseLive, "●", "*")
            case .late: (.leaseLate, "◐", "~")
            case .expired: (.leaseExpired, "✗", "x")
            case .idle: (.dim, "○", "o")
            case .paused: (.warning, "‖", "=")
            case .stopped: (.dim, "■", "-")
            }
        self.role = role
        self.symbol = isASCII ? ascii : symbol
    }
}

/// How a severity looks.
struct SeverityLook {
    var role: Theme.Role
    var symbol: String

    init(_ severity: Severity?, _ symbols: Symbols) {
        switch severity {
        case .critical: (role, symbol) = (.critical, symbols.alarm)
        case .warning: (role, symbol) = (.warning, symbols.warning)
        case .info: (role, symbol) = (.notice, symbols.middleDot)
        case nil: (role, symbol) = (.ok, symbols.check)
        }
    }
}

/// The word that the log has for an event; operators know TERMINATE and ZOMBIE.
struct EventWord {
    var word: String
    var role: Theme.Role
    /// So frequent that it would push everything else out of sight.
    var isChatter = false

    init(_ kind: WorkerEvent.Kind) {
        let (word, role): (String, Theme.Role) =
            switch kind {
            case .workerStarted: ("STARTED", .ok)
            case .leaseCreated: ("CREATED", .text)
            case .leaseTaken: ("TAKEN", .notice)
            case .leaseStolen: ("STOLEN", .warning)
            case .leaseReleased: ("RELEASED", .text)
            case .leaseEvicted: ("EVICTED", .warning)
            case .leaseLost: ("ZOMBIE", .critical)
            case .ownerChanged: ("OWNER", .notice)
            case .handoffStarted: ("HANDOFF", .leaseHandoff)
            case .handoffCompleted: ("HANDED", .leaseHandoff)
            case .initialized: ("READING", .text)
            case .recordsProcessed: ("RECORDS", .dim)
            case .recordsSkipped: ("SKIPPED", .critical)
            case .checkpointed: ("CHECKPT", .dim)
            case .shardEnded: ("TERMINATE", .leaseDrain)
            case .childLeaseCreated: ("CHILD", .text)
            case .shutdownRequested: ("REQUESTED", .warning)
            case .shutdownCompleted: ("SHUTDOWN", .text)
            case .leaseDeleted: ("DELETED", .dim)
            case .processorFailed: ("FAILED", .critical)
            case .throttled: ("THROTTLED", .warning)
            case .subscriptionStarted: ("SUBSCR", .dim)
            case .subscriptionEnded: ("UNSUBSCR", .dim)
            case .shardSynced: ("SYNCED", .dim)
            case .modeChanged: ("MODE", .warning)
            case .operatorAction: ("OPERATOR", .miscellaneous)
            case .workerStopped: ("STOPPED", .warning)
            case .childOutput: ("STDERR", .dim)
            }
        self.word = word
        self.role = role
        switch kind {
        case .recordsProcessed, .checkpointed, .shardSynced, .subscriptionStarted, .subscriptionEnded: isChatter = true
        default: break
        }
    }
}
