import Contracts
import LedgerCore
import Values

/// The replay of one account's journal by the oracle. The oracle gets the driver's questions in the
/// order of the account's chain, and must decide the same.
struct AccountReplay {
    private let account: AccountID
    private let checker: Checker
    private var oracle: Oracle
    /// The lots that the oracle has ended. Their entries follow.
    private var ended: [(lot: ChargeID, amount: Credits)] = []
    private var seq: Int64 = 0
    /// The time of the last entry.
    private var now = Instant(microseconds: 0)
    /// The refusals of later questions, in the order of their questions.
    private var refusals: ArraySlice<Question>
    /// The refusals that no place in the chain has explained so far.
    private var waiting: [Question] = []
    private var differences: [Difference] = []

    static func differences(of account: AccountID, _ checker: Checker) -> [Difference] {
        var replay = AccountReplay(of: account, checker)
        do {
            try replay.run()
        } catch {
            // After a difference the oracle's past is not the ledger's.
            return [error]
        }
        return replay.differences + replay.differencesAtRest()
    }

    private init(of account: AccountID, _ checker: Checker) {
        (self.account, self.checker) = (account, checker)
        oracle = Oracle(limits: checker.limits)
        if let limits = checker.book.accountLimits[account] { oracle.settings[account] = Oracle.Settings(limits: limits) }
        let questions = checker.asks(of: account).flatMap { checker.book.records[$0]?.questions ?? [] }
        refusals =
            questions.filter { $0.isRefused && !($0.reply?.status == .conflict && checker.isStrangers($0.ask)) }
            .sorted { $0.sentAt < $1.sentAt }[...]
    }

    // MARK: The journal

    private mutating func run() throws(Difference) {
        let batches = Dictionary(grouping: checker.entries(of: account), by: \.at)
        for (_, entries) in batches.sorted(by: { $0.key < $1.key }) { try follow(entries) }
        explainRefusals(until: Instant(microseconds: .max))
    }

    /// The entries of a batch that are not followed yet.
    private struct Rest {
        var chain: ArraySlice<Entry>
        /// Entries that moved nothing. Their time tells their batch, but nothing tells their place
        /// in it.
        var outside: [Entry]
        /// Reversals among them that stand behind the next entry about their grant.
        var deferred: Set<ChargeID> = []

        func concerns(_ grant: ChargeID) -> Bool { (chain + outside).contains { $0.subject == grant } }

        mutating func note(_ entry: Entry) {
            for other in outside where other.subject == entry.subject { deferred.remove(other.charge) }
        }
    }

    /// Follows the entries of one batch. Those outside the chain must be right at some place of it.
    ///
    /// A reversal outside the chain changes what later entries about its grant come to, so it is
    /// tried before and behind each of them.
    private mutating func follow(_ entries: [Entry]) throws(Difference) {
        var rest = Rest(
            chain: entries.filter { $0.seq > 0 }.sorted { $0.seq < $1.seq }[...],
            outside: entries.filter { $0.seq == 0 }.sorted { version($0) < version($1) })
        var choices: [(replay: AccountReplay, rest: Rest)] = []
        var first: Difference?
        while true {
            takeOutside(&rest, &choices)
            explainRefusals(until: entries[0].at)
            var flaw: Difference?
            if let next = rest.chain.popFirst() {
                flaw = self.flaw(in: next).map { difference(next, $0) }
                rest.note(next)
            } else if let left = rest.outside.first {
                flaw = difference(left, self.flaw(in: left) ?? "has no place in its batch")
            } else {
                return
            }
            guard let flaw else { continue }
            first = first ?? flaw
            guard let choice = choices.popLast() else { throw first! }
            (self, rest) = choice
        }
    }

    /// Takes each entry outside the chain that is right here. One may make the next one right.
    private mutating func takeOutside(_ rest: inout Rest, _ choices: inout [(replay: AccountReplay, rest: Rest)]) {
        var index = 0
        while index < rest.outside.count {
            let entry = rest.outside[index]
            var next = self
            next.explainRefusals(until: entry.at)
            guard !rest.deferred.contains(entry.charge), next.flaw(in: entry) == nil else {
                index += 1
                continue
            }
            var otherwise = rest
            otherwise.deferred.insert(entry.charge)
            rest.outside.remove(at: index)
            if entry.kind == .clawback, rest.concerns(entry.subject) { choices.append((self, otherwise)) }
            rest.note(entry)
            self = next
            index = 0
        }
    }

    private func version(_ entry: Entry) -> Int64 {
        if case .reverse(_, _, let version) = checker.asks(behind: entry).first?.action { version } else { 0 }
    }

    private func difference(_ entry: Entry, _ what: String) -> Difference {
        Difference(account, entry.charge, "\(entry.kind) of \(entry.requested), entry \(entry.seq) at \(entry.at): \(what)")
    }

    // MARK: One entry

    private mutating func flaw(in entry: Entry) -> String? {
        guard entry.seq == 0 || entry.seq == seq + 1 else { return "follows entry \(seq)" }
        seq = max(seq, entry.seq)
        now = max(now, entry.at)
        if entry.kind == .lotExpiry { return flaw(inLotExpiry: entry) }
        pass(to: entry.at)
        if let lot = ended.first { return "\(lot.amount) of lot \(lot.lot) had expired before" }
        var flaw = "nobody asked for it"
        for command in commands(behind: entry) {
            var next = self
            guard let found = next.flaw(in: entry, as: command) else {
                self = next
                return nil
            }
            flaw = found
        }
        return flaw
    }

    private mutating func flaw(in entry: Entry, as command: Command) -> String? {
        var command = command
        if entry.kind == .expire {
            if let flaw = prepare(expiry: entry) { return flaw }
            command = expiry(of: entry.charge)
        }
        let known = oracle.memory(account).facts.count
        let (posted, held) = (oracle.posted(account), oracle.held(account))
        let answer = oracle.decide(command)
        noteEnded(after: known)
        let found = seen(.decided(entry))
        guard answer == found else { return "\(found), the oracle says \(answer)" }
        guard entry.postedAfter - entry.postedDelta == posted, entry.heldAfter - entry.heldDelta == held else {
            return "finds \(entry.postedAfter - entry.postedDelta), the oracle has \(posted)"
        }
        return flawInBalance(entry)
    }

    /// Checks the end of a lot. Every batch that touches an account ends its expired lots first.
    private mutating func flaw(inLotExpiry entry: Entry) -> String? {
        if ended.isEmpty { pass(to: entry.at) }
        guard let next = ended.first else { return "the oracle ends no lot" }
        guard next.lot == entry.grant, next.amount == entry.amount else { return "the oracle ends \(next.amount) of \(next.lot)" }
        ended.removeFirst()
        return flawInBalance(entry)
    }

    private mutating func pass(to now: Instant) {
        let known = oracle.memory(account).facts.count
        oracle.tick(now, [account])
        noteEnded(after: known)
    }

    private mutating func noteEnded(after known: Int) {
        for fact in oracle.memory(account).facts.dropFirst(known) {
            if case .ended(let lot, let amount) = fact.what { ended.append((lot, amount)) }
        }
    }

    private func flawInBalance(_ entry: Entry) -> String? {
        let posted = oracle.posted(account) + ended.reduce(.zero) { $0 + $1.amount }
        let held = oracle.held(account)
        if entry.postedAfter == posted, entry.heldAfter == held { return nil }
        return "leaves \(entry.postedAfter) and \(entry.heldAfter) held, the oracle \(posted) and \(held) held"
    }

    /// Returns the commands that the entry may answer. Each question counts as the last one and as
    /// an earlier one.
    private func commands(behind entry: Entry) -> [Command] {
        if entry.kind == .expire { return [expiry(of: entry.charge)] }
        return checker.asks(behind: entry).flatMap { ask -> [Command] in
            let questions = checker.book.records[ask]?.questions ?? []
            let variants = Set(questions.filter { $0.sentAt <= entry.at }.map(\.isLast))
            let commands = (ask.isQuestion ? Array(variants) : [false]).map { ask.command(isLast: $0) }
            return hasReportsWithoutEntry(entry.charge) ? commands.map(\.prolongingLess) : commands
        }
    }

    // MARK: Expiries

    /// Gives the oracle the messages that the ledger must have decided before it ended the hold,
    /// and the first expiry.
    ///
    /// The second expiry was published after the hold's time and `EXPIRY_GRACE`. The queue keeps
    /// its order, so every message that the broker had confirmed by then was decided first.
    private mutating func prepare(expiry entry: Entry) -> String? {
        guard let opening = checker.entry(entry.charge, .opening), oracle.charges[entry.charge]?.isHeld == true else {
            return "no hold was open"
        }
        let asks = checker.asks(entry.charge, of: account).compactMap { ask in checker.book.records[ask].map { (ask, $0) } }
        for (ask, record) in asks.sorted(by: { $0.1.firstSentAt < $1.1.firstSentAt }) {
            let published = oracle.charges[entry.charge]!.expiresAt + checker.limits.expiryGrace
            let wasFirst = record.confirmedAt.map { $0 <= published } ?? false
            switch ask.action {
            case .settle where wasFirst, .void where wasFirst:
                return "\(ask.action) was in the queue at \(record.confirmedAt!), the expiry not before \(published)"
            case .report where wasFirst && record.firstSentAt > opening.at: hear(ask, at: record.firstSentAt)
            case .extend:
                for question in record.questions where question.wasHeard(after: opening.at, before: entry.at) {
                    hear(ask, at: question.sentAt)
                }
            default: break
            }
        }
        if let flaw = explainUsage(of: entry) { return flaw }
        oracle.tick(entry.at + (.zero - checker.limits.expiryGrace), [])
        _ = oracle.decide(expiry(of: entry.charge))
        oracle.tick(entry.at, [])
        return nil
    }

    /// Returns the expiry of a sweep that sees the hold as the oracle has it.
    private func expiry(of charge: ChargeID) -> Command {
        Command(id: charge, account: account, action: .expire(due: oracle.charges[charge]?.expiresAt ?? now))
    }

    /// Gives the oracle a report that the ledger decided at an unknown time after `sentAt`. The
    /// report keeps the hold for at least half of the time to live, because the ledger prolongs a
    /// hold only when less than half is left.
    private mutating func hear(_ ask: Ask, at sentAt: Instant) {
        guard let (used, timeToLive) = ask.report else { return }
        oracle.tick(sentAt, [])
        let report = Ask(id: ask.id, account: account, action: .report(usedSoFar: used, timeToLive: timeToLive))
        _ = oracle.decide(report.command().prolongingLess)
    }

    /// Gives the oracle the report that the expiry took, if the ledger was not bound to decide it
    /// in time.
    private mutating func explainUsage(of entry: Entry) -> String? {
        let known = oracle.charges[entry.charge]!.reported
        guard entry.requested != known else { return nil }
        guard entry.requested > known else { return "\(known) had been reported" }
        let isReported = checker.asks(entry.charge, of: account).contains { ask in
            ask.report?.used == entry.requested && checker.book.records[ask].map { $0.firstSentAt <= entry.at } == true
        }
        guard isReported else { return "nobody reported that" }
        // At this time the report prolongs nothing.
        oracle.tick(Instant(microseconds: 0), [])
        _ = oracle.decide(
            Command(id: entry.charge, account: account, action: .report(usedSoFar: entry.requested, timeToLive: .seconds(1))))
        return nil
    }

    /// Returns true if reports of the charge left no entry. They may have prolonged the hold so far
    /// that a later extension did not.
    private func hasReportsWithoutEntry(_ charge: ChargeID) -> Bool {
        checker.asks(charge, of: account).contains { ask in
            switch ask.action {
            case .report: true
            case .extend(let step, _, _, _): checker.entry(charge, Step(rawValue: Int16(step))) == nil
            default: false
            }
        }
    }

    // MARK: Refusals

    /// Compares refusals with the oracle. A refusal leaves no entry. It is right if the oracle
    /// refuses in the same way at some moment between question and answer.
    private mutating func explainRefusals(until: Instant) {
        while let next = refusals.first, next.sentAt <= until { waiting.append(refusals.removeFirst()) }
        var left: [Question] = []
        for question in waiting where !isExplained(question) {
            if question.repliedAt! >= until {
                left.append(question)
            } else {
                differences.append(Difference(account, question.ask.id, "\(question): the oracle never says so in that time"))
            }
        }
        waiting = left
    }

    private func isExplained(_ question: Question) -> Bool {
        guard ended.isEmpty else { return false }
        var then = self
        then.pass(to: max(question.sentAt, now))
        guard then.ended.isEmpty else { return false }
        let available = max(.zero, oracle.posted(account) - oracle.held(account))
        let answer = then.oracle.decide(question.ask.command(isLast: question.isLast))
        return question.reply!.says(answer, available: available)
    }

    // MARK: At rest

    private func differencesAtRest() -> [Difference] {
        outcomes() + [differenceOfTables(), differenceOfUsage()].compactMap { $0.map { Difference(account, nil, $0) } }
    }

    /// Finds durable commands without exactly one outcome. Asked again at rest, a command is a
    /// duplicate, or changes nothing, or is a conflict with a dead letter.
    private func outcomes() -> [Difference] {
        checker.asks(of: account).compactMap { ask in
            guard !ask.isQuestion, checker.book.records[ask]?.confirmedAt != nil else { return nil }
            let isStrangers = checker.isStrangers(ask)
            // A report is a conflict while its id is the hold of another account.
            if isStrangers, ask.report != nil { return nil }
            var oracle = oracle
            oracle.tick(checker.tables.readAt, [])
            let again: Seen = isStrangers ? .conflict : oracle.decide(ask.command())
            let flaw: String? =
                switch again {
                case .conflict: checker.isDead(ask) ? nil : "a conflict, and no dead letter"
                case .duplicate, .noted: checker.isDead(ask) ? "done, and a dead letter" : nil
                default: "lost; now it would be \(again)"
                }
            return flaw.map { Difference(account, ask.id, "\($0): \(ask.action)") }
        }
    }

    private func differenceOfTables() -> String? {
        let tables = checker.tables
        let row = tables.accounts.first { $0.id == account } ?? Account(id: account)
        guard row.seq == seq else { return "the account's row is at entry \(row.seq), the chain at \(seq)" }
        var book = LotBook()
        for lot in tables.lots where lot.account == account { book.lots[lot.id] = lot }
        book.burn(to: row.posted)
        return oracle.memory(account).difference(
            from: row, lots: Array(book.lots.values), keys: tables.keys.filter { $0.id.account == account }, limits: oracle.keyLimits,
            overdraft: nil, now: tables.readAt)
    }

    private func differenceOfUsage() -> String? {
        let sum = checker.tables.usage.first { $0.account == account }?.credits ?? .zero
        let posted = oracle.posted(account)
        return sum == posted ? nil : "the rollups add up to \(sum), the balance is \(posted)"
    }
}

extension Question: CustomStringConvertible {
    var description: String {
        let answer = reply.map { "\($0.status), \($0.available) available, at \(repliedAt!)" } ?? "no answer"
        return "\(ask.action)\(isLast ? ", for the last time" : "") at \(sentAt): \(answer)"
    }

    /// True for a final refusal.
    fileprivate var isRefused: Bool { ![nil, .granted, .busy, .invalid].contains(reply?.status) }

    /// Returns true if an extension was refused between these moments. Its report counts.
    fileprivate func wasHeard(after opening: Instant, before expiry: Instant) -> Bool {
        [.insufficientFunds, .limitReached, .awaitingFunds].contains(reply?.status) && sentAt > opening && repliedAt! < expiry
    }
}

extension HoldReply {
    fileprivate func says(_ answer: Seen, available: Credits) -> Bool {
        switch (status, answer) {
        case (.insufficientFunds, .refused(.insufficientFunds)), (.insufficientFunds, .refused(.accountNotFound)):
            self.available == available
        case (.awaitingFunds, .awaiting(let whole)):
            self.available == available && spendable.nano / Credits.nanoPerCredit == whole
        case (.limitReached, .refused(let why)):
            limit.map { reason($0.scope, $0.period) == why } == true && self.available == available
        case (.alreadyResolved, .refused(.alreadyResolved)), (.notHeld, .refused(.notHeld)), (.conflict, .conflict): true
        default: false
        }
    }
}

extension Command {
    /// Returns the command with half of the time to live, if it is an extension or a report.
    fileprivate var prolongingLess: Command {
        let action: Action =
            switch self.action {
            case .extend(let step, let amounts, let used, let timeToLive):
                .extend(step: step, amounts, usedSoFar: used, timeToLive: timeToLive / 2)
            case .report(let used, let timeToLive): .report(usedSoFar: used, timeToLive: timeToLive / 2)
            default: self.action
            }
        return Command(id: id, account: account, action: action, key: key)
    }
}

extension Entry {
    /// The grant that it makes or is about.
    fileprivate var subject: ChargeID { grant ?? charge }
}
