import Glibc
public import Machine

extension TimeSource {
    /// The machine's clocks: the only place where the product reads or waits for a real one.
    ///
    /// `now` is CLOCK_BOOTTIME: monotonic, and it goes on while the machine is suspended, so that a worker that slept
    /// finds its leases fenced.
    public static let system = TimeSource(
        now: { Timestamp(nanoseconds: nanoseconds(of: CLOCK_BOOTTIME)) },
        wallClock: { UnixTime(milliseconds: nanoseconds(of: CLOCK_REALTIME) / 1_000_000) },
        sleep: { deadline in
            // The runtime's timers may run on a clock that stops in suspend; ours decides whether the wait is over.
            while true {
                let left = deadline - Timestamp(nanoseconds: nanoseconds(of: CLOCK_BOOTTIME))
                if left <= .zero { return try Task.checkCancellation() }
                let clock = ContinuousClock()
                try await Task.sleep(until: clock.now.advanced(by: min(left, .seconds(86_400))), clock: clock)
            }
        })
}

private func nanoseconds(of clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
