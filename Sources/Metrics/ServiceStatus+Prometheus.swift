package import Machine

/// What is known of a shard's child process.
package struct ChildFigures: Hashable, Sendable {
    package var shardID: String
    package var pid: Int32?
    package var restarts: Int
    package var strayLines: Int
    package var processorTime: Duration?
    package var residentBytes: Int?
    /// Since when it owes an answer.
    package var waiting: Duration?

    package init(
        shardID: String, pid: Int32?, restarts: Int = 0, strayLines: Int = 0, processorTime: Duration? = nil,
        residentBytes: Int? = nil, waiting: Duration? = nil
    ) {
        self.shardID = shardID
        self.pid = pid
        self.restarts = restarts
        self.strayLines = strayLines
        self.processorTime = processorTime
        self.residentBytes = residentBytes
        self.waiting = waiting
    }
}

extension ServiceStatus {
    /// The page of `/metrics`. Names are stable.
    package func metrics(children: [ChildFigures] = [], at now: Timestamp) -> String {
        var page = PrometheusPage()
        page.family("build_info", .gauge, "The program's version, as a label.")
        page.sample("build_info", 1, [("version", version)])
        page.family("worker_info", .gauge, "The worker and what it reads, as labels.")
        page.sample("worker_info", 1, [("application", application), ("stream", stream), ("worker", workerID)])
        page.single(
            "uptime_seconds", .gauge, (now - startedAt).inSeconds, "Seconds since the program started.")
        page.single("healthy", .gauge, health(at: now).isOK ? 1 : 0, "1 while /healthz answers 200.")
        page.single("ready", .gauge, readiness(at: now).isOK ? 1 : 0, "1 while /readyz answers 200.")
        page.single(
            "leases_held", .gauge, Double(held), "Leases of this worker, those of ended shards among them.")
        page.single(
            "shards_stopped", .gauge, Double(shards.values.count { $0.stopped != nil }),
            "Shards that are no longer processed until somebody looks.")
        page.single(
            "leases_taken_total", .counter, Double(taken), "Leases taken or stolen.")
        page.single("zombies_total", .counter, Double(zombies), "Leases lost to others (ZOMBIE).")
        page.single("terminates_total", .counter, Double(terminates), "Shards read to their end (TERMINATE).")
        page.family("lease_renewals_total", .counter, "Renewals, by whether the table answered.")
        page.sample("lease_renewals_total", Double(renewals), [("result", "success")])
        page.sample("lease_renewals_total", Double(failedRenewals), [("result", "failure")])
        page.single(
            "table_throttles_total", .counter, Double(throttles),
            "Failures to read the lease table or to list the shards that were said.")
        writeShards(&page, now)
        writeChildren(&page, children)
        return page.text
    }

    private func writeShards(_ page: inout PrometheusPage, _ now: Timestamp) {
        let sorted = shards.sorted { $0.key < $1.key }
        func family(
            _ name: String, _ kind: PrometheusPage.Kind, _ help: String, _ value: (Shard) -> Double?
        ) {
            page.family(name, kind, help)
            for (shardID, shard) in sorted {
                if let value = value(shard) { page.sample(name, value, [("shard", shardID)]) }
            }
        }
        family("records_processed_total", .counter, "Records that the processor took.") { Double($0.records) }
        family("bytes_processed_total", .counter, "Bytes of their data.") { Double($0.bytes) }
        family("records_skipped_total", .counter, "Records skipped because the processor failed.") {
            Double($0.skipped)
        }
        family("processor_failures_total", .counter, "Failures of the processor.") { Double($0.failures) }
        family("throttles_total", .counter, "Reads of the shard that were throttled or kept failing.") {
            Double($0.throttles)
        }
        family("checkpoints_total", .counter, "Checkpoints stored.") { Double($0.checkpoints) }
        family("checkpoint_age_seconds", .gauge, "Seconds since the last checkpoint, or since the lease was taken.") {
            $0.isHeld && !$0.hasEnded ? (now - $0.checkpointedAt).inSeconds : nil
        }
        family("millis_behind_latest", .gauge, "Milliseconds between the last batch and the tip of the shard.") {
            $0.millisBehindLatest.map(Double.init)
        }
        family("shard_stopped", .gauge, "1 where nothing more of the shard is processed.") {
            $0.isHeld ? ($0.stopped == nil ? 0 : 1) : nil
        }
    }

    private func writeChildren(_ page: inout PrometheusPage, _ children: [ChildFigures]) {
        guard !children.isEmpty else { return }
        let sorted = children.sorted { $0.shardID < $1.shardID }
        func family(
            _ name: String, _ kind: PrometheusPage.Kind, _ help: String, _ value: (ChildFigures) -> Double?
        ) {
            page.family(name, kind, help)
            for child in sorted {
                if let value = value(child) { page.sample(name, value, [("shard", child.shardID)]) }
            }
        }
        family("child_pid", .gauge, "The process id of the shard's child.") { $0.pid.map(Double.init) }
        family("child_restarts_total", .counter, "Children that failed and were replaced.") { Double($0.restarts) }
        family("child_stray_lines_total", .counter, "Lines on the child's standard output that are no messages.") {
            Double($0.strayLines)
        }
        // Of this child alone: a new one starts from zero, as counters may.
        family("child_cpu_seconds_total", .counter, "CPU time of the child.") { $0.processorTime?.inSeconds }
        family("child_resident_bytes", .gauge, "Memory of the child.") { $0.residentBytes.map(Double.init) }
        family("child_waiting_seconds", .gauge, "Seconds since the child was asked what it has not answered yet.") {
            $0.waiting?.inSeconds
        }
    }
}

extension PrometheusPage {
    fileprivate mutating func single(_ name: String, _ kind: Kind, _ value: Double, _ help: String) {
        family(name, kind, help)
        sample(name, value)
    }
}
