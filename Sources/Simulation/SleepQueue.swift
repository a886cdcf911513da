import HeapModule
import Machine

/// Who sleeps until when, by wake time, ties in the order in which they went to sleep.
struct SleepQueue {
    private struct Entry: Comparable {
        var wake: Timestamp
        var id: UInt64

        static func < (a: Entry, b: Entry) -> Bool { a.wake != b.wake ? a.wake < b.wake : a.id < b.id }
    }

    private var heap = Heap<Entry>()
    /// Whoever was cancelled is missing here; the heap forgets its entry when it comes up.
    private var continuations: [UInt64: UnsafeContinuation<Void, any Error>] = [:]
    private var lastID: UInt64 = 0

    mutating func nextID() -> UInt64 {
        lastID += 1
        return lastID
    }

    mutating func insert(_ continuation: UnsafeContinuation<Void, any Error>, id: UInt64, wake: Timestamp) {
        continuations[id] = continuation
        heap.insert(Entry(wake: wake, id: id))
    }

    mutating func remove(_ id: UInt64) -> UnsafeContinuation<Void, any Error>? {
        continuations.removeValue(forKey: id)
    }

    /// When the next sleeper wakes.
    var earliest: Timestamp? {
        mutating get {
            while let first = heap.min, continuations[first.id] == nil { heap.removeMin() }
            return heap.min?.wake
        }
    }

    mutating func removeAll(until wake: Timestamp) -> [UnsafeContinuation<Void, any Error>] {
        var due: [UnsafeContinuation<Void, any Error>] = []
        while let next = earliest, next <= wake {
            if let continuation = continuations.removeValue(forKey: heap.removeMin().id) { due.append(continuation) }
        }
        return due
    }
}
