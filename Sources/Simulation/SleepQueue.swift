import Machine

/// Who sleeps until when: a binary heap by wake time, ties in the order in which they went to sleep.
struct SleepQueue {
    private struct Entry {
        var wake: Timestamp
        var id: UInt64

        static func < (a: Entry, b: Entry) -> Bool { a.wake != b.wake ? a.wake < b.wake : a.id < b.id }
    }

    private var heap: [Entry] = []
    /// Whoever was cancelled is missing here; the heap forgets its entry when it comes up.
    private var continuations: [UInt64: UnsafeContinuation<Void, any Error>] = [:]
    private var lastID: UInt64 = 0

    mutating func nextID() -> UInt64 {
        lastID += 1
        return lastID
    }

    mutating func insert(_ continuation: UnsafeContinuation<Void, any Error>, id: UInt64, wake: Timestamp) {
        continuations[id] = continuation
        heap.append(Entry(wake: wake, id: id))
        var child = heap.count - 1
        while child > 0, heap[child] < heap[(child - 1) / 2] {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func remove(_ id: UInt64) -> UnsafeContinuation<Void, any Error>? {
        continuations.removeValue(forKey: id)
    }

    /// When the next sleeper wakes.
    var earliest: Timestamp? {
        mutating get {
            while let first = heap.first, continuations[first.id] == nil { removeFirst() }
            return heap.first?.wake
        }
    }

    mutating func removeAll(until wake: Timestamp) -> [UnsafeContinuation<Void, any Error>] {
        var due: [UnsafeContinuation<Void, any Error>] = []
        while let next = earliest, next <= wake {
            if let continuation = continuations.removeValue(forKey: heap[0].id) { due.append(continuation) }
            removeFirst()
        }
        return due
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child] < heap[least] {
                least = child
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
