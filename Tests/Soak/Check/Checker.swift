import Contracts
import LedgerCore
import Values

/// A fact about the ledger that breaks its promise.
struct Difference: Hashable, Error, CustomStringConvertible {
    let account: AccountID?
    let charge: ChargeID?
    let what: String

    init(_ account: AccountID?, _ charge: ChargeID? = nil, _ what: String) {
        (self.account, self.charge, self.what) = (account, charge, what)
    }

    var description: String {
        [account.map { "account \($0)" }, charge.map { "charge \($0)" }, what].compactMap(\.self).joined(separator: ": ")
    }
}

/// Compares the driver's record with the ledger's tables. The oracle has the rules
/// (``AccountReplay``). The checker adds the facts that the oracle does not know: the messages that
/// were sent, the times of their confirmation, and the answers that arrived.
struct Checker: Sendable {
    let book: Book
    let tables: Tables
    let limits: Limits
    /// The asks of each charge, also of charges whose ids the ledger made.
    private let asks: [ChargeID: [Ask]]
    private let entries: [ChargeID: [Entry]]
    private let asksByAccount: [AccountID: [Ask]]
    private let entriesByAccount: [AccountID: [Entry]]
    private let dead: Set<MessageID>

    init(_ book: Book, _ tables: Tables, expiryGrace: Duration) {
        var limits = Limits()
        limits.expiryGrace = expiryGrace
        var asks = book.asks
        for deduction in book.deductions.keys {
            guard let charge = tables.references[deduction.key] else { continue }
            asks[charge] = [Ask(id: charge, account: deduction.account, action: .deduct(amount: deduction.amount))]
        }
        (self.book, self.tables, self.limits, self.asks) = (book, tables, limits, asks)
        entries = Dictionary(grouping: tables.entries, by: \.charge)
        asksByAccount = Dictionary(grouping: asks.values.joined(), by: \.account)
        entriesByAccount = Dictionary(grouping: tables.entries, by: \.account)
        dead = Set(book.deadLetters.keys).union(tables.kept.lazy.filter { $0.state == "parked" }.map(\.message))
    }

    /// Checks the ledger at rest: all messages are sent, all queues are empty, all holds have
    /// ended.
    /// - Parameter accounts: the accounts to check; all by default.
    func differences(of accounts: Set<AccountID>? = nil) -> [Difference] {
        let all = book.accounts.union(entriesByAccount.keys)
        return (accounts ?? all).sorted().flatMap { AccountReplay.differences(of: $0, self) + answers(to: $0) } + deductions() + rest()
    }

    // MARK: Look-ups

    func entry(_ charge: ChargeID, _ step: Step) -> Entry? { entries[charge]?.first { $0.step == step } }
    func entries(of account: AccountID) -> [Entry] { entriesByAccount[account] ?? [] }
    func asks(of account: AccountID) -> [Ask] { asksByAccount[account] ?? [] }
    func asks(_ charge: ChargeID, of account: AccountID) -> [Ask] { asks[charge]?.filter { $0.account == account } ?? [] }
    func isDead(_ ask: Ask) -> Bool { book.records[ask].map { dead.contains($0.messageID) } ?? false }

    /// Returns true if the id belongs to another account, because the ledger saw it there first.
    func isStrangers(_ ask: Ask) -> Bool {
        guard let entries = entries[ask.id] else { return false }
        return !entries.contains { $0.account == ask.account }
    }

    /// Returns the asks that an entry may carry out or refuse.
    func asks(behind entry: Entry) -> [Ask] {
        asks(entry.charge, of: entry.account).filter { ask in
            book.records[ask].map { $0.firstSentAt <= entry.at } ?? true && matches(ask, entry)
        }
    }

    private func matches(_ ask: Ask, _ entry: Entry) -> Bool {
        switch (ask.action, entry.kind) {
        case (.hold(let amounts, _, _, _), .hold): amounts.most == entry.requested
        case (.extend(let step, let amounts, _, _), .extend): step == entry.step.rawValue && amounts.most == entry.requested
        case (.settle(let amount, _), .capture), (.deduct(let amount), .charge): amount == entry.requested
        case (.settle(let amount, _), .lateCapture):
            amount - (self.entry(entry.charge, .terminal)?.amount ?? .zero) == entry.requested
        case (.void, .void): true
        case (.void, .lateCapture): .zero - (self.entry(entry.charge, .terminal)?.amount ?? .zero) == entry.requested
        case (.grant(_, let amount, let expiresAt), .purchase), (.grant(_, let amount, let expiresAt), .planGrant),
            (.grant(_, let amount, let expiresAt), .bonus):
            amount == entry.requested && expiresAt == entry.expiresAt
        case (.reverse(let grant, let target, _), .clawback): grant == entry.grant && target == entry.requested
        default: false
        }
    }

    // MARK: Answers

    /// Finds the answers that contradict the journal. ``AccountReplay`` checks refusals by the
    /// rules.
    private func answers(to account: AccountID) -> [Difference] {
        asks(of: account).flatMap { ask -> [Difference] in
            let questions = book.records[ask]?.questions ?? []
            var flaws = questions.compactMap { $0.reply.flatMap { flaw(in: $0, to: ask) } }
            if wasAlwaysRefused(questions), entryAsAsked(ask) != nil {
                let answers = questions.compactMap { $0.reply?.status.rawValue }.joined(separator: ", ")
                flaws.append("in the journal, and yet all its answers were: \(answers)")
            }
            return Set(flaws).map { Difference(account, ask.id, "\($0): \(ask.action)") }
        }
    }

    private func entryAsAsked(_ ask: Ask) -> Entry? {
        entries[ask.id]?.first { $0.account == ask.account && matches(ask, $0) }
    }

    private func flaw(in reply: HoldReply, to ask: Ask) -> String? {
        switch reply.status {
        case .granted:
            guard let entry = entryAsAsked(ask), entry.status == .applied else { return "granted \(reply.granted), and not in the journal" }
            guard entry.amount == reply.granted else { return "granted \(reply.granted), the journal has \(entry.amount)" }
            // A repeated question is answered with the balance of its own time.
            let wasAvailable = entries(of: entry.account).contains { max(.zero, $0.postedAfter - $0.heldAfter) == reply.available }
            return wasAvailable ? nil : "\(reply.available) said to be available, which it never was"
        case .invalid: return "answered invalid: \(reply.message ?? "")"
        default: return nil
        }
    }

    /// Returns true if each question was refused. A refusal leaves no entry, so only a redelivered
    /// question could have been granted then.
    private func wasAlwaysRefused(_ questions: [Question]) -> Bool {
        !questions.isEmpty && questions.allSatisfy { ![nil, .granted, .conflict, .alreadyResolved].contains($0.reply?.status) }
    }

    private func deductions() -> [Difference] {
        book.deductions.flatMap { deduction, statuses -> [Difference] in
            let stored = tables.references[deduction.key].flatMap { entry($0, .opening) }
            return Set(statuses).filter { !isBorneOut($0, by: stored) }.map { status in
                Difference(
                    deduction.account, stored?.charge,
                    "deduction answered \(status), the journal has \(stored.map { "\($0.status) \($0.amount)" } ?? "nothing")")
            }
        }
    }

    private func isBorneOut(_ status: Int, by entry: Entry?) -> Bool {
        switch status {
        case 200, 201: entry?.status == .applied
        case 402: entry.map { $0.status != .applied } ?? false
        default: status == 503
        }
    }

    // MARK: At rest

    private func rest() -> [Difference] {
        let charges = entries.compactMap { charge, entries in
            Set(entries.map(\.account)).count > 1 ? Difference(entries[0].account, charge, "in the journal under two accounts") : nil
        }
        let holds = tables.holds.map {
            Difference($0.account, $0.charge, "at rest a hold of \($0.amount) is open; it runs out at \($0.expiresAt)")
        }
        let kept = tables.kept.filter { $0.state == "replay" }.map {
            Difference($0.account, nil, "at rest \($0.message) is kept undecided")
        }
        return charges + holds + kept
    }
}
