import Contracts

extension Checker {
    /// What was taken back of each grant: of several statements the highest version counts, whatever came first.
    func reversals() -> [Difference] {
        var stories: [ChargeID: [Row]] = [:]
        for row in tables.rows {
            if row.kind.isGrant { stories[row.charge, default: []].append(row) }
            if row.kind == .clawback || row.kind == .lotExpiry, let grant = row.grant { stories[grant, default: []].append(row) }
        }
        return stories.values.compactMap { rows in
            guard rows.contains(where: { $0.kind == .clawback }) else { return nil }
            var flaw: (Row, String)?
            return isLegal(rows, after: Reversal(), &flaw) ? nil : flaw.map { Difference($0.account, $0.charge, $1) }
        }
    }

    private struct Reversal {
        var granted = Credits.zero
        var expired = Credits.zero
        var taken = Credits.zero
        var target = Credits.zero
        var version: Int64 = 0
    }

    /// Decisions of one moment that moved nothing have no known order: one that makes them all legal is enough.
    private func isLegal(_ rows: [Row], after state: Reversal, _ flaw: inout (Row, String)?) -> Bool {
        guard let now = rows.lazy.map(\.at).min() else { return true }
        let place = rows.lazy.filter { $0.seq > 0 }.map(\.seq).min()
        for (index, row) in rows.enumerated() where row.at == now && (row.seq == 0 || row.seq == place) {
            var after = state
            if let found = apply(row, to: &after) {
                flaw = flaw ?? (row, found)
                continue
            }
            var rest = rows
            rest.remove(at: index)
            if isLegal(rest, after: after, &flaw) { return true }
        }
        return false
    }

    private func apply(_ row: Row, to state: inout Reversal) -> String? {
        switch (row.kind, ask(behind: row)?.action) {
        case (.lotExpiry, _):
            state.expired += row.amount
            return nil
        case (.clawback, .reverse(_, let target, let version)):
            if row.status == .superseded {
                return version <= state.version ? nil : "superseded, and yet newer than version \(state.version)"
            }
            guard version > state.version else { return "version \(version) applied after version \(state.version)" }
            let taken = min(target, state.granted - state.expired)
            guard row.status == .applied, row.amount == taken - state.taken else {
                return "\(row.amount) taken back where \(taken - state.taken) was to take"
            }
            (state.taken, state.target, state.version) = (taken, target, version)
            return nil
        case (_, .grant(_, let amount, _)):
            state.granted = amount
            state.taken = min(state.target, amount)
            return row.status == .applied && row.amount == amount - state.taken ? nil : "\(amount - state.taken) was to give"
        default: return nil
        }
    }
}

extension Checker {
    /// No hold is left, and every balance is what the asks add up to: grants, minus what was taken back, used and over.
    func rest() -> [Difference] {
        var differences = tables.holds.map { Difference($0.account, $0.charge, "at rest a hold of \($0.amount) is open") }
        var expected: [AccountID: Credits] = [:]
        for row in tables.rows where row.kind == .lotExpiry { expected[row.account, default: .zero] -= row.amount }
        let versions = Dictionary(grouping: tables.rows.filter { $0.kind == .clawback && $0.status == .applied }, by: \.grant)
        for (ask, record) in book.records where !ask.isRequest && record.confirmedAt != nil {
            if case .grant(_, let amount, _) = ask.action, let row = row(ask.id, Row.opening), self.ask(behind: row) == ask {
                let last = versions[ask.id]?.compactMap { self.ask(behind: $0) }.max { version($0) < version($1) }
                expected[ask.account, default: .zero] += amount - takenBack(last, of: ask.id, amount)
            }
        }
        for (charge, rows) in byCharge {
            guard let end = rows.first(where: { $0.step == Row.terminal && $0.kind.charges }) else { continue }
            let last = row(charge, Row.late) ?? end
            let asked: Credits = if case .settle(let amount, _) = ask(behind: last)?.action { amount } else { last.requested }
            // What was used and not there to take is written down.
            expected[last.account, default: .zero] -= asked - (last.requested - last.amount)
        }
        for account in tables.accounts where account.posted != expected[account.account] ?? .zero {
            let sum = expected[account.account] ?? .zero
            differences.append(Difference(account.account, "has \(account.posted), the asks add up to \(sum)"))
        }
        return differences
    }

    private func version(_ ask: Ask) -> Int64 { if case .reverse(_, _, let version) = ask.action { version } else { 0 } }

    private func takenBack(_ reversal: Ask?, of grant: ChargeID, _ amount: Credits) -> Credits {
        guard case .reverse(_, let target, _) = reversal?.action else { return .zero }
        let expired = tables.rows.filter { $0.kind == .lotExpiry && $0.grant == grant }.reduce(.zero) { $0 + $1.amount }
        return min(target, amount - expired)
    }
}
