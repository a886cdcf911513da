import Leases
import Machine
import Testing

@testable import Fleet

struct PrometheusTests {
    private var snapshot: FleetSnapshot {
        var watch = Watch(.test(stream: nil))
        watch.noMigration()
        watch.scan([lease(0), lease(1, owner: nil)])
        watch.wait(.seconds(30))
        watch.scan([lease(0, counter: 9, checkpoint: checkpoint(age: .seconds(-26))), lease(1, owner: nil)])
        return watch.snapshot
    }

    private func lines(_ snapshot: FleetSnapshot) -> [String] {
        StatusReport.text(snapshot, as: .prometheus).split(separator: "\n").map(String.init)
    }

    @Test func `the fleet's series count leases, lags and problems`() {
        let lines = lines(snapshot)
        let application = "application=\"orders-app\""
        for expected in [
            "shardtop_up{\(application)} 1",
            "shardtop_leases{\(application)} 2",
            "shardtop_leases_unowned{\(application)} 1",
            "shardtop_leases_expired{\(application)} 0",
            "shardtop_lease_states{\(application),state=\"LIVE\"} 1",
            "shardtop_lag_max_seconds{\(application),lag=\"checkpoint\"} 4",
            "shardtop_lag_sum_seconds{\(application),lag=\"checkpoint\"} 4",
            "shardtop_lag_max_estimated{\(application),lag=\"checkpoint\"} 1",
            "shardtop_lease_progress{\(application),progress=\"OK\"} 1",
            "shardtop_lease_progress{\(application),progress=\"STALLED\"} 0",
            "shardtop_lease_progress{\(application),progress=\"STOPPED\"} 1",
            "shardtop_shard_catch_up_seconds{\(application),shard=\"\(id(1))\"} +Inf",
            "shardtop_problems{\(application),kind=\"UNOWNED\"} 1",
            "shardtop_problems{\(application),kind=\"STUCK\"} 0",
            "shardtop_worker_leases{\(application),worker=\"w1\"} 1",
            "shardtop_shard_consumed{\(application),shard=\"\(id(0))\"} 1",
            "shardtop_shard_consumed{\(application),shard=\"\(id(1))\"} 0",
            "shardtop_shard_checkpoint_lag_seconds{\(application),shard=\"\(id(0))\"} 4",
        ] {
            #expect(lines.contains(expected), "\(expected)")
        }
    }

    @Test func `each metric has HELP and TYPE once, its series follow, and no series comes twice`() {
        var current = ""
        var seen: Set<String> = []
        var series: Set<String> = []
        let lines = lines(snapshot)
        for line in lines {
            let words = line.split(separator: " ").map(String.init)
            if words[0] == "#", words[1] == "HELP" {
                #expect(seen.insert(words[2]).inserted, "\(line)")
                current = words[2]
            } else if words[0] == "#" {
                #expect(
                    words[1] == "TYPE" && words[2] == current && ["gauge", "counter"].contains(words[3]), "\(line)")
                #expect((words[3] == "counter") == current.hasSuffix("_total"), "\(line)")
            } else {
                #expect(line.hasPrefix("\(current){"), "\(line)")
                #expect(words.last.flatMap { Double($0) } != nil, "\(line)")
                #expect(series.insert(words.dropLast().joined(separator: " ")).inserted, "\(line)")
            }
        }
        #expect(StatusReport.text(snapshot, as: .prometheus).hasSuffix("\n"))
    }

    @Test func `quotes, backslashes and line breaks in names are escaped`() {
        var snapshot = snapshot
        snapshot.workers[0].workerID = "a\"b\\c\nd"
        #expect(lines(snapshot).contains { $0.contains(",worker=\"a\\\"b\\\\c\\nd\"} ") })
    }

    @Test func `shards and workers are bounded, and what is left out is counted`() {
        let text = StatusReport.prometheus(snapshot, shardsMax: 1, workersMax: 0)
        #expect(text.contains("shard=\"\(id(0))\"") && !text.contains("shard=\"\(id(1))\""))
        #expect(text.contains("shardtop_shards_left_out{application=\"orders-app\"} 1\n"))
        #expect(text.contains("shardtop_workers_left_out{application=\"orders-app\"} 1\n"))
        #expect(!text.contains("worker=\""))
    }

    @Test func `before anything was read it is not up`() {
        let snapshot = Watch(.test(stream: nil)).snapshot
        #expect(lines(snapshot).contains("shardtop_up{application=\"orders-app\"} 0"))
    }
}
