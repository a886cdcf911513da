import Glibc

/// Runs `body` on a new detached thread with all signals blocked but those of a crash; false where the system gives no
/// thread.
///
/// Signals are the main thread's business. SIGPIPE in particular: OpenSSL writes to sockets without asking for silence,
/// and a blocked SIGPIPE is just the error EPIPE. A program that is started from such a thread begins with no signal
/// waiting between fork and exec. A crash is the thread's own: were its signal blocked, the system would end the
/// process without the handler that gives the terminal back.
package func startThread(_ body: @escaping @Sendable () -> Void) -> Bool {
    let box = Unmanaged.passRetained(Body(body))
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    for crash in [SIGSEGV, SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGTRAP] { sigdelset(&all, crash) }
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    var thread = pthread_t()
    guard pthread_create(&thread, nil, runBody, box.toOpaque()) == 0 else {
        box.release()
        return false
    }
    pthread_detach(thread)
    return true
}

private final class Body: Sendable {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// The thread's first and only function; takes over the reference that `startThread` made.
private func runBody(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
    return nil
}
