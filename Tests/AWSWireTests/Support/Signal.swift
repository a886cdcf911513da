import Glibc
import Synchronization

/// What a test posts and a server's thread waits for.
final class Signal: Sendable {
    private nonisolated(unsafe) let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        semaphore = .allocate(capacity: 1)
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func post() { sem_post(semaphore) }

    /// Blocks the thread.
    func wait() { while sem_wait(semaphore) != 0 {} }
}
