import Leases
import Machine

extension StatusReport {
    /// A snapshot in the text format 0.0.4 of Prometheus. Names and labels are never changed, new ones may come. One
    /// series a shard and a worker, at most `shardsMax` and `workersMax` of them; what is not known has no series.
    ///
    /// https://prometheus.io/docs/instrumenting/exposition_formats/
    package static func prometheus(
        _ snapshot: FleetSnapshot, shardsMax: Int = 10_000, workersMax: Int = 1000
    ) -> String {
        var page = PrometheusPage(common: [("application", snapshot.identity.application)])
        page.fleet(snapshot)
        page.lags(snapshot)
        page.problems(snapshot)
        page.streams(snapshot, shardsMax)
        page.workers(snapshot, workersMax)
        page.shards(snapshot, shardsMax)
        return page.text
    }
}

extension PrometheusPage {
    fileprivate typealias Sample = (labels: Labels, value: Double)

    /// A family, where it has a sample.
    private mutating func add(_ name: String, _ help: String, kind: Kind = .gauge, _ samples: [Sample]) {
        guard !samples.isEmpty else { return }
        family(name, kind, help)
        for sample in samples { self.sample(name, sample.value, sample.labels) }
    }

    private mutating func add(_ name: String, _ help: String, kind: Kind = .gauge, _ value: Double?) {
        add(name, help, kind: kind, value.map { [([], $0)] } ?? [])
    }

    private mutating func add(_ name: String, _ help: String, _ count: Int) { add(name, help, Double(count)) }
}

extension PrometheusPage {
    fileprivate mutating func fleet(_ snapshot: FleetSnapshot) {
        let identity = snapshot.identity
        add("up", "Whether the lease table was read.", snapshot.scans > 0 ? 1 : 0)
        add(
            "fleet_info", "What is watched.",
            [
                (
                    [
                        ("table", identity.table), ("stream", identity.stream ?? ""), ("region", identity.region),
                        ("generation", snapshot.generation.rawValue), ("mode", snapshot.mode?.words ?? ""),
                    ], 1
                )
            ])
        let leases = snapshot.leases.filter { $0.kind == .lease }
        var states: [LeaseState: Int] = [:]
        for view in snapshot.leases { states[view.state, default: 0] += 1 }
        add("leases", "Leases in the table.", leases.count)
        add("leases_unowned", "Leases that nobody owns.", states[.free] ?? 0)
        add("leases_expired", "Leases whose owner did not renew for the failover time.", states[.expired] ?? 0)
        add(
            "lease_states", "Leases, shards without a lease and holes, by state.",
            LeaseState.allCases.map { ([("state", $0.rawValue)], Double(states[$0] ?? 0)) })
        var judgements: [ProgressView.Judgement: Int] = [:]
        for view in leases { if let progress = view.progress { judgements[progress.judgement, default: 0] += 1 } }
        add(
            "lease_progress", "Leases, by how their readers get on, where that is known.",
            ProgressView.Judgement.allCases.map { ([("progress", $0.rawValue)], Double(judgements[$0] ?? 0)) })
        add("workers", "Workers that own a lease.", snapshot.workers.count { $0.leases > 0 })
        add(
            "failover_time_seconds", "The fleet's failover time, known or assumed.",
            snapshot.failoverTime.duration.inSeconds)
        add(
            "leader_heartbeat_age_seconds", "Since the 3.x leader's heartbeat was seen.",
            snapshot.leaderHeartbeat?.age.inSeconds)
        add("retention_seconds", "The stream's retention.", snapshot.retention?.inSeconds)
        add("observed_seconds", "How long the fleet was watched.", snapshot.observedFor.inSeconds)
        add("refresh_age_seconds", "Age of the newest scan of the table.", snapshot.refreshAge?.inSeconds)
        add(
            "read_capacity_units_total", "Read capacity units that watching took.", kind: .counter,
            snapshot.cost.readUnits)
        add("calls_total", "Calls that watching took.", kind: .counter, Double(snapshot.cost.calls))
    }

    fileprivate mutating func lags(_ snapshot: FleetSnapshot) {
        var delivered: [Lag] = []
        var checkpoint: [Lag] = []
        for view in snapshot.leases where view.state != .ended {
            if let lag = view.deliveredLag { delivered.append(lag) }
            if let lag = view.checkpointLag { checkpoint.append(lag) }
        }
        let kinds = [("delivered", delivered), ("checkpoint", checkpoint)].filter { !$0.1.isEmpty }
        func samples(_ value: ([Lag]) -> Double) -> [Sample] { kinds.map { ([("lag", $0.0)], value($0.1)) } }
        add(
            "lag_max_seconds", "The largest lag of any shard.",
            samples { lags in lags.max().map { Double($0.milliseconds) / 1000 } ?? 0 })
        add(
            "lag_sum_seconds", "The lags of all shards together.",
            samples { lags in lags.reduce(0) { $0 + Double($1.milliseconds) } / 1000 })
        add(
            "lag_max_estimated", "1 where the largest lag is an upper bound only.",
            samples { lags in lags.max().map { $0.isUpperBound ? 1 : 0 } ?? 0 })
        add(
            "trim_seconds", "Least time until an unread record falls out of the retention.",
            snapshot.totals.secondsToTrim.map { Double($0) })
    }

    fileprivate mutating func problems(_ snapshot: FleetSnapshot) {
        var kinds: [Problem.Kind: Int] = [:]
        var severities: [Severity: Int] = [:]
        for problem in snapshot.problems {
            kinds[problem.kind, default: 0] += 1
            severities[problem.severity, default: 0] += 1
        }
        add(
            "problems", "Problems, by kind.",
            Problem.Kind.allCases.map { ([("kind", $0.rawValue)], Double(kinds[$0] ?? 0)) })
        add(
            "problems_by_severity", "Problems, by severity.",
            Severity.allCases.map { ([("severity", $0.name)], Double(severities[$0] ?? 0)) })
    }

    fileprivate mutating func workers(_ snapshot: FleetSnapshot, _ most: Int) {
        let workers = snapshot.workers.prefix(most)
        func samples(_ value: (WorkerView) -> Double?) -> [Sample] {
            workers.compactMap { worker in value(worker).map { ([("worker", worker.workerID)], $0) } }
        }
        add("worker_leases", "Leases that a worker owns, ended ones not counted.", samples { Double($0.leases) })
        add("worker_active_leases", "Of those, the ones that it reads.", samples { Double($0.activeLeases) })
        add("worker_heartbeat_age_seconds", "Since a worker renewed any lease.", samples { $0.heartbeatAge?.inSeconds })
        add("worker_report_age_seconds", "Since a 3.x worker reported.", samples { $0.report?.age?.inSeconds })
        add(
            "worker_metric_percent", "What a 3.x worker reports of itself.",
            workers.flatMap { worker in
                WorkerReport.Metric.allCases.compactMap { metric in
                    worker.report?.values[metric].map {
                        ([("worker", worker.workerID), ("metric", metric.name)], $0)
                    }
                }
            })
        add(
            "workers_left_out", "Workers that have no series, because they are too many.",
            snapshot.workers.count - workers.count)
    }

    /// Of a table that names its streams.
    fileprivate mutating func streams(_ snapshot: FleetSnapshot, _ most: Int) {
        let streams = snapshot.streams.prefix(most)
        func samples(_ value: (StreamView) -> Double?) -> [Sample] {
            streams.compactMap { stream in value(stream).map { ([("stream", stream.id.text)], $0) } }
        }
        add(
            "stream_verified", "1 where the stream is proven to be the one of its rows.",
            samples { $0.match == .verified ? 1 : 0 })
        add("stream_leases", "Leases that name the stream.", samples { Double($0.leases) })
        add("stream_retention_seconds", "The stream's retention.", samples { $0.retention?.inSeconds })
        add("stream_open_shards", "Open shards of the stream.", samples { $0.shards.map { Double($0.open.count) } })
    }

    fileprivate mutating func shards(_ snapshot: FleetSnapshot, _ most: Int) {
        var keys: Set<[String]> = []
        let all = snapshot.leases.filter { view in
            view.kind != .hole && view.state != .ended && keys.insert([view.stream ?? "", view.shardID]).inserted
        }
        let views = all.prefix(most)
        func samples(_ value: (LeaseView) -> Double?) -> [Sample] {
            views.compactMap { view in
                guard let value = value(view) else { return nil }
                let stream: Labels = view.stream.map { [("stream", $0)] } ?? []
                return (stream + [("shard", view.shardID)], value)
            }
        }
        add("shard_consumed", "1 where a worker reads the shard.", samples { $0.state.isConsumed ? 1 : 0 })
        add(
            "shard_delivered_lag_seconds", "How far behind the latest record delivery is.",
            samples { $0.deliveredLag.map { Double($0.milliseconds) / 1000 } })
        add(
            "shard_checkpoint_lag_seconds", "How far behind the latest record the checkpoint is.",
            samples { $0.checkpointLag.map { Double($0.milliseconds) / 1000 } })
        add(
            "shard_checkpoint_lag_estimated", "1 where that is an upper bound only.",
            samples { $0.checkpointLag.map { $0.isUpperBound ? 1 : 0 } })
        add(
            "shard_checkpoint_age_seconds", "Since the checkpoint was seen to change, else since the watch began.",
            samples { $0.checkpointAge?.inSeconds })
        add(
            "shard_catch_up_seconds", "Until the latest record is reached at the present rates; +Inf for never.",
            samples { $0.progress?.catchUp == .never ? .infinity : $0.progress?.secondsToCatchUp })
        add("shard_records_per_second", "Records delivered.", samples { $0.recordsPerSecond })
        add("shard_bytes_per_second", "Bytes delivered.", samples { $0.bytesPerSecond })
        add(
            "shards_left_out", "Shards that have no series, because they are too many.", all.count - views.count)
    }
}
