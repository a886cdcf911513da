import Machine

extension Model {
    /// A click means what stands there in the picture; the wheel moves the list under it.
    mutating func handle(_ mouse: Mouse, x: Int, y: Int) -> [ModelEffect] {
        guard isMouseOn else { return [] }
        var frame = Frame(self, look: Frame.plainLook)
        frame.draw()
        switch mouse {
        case .wheelUp: return wheel(by: -3, over: frame.target(x: x, y: y))
        case .wheelDown: return wheel(by: 3, over: frame.target(x: x, y: y))
        case .press(.left): return click(frame.target(x: x, y: y))
        case .doubleClick(.left):
            guard let target = frame.target(x: x, y: y) else { return [] }
            let effects = click(target)
            if case .line(let pane, _) = target, overlay == nil, detail == nil, pane != .workers { open() }
            return effects
        case .press(.middle), .press(.right), .doubleClick(.middle), .doubleClick(.right): return []
        }
    }

    private mutating func click(_ target: Frame.Target?) -> [ModelEffect] {
        switch target {
        case .key(let key): return handle(key)
        case .pane(let pane): focus(on: pane)
        case .line(let pane, let line):
            focus(on: pane)
            select(line: line, in: pane)
        case .column(let column):
            guard ShardColumn.sortable.contains(column) else { return [] }
            focus(on: .shards)
            let isSame = sort.column == column
            order(
                RowOrder(column: column, isAscending: isSame ? !sort.isAscending : column.startsAscending))
        case .answer(let isYes):
            if case .question(let question)? = overlay { return answer(question, isYes: isYes) }
        case .choice(let index):
            guard case .picker(var picker)? = overlay else { return [] }
            if picker.selection == index { return choose(from: picker) }
            picker.selection = index
            return preview(picker)
        case .nothing:
            // A click beside a text closes it; a question wants an answer.
            switch overlay {
            case .help, .note: overlay = nil
            case .input, .picker, .question, .waiting, .performing, nil: break
            }
        case nil: break
        }
        return []
    }

    private mutating func wheel(by lines: Int, over target: Frame.Target?) -> [ModelEffect] {
        if overlay != nil || detail != nil || trace != nil {
            let key: Key = lines < 0 ? .up : .down
            return (0..<abs(lines)).flatMap { _ in handle(key) }
        }
        switch target {
        case .line(let pane, _), .pane(let pane):
            focus(on: pane)
            select(line: list(pane).index + lines, in: pane)
        case .column:
            focus(on: .shards)
            select(line: list(.shards).index + lines, in: .shards)
        case .key, .answer, .choice, .nothing, nil: break
        }
        return []
    }
}
