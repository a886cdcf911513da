import AWSWire
import Leases
import Machine
import Testing

@testable import Fleet

struct StatusReportTests {
    private var snapshot: FleetSnapshot {
        var watch = Watch(.test(stream: nil))
        watch.send(.tableDescribed(.test(), watch.info()))
        watch.noMigration()
        watch.scan([lease(0), lease(1, owner: nil)])
        watch.wait(.seconds(30))
        watch.scan([lease(0, counter: 9, checkpoint: checkpoint(age: .seconds(-26))), lease(1, owner: nil)])
        return watch.snapshot
    }

    @Test func `the JSON object has every member of version 1, absent ones as null`() throws {
        let text = StatusReport.text(snapshot, as: .json)
        #expect(text.hasSuffix("}\n"))
        let value = try JSON.decode(Bytes(text))
        #expect(
            inOrder(text) == [
                "version", "application", "stream", "region", "account", "tableArn", "takenAt", "observedSeconds",
                "generation", "mode", "leader", "leaderHeartbeatAgeSeconds", "migration", "layout", "assignment",
                "failoverTimeMillis", "failoverTimeSource", "retentionHours", "streamState", "streamStateWhy",
                "streams",
                "leases", "workers", "problems", "totals", "cost",
            ])
        #expect(text.contains("\"stream\":null"))
        #expect(value["failoverTimeMillis"]?.int == 10_000)
        #expect(value["failoverTimeSource"]?.string == "given")
        #expect(value["observedSeconds"]?.int == 30)
        let first = try #require(value["leases"]?.list?.first)
        #expect(
            inOrder(JSON.text(first)) == [
                "leaseKey", "shardId", "stream", "owner", "checkpointOwner", "state", "why", "checkpoint",
                "checkpointSubSequenceNumber", "checkpointAgeSeconds", "checkpointLagMilliseconds",
                "deliveredLagMilliseconds", "lagSource", "secondsToTrim", "leaseCounter", "counterAgeSeconds",
                "ownerSwitchesSinceCheckpoint", "parentShardIds", "childShardIds", "startingHashKey", "endingHashKey",
                "pendingCheckpoint", "throughputKBps", "progress", "secondsToCatchUp", "catchesUp",
            ])
        #expect(first["state"]?.string == "LIVE")
        #expect(first["lagSource"]?.string == "estimate")
        #expect(first["checkpointLagMilliseconds"]?.int == 4000)
        #expect(first["progress"]?.string == "OK")
        #expect(JSON.text(first).contains("\"secondsToCatchUp\":null,\"catchesUp\":null"))
        let second = try #require(value["leases"]?.list?.last)
        #expect(second["progress"]?.string == "STOPPED")
        #expect(second["catchesUp"]?.bool == false)
        let problem = try #require(value["problems"]?.list?.first)
        #expect(problem["kind"]?.string == "UNOWNED")
        #expect(problem["since"]?.string == CivilTime(Watch.noon).iso8601)
        #expect(value["totals"]?["unowned"]?.int == 1)
        #expect(value["workers"]?.list?.first?["workerId"]?.string == "w1")
    }

    /// The members of the outermost object, as written.
    private func inOrder(_ text: String) -> [String] {
        var depth = 0
        var names: [String] = []
        var string: String?
        var last = ""
        for character in text {
            if character == "\"" {
                if let done = string { last = done }
                string = string == nil ? "" : nil
            } else if string != nil {
                string?.append(character)
            } else if "{[".contains(character) {
                depth += 1
            } else if "}]".contains(character) {
                depth -= 1
            } else if character == ":", depth == 1 {
                names.append(last)
            }
        }
        return names
    }

    @Test func `the table is aligned and free of control characters`() {
        var snapshot = snapshot
        snapshot.leases[0].owner = "evil\u{1B}[31m"
        let text = StatusReport.text(snapshot, as: .table)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        #expect(!text.contains("\u{1B}"))
        #expect(lines.first == "orders-app  123456789012  us-east-1  KCL 2.x  \(CivilTime(snapshot.takenAt).iso8601)")
        let header = lines.first { $0.hasPrefix("SHARD") }
        let row = lines.first { $0.hasPrefix(id(1)) }
        let column = header.flatMap { $0.firstRange(of: "OWNER") }.map { $0.lowerBound }
        #expect(column != nil)
        if let header, let row, let column {
            let offset = header.distance(from: header.startIndex, to: column)
            #expect(row.dropFirst(offset).hasPrefix("- "))
        }
        #expect(header?.contains("  PROGRESS  WHY") ?? false)
        #expect(row?.contains("  STOPPED   ") ?? false)
        #expect(lines.contains { $0.hasPrefix("PROBLEM") })
    }

    @Test func `CSV quotes what it must and defuses formulas`() {
        var snapshot = snapshot
        snapshot.leases[0].owner = "=cmd(\"x\"),1"
        let lines = StatusReport.text(snapshot, as: .csv).components(separatedByLines: ())
        #expect(lines[0].hasPrefix("leaseKey,shardId,owner,"))
        #expect(lines[1].hasPrefix("\(id(0)),\(id(0)),\"'=cmd(\"\"x\"\"),1\",,LIVE,"))
        #expect(lines[2].hasSuffix(",STOPPED,,false,"))
        #expect(lines.count == 4)
    }
}

extension String {
    fileprivate func components(separatedByLines: ()) -> [String] {
        split(separator: "\r\n", omittingEmptySubsequences: false).map(String.init)
    }
}
