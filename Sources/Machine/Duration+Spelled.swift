extension Duration {
    /// `250ms`, `30s`, `5m`, `2h`; a bare number is seconds. `nil` for anything else.
    package init?(spelled text: String) {
        let units: [(String, Double)] = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("", 1)]
        for (unit, seconds) in units where text.hasSuffix(unit) {
            guard let value = Double(text.dropLast(unit.count)), value.isFinite, value >= 0, value < 1e9 else {
                continue
            }
            self = .milliseconds(Int64(value * seconds * 1000))
            return
        }
        return nil
    }
}
