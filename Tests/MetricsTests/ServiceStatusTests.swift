import KinesisConsumer
import Leases
import Machine
import Testing

@testable import Metrics

private func at(_ seconds: Int64) -> Timestamp { Timestamp(nanoseconds: seconds * 1_000_000_000) }

private func status(failoverTime: Duration = .seconds(10)) -> ServiceStatus {
    ServiceStatus(
        version: "0.2.0", application: "words", stream: "orders\"\\\n", workerID: "worker-1",
        failoverTime: failoverTime,
        at: at(0))
}

private func event(
    _ kind: WorkerEvent.Kind, _ shardID: String? = nil, records: Int? = nil, bytes: Int? = nil, behind: Int64? = nil,
    stopped: Bool = false, message: String? = nil
) -> WorkerEvent {
    var event = WorkerEvent(
        kind, at: UnixTime(milliseconds: 0), shardID: shardID, records: records, bytes: bytes,
        millisBehindLatest: behind, message: message)
    event.isStopped = stopped
    return event
}

@Suite struct ServiceStatusTests {
    private func running(_ shards: String...) -> ServiceStatus {
        var status = status()
        status.note(event(.workerStarted), at: at(0))
        for shard in shards { status.note(event(.leaseTaken, shard), at: at(0)) }
        return status
    }

    @Test("A worker lives while it says something, and a long start is no death") func life() {
        var status = status()
        #expect(status.health(at: at(900)) == ServiceStatus.Answer(isOK: true, text: "starting"))
        #expect(!status.health(at: at(901)).isOK)
        status.note(event(.workerStarted), at: at(100))
        #expect(status.health(at: at(130)) == ServiceStatus.Answer(isOK: true, text: "ok"))
        #expect(
            status.health(at: at(131)) == ServiceStatus.Answer(isOK: false, text: "no sign of the worker for 31 s"))
        // A call that failed is a sign of life too.
        status.note(WorkerMeasure(.listLeases, isSuccess: false), at: at(131))
        #expect(status.health(at: at(131)).isOK)
        status.note(event(.workerStopped, message: "refused"), at: at(132))
        #expect(status.health(at: at(132)) == ServiceStatus.Answer(isOK: false, text: "stopped: refused"))
    }

    @Test("A longer failoverTimeMillis allows a longer silence") func failover() {
        var status = status(failoverTime: .seconds(60))
        status.note(event(.workerStarted), at: at(0))
        #expect(status.health(at: at(180)).isOK)
        #expect(!status.health(at: at(181)).isOK)
    }

    @Test("A worker is ready when it runs and none of its shards is stopped") func readiness() {
        var status = status()
        #expect(status.readiness(at: at(1)) == ServiceStatus.Answer(isOK: false, text: "starting"))
        status.note(event(.workerStarted), at: at(1))
        status.note(event(.leaseTaken, "a"), at: at(1))
        #expect(status.readiness(at: at(1)) == ServiceStatus.Answer(isOK: true, text: "ready, 1 leases"))
        status.note(event(.processorFailed, "a", message: "once"), at: at(2))
        #expect(status.readiness(at: at(2)).isOK)
        status.note(event(.processorFailed, "a", stopped: true, message: "child failed\n6 times"), at: at(3))
        #expect(
            status.readiness(at: at(3))
                == ServiceStatus.Answer(isOK: false, text: "a is stopped: child failed 6 times"))
        #expect(status.health(at: at(3)).isOK)
        // Its lease goes elsewhere: nothing here is stopped any more.
        status.note(event(.leaseLost, "a"), at: at(4))
        #expect(status.readiness(at: at(4)).isOK)
        status.shutdownRequested()
        #expect(status.readiness(at: at(4)) == ServiceStatus.Answer(isOK: false, text: "shutting down"))
        #expect(status.health(at: at(4)).isOK)
    }

    @Test("The numbers of a shard that is gone are shown for five minutes more") func gone() {
        var status = running("a", "b")
        status.note(event(.recordsProcessed, "a", records: 2, bytes: 20, behind: 5), at: at(1))
        status.note(event(.leaseReleased, "a"), at: at(2))
        // The last batch may come back after the lease went.
        status.note(event(.recordsProcessed, "a", records: 1, bytes: 10, behind: 5), at: at(3))
        let text = status.metrics(at: at(3))
        #expect(text.contains("shardtop_records_processed_total{shard=\"a\"} 3\n"))
        #expect(!text.contains("shardtop_millis_behind_latest{shard=\"a\"}"))
        #expect(text.contains("\nshardtop_leases_held 1\n"))
        status.note(event(.leaseTaken, "c"), at: at(303))
        #expect(!status.metrics(at: at(303)).contains("\"a\""))
        // Leases of others that are deleted here are no shards of ours.
        status.note(event(.leaseDeleted, "x"), at: at(303))
        #expect(status.shards["x"] == nil)
    }

    @Test("The metrics are Prometheus' text format") func text() {
        var status = running("shard-1")
        status.note(event(.recordsProcessed, "shard-1", records: 7, bytes: 700, behind: 1250), at: at(2))
        status.note(event(.recordsSkipped, "shard-1", records: 1), at: at(2))
        status.note(event(.processorFailed, "shard-1", message: "x"), at: at(2))
        status.note(event(.checkpointed, "shard-1"), at: at(2))
        status.note(event(.throttled, "shard-1"), at: at(2))
        status.note(event(.throttled), at: at(2))
        status.note(WorkerMeasure(.renewLease), at: at(3))
        status.note(WorkerMeasure(.renewLease, isSuccess: false), at: at(3))
        let child = ChildFigures(
            shardID: "shard-1", pid: 42, restarts: 1, strayLines: 3, processorTime: .milliseconds(1500),
            residentBytes: 4096)
        let lines = status.metrics(children: [child], at: at(4)).split(separator: "\n")
        #expect(
            lines.filter { !$0.hasPrefix("#") } == [
                "shardtop_build_info{version=\"0.2.0\"} 1",
                "shardtop_worker_info{application=\"words\",stream=\"orders\\\"\\\\\\n\",worker=\"worker-1\"} 1",
                "shardtop_uptime_seconds 4", "shardtop_healthy 1", "shardtop_ready 1", "shardtop_leases_held 1",
                "shardtop_shards_stopped 0", "shardtop_leases_taken_total 1", "shardtop_zombies_total 0",
                "shardtop_terminates_total 0", "shardtop_lease_renewals_total{result=\"success\"} 1",
                "shardtop_lease_renewals_total{result=\"failure\"} 1", "shardtop_table_throttles_total 1",
                "shardtop_records_processed_total{shard=\"shard-1\"} 7",
                "shardtop_bytes_processed_total{shard=\"shard-1\"} 700",
                "shardtop_records_skipped_total{shard=\"shard-1\"} 1",
                "shardtop_processor_failures_total{shard=\"shard-1\"} 1",
                "shardtop_throttles_total{shard=\"shard-1\"} 1", "shardtop_checkpoints_total{shard=\"shard-1\"} 1",
                "shardtop_checkpoint_age_seconds{shard=\"shard-1\"} 2",
                "shardtop_millis_behind_latest{shard=\"shard-1\"} 1250",
                "shardtop_shard_stopped{shard=\"shard-1\"} 0", "shardtop_child_pid{shard=\"shard-1\"} 42",
                "shardtop_child_restarts_total{shard=\"shard-1\"} 1",
                "shardtop_child_stray_lines_total{shard=\"shard-1\"} 3",
                "shardtop_child_cpu_seconds_total{shard=\"shard-1\"} 1.5",
                "shardtop_child_resident_bytes{shard=\"shard-1\"} 4096",
            ])
        // Each family is introduced once, help before type before samples.
        let families = lines.filter { $0.hasPrefix("# TYPE ") }.map { $0.split(separator: " ")[2] }
        #expect(families.count == Set(families).count)
        #expect(lines.filter { $0.hasPrefix("# HELP ") }.map { $0.split(separator: " ")[2] } == families)
        for line in lines where line.hasPrefix("# TYPE ") {
            #expect(line.hasSuffix(" counter") == line.contains("_total "), "\(line)")
        }
    }

    @Test("A shard that ended has no lag and is a TERMINATE") func ended() {
        var status = running("a")
        status.note(event(.recordsProcessed, "a", records: 1, bytes: 1, behind: 9), at: at(1))
        status.note(event(.shardEnded, "a"), at: at(2))
        let text = status.metrics(at: at(3))
        #expect(text.contains("\nshardtop_terminates_total 1\n"))
        #expect(!text.contains("shardtop_millis_behind_latest{"))
        #expect(!text.contains("shardtop_checkpoint_age_seconds{"))
    }
}
