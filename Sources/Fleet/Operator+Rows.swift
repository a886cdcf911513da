import AWSWire
import Leases
import Machine

/// Leases that are made and deleted: each one conditional call.
extension Operator {
    /// The row must not be there, before and when it is written.
    func performCreate(_ plan: Plan, _ item: Item, _ trail: inout Trail) async -> PlanOutcome {
        guard let key = plan.intent.leaseKey else { return .failed("the plan names no lease") }
        do throws(AWSError) {
            if let row = try await read(key) { return .intentGone(row) }
        } catch { return .failed("nothing was written: \(error.description)") }
        trail.attempt = 1
        if let refusal = await announce(&trail) { return .refused(refusal) }
        do throws(AWSError) {
            try await dynamoDB.putNewItem(plan.table, item, hashKey: LeaseTable.hashKey)
            await conclude(&trail, "written", newRow: item)
            return .written(item)
        } catch {
            trail.requestID = error.requestID
            let row = try? await read(key)
            if error.meaning == .conditionFailed {
                await conclude(&trail, "nothing written: the lease is there already")
                return .intentGone(row)
            }
            // Nobody else makes a row that is the same to the letter and then stands still.
            if error.mayHaveTakenEffect, row == item {
                await conclude(&trail, "written; the answer was lost", newRow: item)
                return .written(item)
            }
            let words =
                error.mayHaveTakenEffect && row != nil
                ? "whether it was written is not known: look at the row" : "nothing was written"
            await conclude(&trail, "failed: \(words) (\(error.description))")
            return .failed("\(words) (\(error.description))")
        }
    }

    /// The shard must still be absent from the stream, and the row as confirmed, before and when it is deleted.
    func performDelete(_ plan: Plan, _ key: String, _ trail: inout Trail) async -> PlanOutcome {
        if case .delete = plan.action {
            do throws(AWSError) {
                guard let kinesis, let stream = plan.stream ?? identity.stream else {
                    return .refused(Refusal(.noStream, "the stream is not known: give --stream"))
                }
                let shards = try await kinesis.listShards(stream: stream)
                let ids = plan.shardIDs.map(\.shardPart)
                guard !shards.contains(where: { ids.contains($0.shardID) }) else { return .intentGone(nil) }
            } catch { return .failed("nothing was written: \(error.description)") }
        }
        while true {
            let row: Item?
            do throws(AWSError) { row = try await read(key) } catch {
                return .failed("nothing was written: \(error.description)")
            }
            guard let row, let lease = LeaseTable.row(row).lease, plan.holds(for: lease),
                trail.attempt < Self.attemptsMax
            else {
                if trail.attempt > 0 { await conclude(&trail, "nothing written: the lease is no longer as confirmed") }
                return .intentGone(row)
            }
            trail.attempt += 1
            trail.oldRow = row
            if let refusal = await announce(&trail) { return .refused(refusal) }
            let deletion = LeaseTable.deletion(ofOrphan: lease)
            do throws(AWSError) {
                try await dynamoDB.deleteItem(
                    plan.table, key: LeaseTable.key(key), condition: deletion.condition, names: deletion.names,
                    values: deletion.values)
                await conclude(&trail, "written")
                return .written(nil)
            } catch {
                trail.requestID = error.requestID
                // A live owner renewed in between: it is read again.
                if error.meaning == .conditionFailed { continue }
                let isGone: Bool
                do throws(AWSError) { isGone = try await read(key) == nil } catch { isGone = false }
                if error.mayHaveTakenEffect, isGone {
                    await conclude(&trail, "written; the answer was lost")
                    return .written(nil)
                }
                await conclude(&trail, "failed: \(error.description)")
                return .failed(
                    (error.mayHaveTakenEffect
                        ? "whether it was deleted is not known: look again" : "nothing was written")
                        + " (\(error.description))")
            }
        }
    }
}
