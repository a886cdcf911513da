import Dashboard
import FoundationEssentials
import Testing

/// Compares a screen, cells as text and styles as letters, with `Golden/NAME.txt`.
/// `RECORD_GOLDEN=1 swift test` writes the files anew; the difference is then reviewed as a change of the screen.
func expectGolden(
    _ buffer: CellBuffer, _ name: String, file: String = #filePath,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let folder = file.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
    let path = "\(folder)/Golden/\(name).txt"
    let actual = buffer.textDump + "\n" + buffer.styleDump
    if ProcessInfo.processInfo.environment["RECORD_GOLDEN"] == "1" {
        try Data(actual.utf8).write(to: URL(filePath: path))
        return
    }
    let expected = try? String(contentsOf: URL(filePath: path), encoding: .utf8)
    guard let expected else {
        Issue.record("no golden \(name); record it with RECORD_GOLDEN=1", sourceLocation: sourceLocation)
        return
    }
    guard actual != expected else { return }
    let message: Comment = "screen \(name) differs\nexpected:\n\(expected)\nactual:\n\(actual)"
    Issue.record(message, sourceLocation: sourceLocation)
}
