import Fleet
import Leases
import Machine

/// What is shown of several plans: each by its title, and once what they have in common.
extension Frame {
    func planLines(_ set: PlanSet, width: Int) -> [[Span]] {
        let text = look.style(.text)
        var lines: [[Span]] = Dialog.lines(set.title, width: width, style: look.style(.title))
        func paragraph(_ name: String, _ content: String, _ style: Style) {
            for (index, line) in Format.sentence(content).wrapped(to: width - 12).enumerated() {
                lines.append([Span((index == 0 ? name : "").padded(to: 12), look.style(.dim)), Span(line, style)])
            }
        }
        paragraph(
            "how", "one after the other, half a second between; the first that is not written ends it. Esc ends it too",
            text)
        lines.append([])
        for (index, refused) in set.refused.enumerated() {
            paragraph(index == 0 ? "left out" : "", refused.why, look.style(.warning))
        }
        for (index, plan) in set.plans.enumerated() { paragraph(index == 0 ? "each" : "", plan.title, text) }
        guard let first = set.plans.first else { return lines }
        lines.append([])
        for (index, forecast) in first.forecast.enumerated() {
            let place = index == 0 ? "as of \(Format.shard(first.shardIDs.first ?? "")): " : ""
            paragraph(index == 0 ? "then" : "", place + forecast, text)
        }
        if !first.expectedGap.isEmpty { paragraph("gap", first.expectedGap, look.style(.warning)) }
        if !first.expectedDuplicates.isEmpty { paragraph("duplicates", first.expectedDuplicates, look.style(.warning)) }
        let isUndoable = set.plans.allSatisfy(\.isUndoable)
        paragraph("undo", isUndoable ? "possible" : "not possible", look.style(isUndoable ? .ok : .warning))
        lines.append([])
        for (index, call) in first.callLines.enumerated() {
            for (part, line) in call.wrapped(to: width - 12).enumerated() {
                let name = index == 0 && part == 0 ? "writes" : ""
                lines.append([Span(name.padded(to: 12), look.style(.dim)), Span(line, look.style(.notice))])
            }
        }
        return lines
    }

    mutating func drawPerforming(_ performing: Performing) {
        let width = min(buffer.width - 8, 60)
        let share = performing.isStopping ? "stopping after the one under way" : "Esc stops after the one under way"
        let lines =
            Dialog.lines(
                "\(performing.done) of \(performing.total) written", width: width, style: look.style(.text)) + [[]]
            + Dialog.lines(share, width: width, style: look.style(.dim))
        Dialog(title: performing.title, lines: lines, width: width).draw(in: buffer.bounds, on: &buffer, look: look)
    }
}
