import Fleet

extension Model {
    /// What a fleet is asked for at most.
    private static let shownMax = 100

    /// The keys of the leases whose rows stand on the screen, and of the selected one, sorted: what is worth being read
    /// oftener than the table. None while the picture is not of now.
    package var shownLeases: [String] {
        guard past == nil, frozen == nil, let snapshot else { return [] }
        var shown: [String] = []
        func show(_ lease: LeaseView) {
            // An ended lease changes no more, and what has no row cannot be read.
            guard lease.kind == .lease, lease.state != .ended, shown.count < Self.shownMax else { return }
            if !shown.contains(lease.id) { shown.append(lease.id) }
        }
        if let lease = lease(id: detail?.lease ?? selectedLease) { show(lease) }
        if detail == nil, trace == nil, let place = layout.place(of: .shards) {
            let height = max(0, place.height - Pane.shards.linesAbove - 1)
            for index in rows.shards.dropFirst(list(.shards).offset).prefix(height) { show(snapshot.leases[index]) }
        }
        return shown.sorted()
    }
}
