import Fleet
import Leases
import Machine

/// The dialogs around a rewind.
extension Frame {
    mutating func drawRewind(_ prompt: Prompt, _ ids: [String]) {
        let width = min(buffer.width - 8, 76)
        let text = look.style(.text)
        let lease = ids.count == 1 ? model.lease(id: ids[0]) : nil
        let name = lease.map { Format.shard($0.key) } ?? "\(ids.count) shards"
        var lines: [[Span]] = []
        func entry(_ name: String, _ content: String) {
            for (index, line) in content.asASCII(symbols).wrapped(to: width - 14).enumerated() {
                lines.append([Span((index == 0 ? name : "").padded(to: 14), look.style(.dim)), Span(line, text)])
            }
        }
        if let lease {
            entry("checkpoint", lease.checkpoint?.description ?? "")
            if let age = lease.checkpointAge { entry("moved", "\(age.brief) ago") }
            entry("owner", lease.owner ?? "nobody")
            lines.append([])
        }
        entry("10m", "this long ago; 45s, 1h30m, 2d")
        entry("a time", "2026-01-31T12:00:00Z: from the first record that came then or later")
        entry("a number", "from the record of this sequence number, itself included")
        entry("TRIM_HORIZON", "all that the stream still holds")
        entry("LATEST", "skip what is unread")
        let field = TextField(prompt: "read from: ", input: prompt.input, placeholder: "Enter shows what would be done")
        Dialog(
            title: "rewind or advance \(name)", lines: lines, input: field, width: width
        ).draw(in: buffer.bounds, on: &buffer, look: look)
    }

    mutating func drawWaiting(_ text: String) {
        let width = min(buffer.width - 8, 60)
        let lines =
            Dialog.lines(text, width: width, style: look.style(.text)) + [[]]
            + Dialog.lines("Esc gives it up", width: width, style: look.style(.dim))
        Dialog(title: "one moment", lines: lines, width: width).draw(in: buffer.bounds, on: &buffer, look: look)
    }

    func buttons(for question: Question, _ verb: String) -> [Dialog.Button] {
        guard question.typed == nil else {
            return [.init("Enter  \(verb)", isDangerous: true), .init("Esc  leave it")]
        }
        return [.init("y  \(verb)", isDangerous: true), .init("n  leave it")]
    }

    func typedField(_ question: Question) -> TextField? {
        question.input.map { TextField(prompt: "type \(question.typed?.0 ?? "") to confirm: ", input: $0) }
    }
}
