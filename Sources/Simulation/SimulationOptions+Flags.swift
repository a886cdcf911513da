extension SimulationOptions {
    /// The flags of `shardtop simulate` that make a fleet like this one, each with a space before it.
    package var fleetFlags: String {
        let standard = SimulationOptions()
        var flags = ""
        if workers != standard.workers || javaWorkers != standard.javaWorkers {
            flags += " --workers \(workers) --java \(javaWorkers)"
        }
        if fanOut != standard.fanOut { flags += " --fan-out \(fanOut)" }
        return flags
    }
}
