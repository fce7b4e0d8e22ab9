import Contracts

extension Checker {
    /// Every durable command has exactly one outcome, and every row somebody who asked.
    func outcomes() -> [Difference] {
        var differences: [Difference] = []
        for (ask, record) in book.records where !ask.isRequest && record.confirmedAt != nil {
            if let flaw = flaw(in: ask) { differences.append(Difference(ask.account, ask.id, "\(flaw): \(ask.action)")) }
        }
        for row in tables.rows where !row.kind.isOfClock && ask(behind: row) == nil {
            differences.append(Difference(row.account, row.charge, "nobody asked for \(row.kind) of \(row.requested), step \(row.step)"))
        }
        return differences
    }

    private func flaw(in ask: Ask) -> String? {
        let isDead = book.isDeadLetter(ask)
        switch fate(of: ask) {
        case .done: return isDead ? "done and yet a dead letter" : nil
        case .pointless: return isDead ? "pointless, but no conflict, and yet a dead letter" : nil
        case .conflict(let row): return isDead ? nil : "neither done nor a dead letter beside \(row.kind) of \(row.requested)"
        case .nowhere: return isDead ? "a dead letter without a reason" : "lost"
        }
    }

    private enum Fate {
        case done
        /// Came after the end of its charge; leaves no trace.
        case pointless
        /// Something else stands under its id.
        case conflict(Row)
        case nowhere
    }

    private func fate(of ask: Ask) -> Fate {
        if byCharge[ask.id]?.contains(where: { $0.account == ask.account && self.ask(behind: $0) == ask }) == true { return .done }
        let opening = row(ask.id, Row.opening)
        switch ask.action {
        case .report: return .pointless
        case .hold, .extend: return .nowhere
        case .grant, .reverse: return opening.map(Fate.conflict) ?? .nowhere
        case .void, .settle:
            guard let end = row(ask.id, Row.terminal) else {
                // Under another account's hold it is a conflict even before that ends.
                return opening.flatMap { $0.account == ask.account ? nil : .conflict($0) } ?? .nowhere
            }
            guard end.kind == .expire, end.account == ask.account else { return .conflict(end) }
            if ask.action == .void { return .pointless }
            return row(ask.id, Row.late).map(Fate.conflict) ?? .nowhere
        }
    }

    /// Every answer that arrived is in the journal: a refusal never took effect later, a grant was durable before it was told.
    func replies() -> [Difference] {
        var differences: [Difference] = []
        for (ask, record) in book.records {
            for reply in Set(record.replies.map(Said.init)) {
                if let flaw = flaw(in: reply, to: ask) {
                    differences.append(Difference(ask.account, ask.id, "answered \(reply): \(flaw); \(ask.action)"))
                }
            }
        }
        return differences
    }

    /// The part of an answer that repetitions share.
    private struct Said: Hashable {
        let status: HoldReply.Status
        let granted: Credits
        let available: Credits
        let limit: HoldReply.Limit?

        init(_ reply: HoldReply) { (status, granted, available, limit) = (reply.status, reply.granted, reply.available, reply.limit) }
    }

    private func flaw(in said: Said, to ask: Ask) -> String? {
        let step: Int16
        if case .extend(let number, _, _, _, _) = ask.action { step = Int16(number) } else { step = Row.opening }
        guard said.status != .awaitingFunds else { return nil }
        let stored = row(ask.id, step)
        if said.status == .conflict {
            guard let stored = stored ?? row(ask.id, Row.opening) else { return "the journal has nothing that it conflicts with" }
            return self.ask(behind: stored) == ask ? "the journal has it as asked" : nil
        }
        guard let stored, self.ask(behind: stored) == ask else {
            return "the journal has \(stored.map(String.init(describing:)) ?? "nothing")"
        }
        let agrees =
            switch said.status {
            case .granted: stored.status == .applied && stored.amount == said.granted && stored.heldDelta == said.granted
            case .insufficientFunds: [.insufficientFunds, .accountNotFound, .outOfRange].contains(stored.status)
            case .limitReached: stored.status.isLimit && said.limit.map { stored.status == Self.status(of: $0) } == true
            case .alreadyResolved: stored.status == .alreadyResolved
            case .notHeld: stored.status == .holdNotFound
            case .invalid, .conflict, .awaitingFunds, .busy: false
            }
        guard agrees else { return "the journal has \(stored.status) \(stored.amount)" }
        let available = max(.zero, stored.postedAfter - stored.heldAfter)
        return said.available == available ? nil : "the journal has \(available) available"
    }

    private static func status(of limit: HoldReply.Limit) -> Row.Status {
        switch (limit.scope, limit.period) {
        case (.account, .day): .accountDailyLimit
        case (.account, .month): .accountMonthlyLimit
        case (.apiKey, .day): .keyDailyLimit
        case (.apiKey, .month): .keyMonthlyLimit
        }
    }
}
