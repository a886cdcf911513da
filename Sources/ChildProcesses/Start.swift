import CShardtopSpawn
import Glibc
import MultiLang

/// Our ends of a child's pipes.
struct Pipes {
    var input: Int32
    var output: Int32
    var error: Int32
}

/// Starts the program; throws with a sentence that says what is wrong with it.
func startProcess(_ command: ChildCommand) throws(ChildError) -> (pid_t, Pipes) {
    guard let program = command.arguments.first, !program.isEmpty else { throw ChildError("no program is named") }
    let candidates = candidates(for: program, path: command.environment["PATH"])
    guard !candidates.isEmpty else { throw ChildError("\(program) is not found: PATH is empty") }
    let environment = command.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }

    var ends = [Int32](repeating: -1, count: 6)
    for index in 0..<3 {
        var pair: [Int32] = [-1, -1]
        guard shardtop_pipe(&pair) == 0 else {
            let failure = errno
            ends.forEach(closeDescriptor)
            throw ChildError("no pipe for \(program): \(errorText(failure))")
        }
        ends[2 * index] = pair[0]
        ends[2 * index + 1] = pair[1]
    }
    var failure: Int32 = 0
    let pid = withArray(candidates) { candidates in
        withArray(command.arguments) { arguments in
            withArray(environment) { environment in
                var room = [UnsafeMutablePointer<CChar>?](repeating: nil, count: command.arguments.count + 3)
                let constant = candidates.map { UnsafePointer($0) }
                let pid = shardtop_spawn(constant, arguments, &room, environment, ends[0], ends[3], ends[5])
                failure = errno
                return pid
            }
        }
    }
    for theirs in [ends[0], ends[3], ends[5]] { closeDescriptor(theirs) }
    guard pid > 0 else {
        for ours in [ends[1], ends[2], ends[4]] { closeDescriptor(ours) }
        throw ChildError(sentence(program, failure))
    }
    return (pid, Pipes(input: ends[1], output: ends[2], error: ends[4]))
}

/// The paths that execvp would try.
package func candidates(for program: String, path: String?) -> [String] {
    if program.contains("/") { return [program] }
    return (path ?? "/usr/local/bin:/bin:/usr/bin").split(separator: ":", omittingEmptySubsequences: false)
        .map { $0.isEmpty ? "./\(program)" : "\($0)/\(program)" }
}

private func sentence(_ program: String, _ failure: Int32) -> String {
    switch failure {
    case ENOENT where program.contains("/"):
        access(program, F_OK) == 0
            ? "\(program) cannot be run: the interpreter in its first line is missing" : "\(program) does not exist"
    case ENOENT: "\(program) is not found in PATH"
    case EACCES: "\(program) is not executable: chmod +x makes it so"
    case ENOEXEC: "\(program) is no program"
    default: "\(program) cannot be run: \(errorText(failure))"
    }
}

func errorText(_ number: Int32) -> String { String(cString: strerror(number)) }

/// Calls `body` with C strings and a final null.
private func withArray<R>(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R) -> R {
    let copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return body(copies + [nil])
}
