import Glibc
import Synchronization

/// A directory of the machine's own. What is written lies in the page cache, where the end of this process, by whatever
/// signal, does not reach it; nothing waits for the disk, so the machine itself must not fall over.
package final class PosixStateFiles: StateFiles {
    private static let openMax = 400

    package let path: String
    private let directory: Int32
    private let lockFile = Mutex<Int32>(-1)
    fileprivate let openCount = Atomic<Int>(0)

    /// Makes the directory, readable by its owner alone, where there is none.
    package init(path: String) throws(StateError) {
        self.path = path
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw StateError("cannot make \(path): \(Self.reason(errno))")
        }
        directory = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw StateError("cannot open \(path): \(Self.reason(errno))") }
    }

    deinit {
        let lock = lockFile.withLock { $0 }
        if lock >= 0 { close(lock) }
        close(directory)
    }

    package var isCrowded: Bool { openCount.load(ordering: .relaxed) > Self.openMax }

    static func reason(_ number: Int32) -> String { String(cString: strerror(number)) }

    package func names() throws(StateError) -> [String] {
        let copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let stream = fdopendir(copy) else {
            throw StateError("cannot list \(path): \(Self.reason(errno))")
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    package func lock() throws(StateError) {
        let file = openat(directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw StateError("cannot open \(path)/lock: \(Self.reason(errno))") }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            let number = errno
            close(file)
            throw number == EWOULDBLOCK
                ? StateError("\(path) is in use by another emulator")
                : StateError("cannot lock \(path): \(Self.reason(number))")
        }
        lockFile.withLock { $0 = file }
    }

    package func open(_ name: String) throws(StateError) -> any StateFile {
        let file = openat(directory, name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw StateError("cannot open \(path)/\(name): \(Self.reason(errno))") }
        return PosixStateFile(file, name: name, of: self)
    }

    package func rename(_ name: String, to other: String) throws(StateError) {
        guard renameat(directory, name, directory, other) == 0 else {
            throw StateError("cannot write \(path)/\(other): \(Self.reason(errno))")
        }
    }

    package func remove(_ name: String) throws(StateError) {
        guard unlinkat(directory, name, 0) == 0 || errno == ENOENT else {
            throw StateError("cannot remove \(path)/\(name): \(Self.reason(errno))")
        }
    }
}

private final class PosixStateFile: StateFile {
    private let file: Int32
    private let name: String
    private let owner: PosixStateFiles

    init(_ file: Int32, name: String, of owner: PosixStateFiles) {
        self.file = file
        self.name = name
        self.owner = owner
        owner.openCount.add(1, ordering: .relaxed)
    }

    deinit {
        close(file)
        owner.openCount.subtract(1, ordering: .relaxed)
    }

    private func failure(_ verb: String, _ number: Int32) -> StateError {
        StateError("cannot \(verb) \(owner.path)/\(name): \(PosixStateFiles.reason(number))")
    }

    func length() throws(StateError) -> Int {
        var status = stat()
        guard fstat(file, &status) == 0 else { throw failure("read", errno) }
        return Int(status.st_size)
    }

    func read(at offset: Int, count: Int) throws(StateError) -> [UInt8] {
        var failed: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = pread(file, buffer.baseAddress! + filled, count - filled, off_t(offset + filled))
                if got < 0, errno == EINTR { continue }
                if got < 0 { failed = errno }
                if got <= 0 { return }
                filled += got
            }
        }
        guard failed == 0 else { throw failure("read", failed) }
        return bytes
    }

    func append(_ bytes: [UInt8]) throws(StateError) {
        let failed = bytes.withUnsafeBytes { buffer -> Int32 in
            var written = 0
            while written < buffer.count {
                let count = write(file, buffer.baseAddress! + written, buffer.count - written)
                if count < 0, errno == EINTR { continue }
                if count < 0 { return errno }
                written += count
            }
            return 0
        }
        guard failed == 0 else { throw failure("write", failed) }
    }

    func truncate(to length: Int) throws(StateError) {
        guard ftruncate(file, off_t(length)) == 0 else { throw failure("write", errno) }
    }
}
