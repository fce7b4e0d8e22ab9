import Contracts
import Values

/// One request of the driver to the ledger. One id may have several asks with different content, on
/// purpose.
struct Ask: Hashable, Sendable {
    let id: ChargeID
    let account: AccountID
    let action: Action

    enum Action: Hashable, Sendable {
        case hold(HoldAmounts, takesShare: Bool, timeToLive: Duration, key: CallerKey?)
        case extend(step: Int64, HoldAmounts, used: Credits, timeToLive: Duration)
        case report(used: Credits, timeToLive: Duration)
        case settle(amount: Credits, key: CallerKey?)
        case void
        case grant(PurchaseFulfilled.Kind, amount: Credits, expiresAt: Instant?)
        case reverse(grant: ChargeID, target: Credits, version: Int64)
        /// A charge over HTTP. The ledger makes the id.
        case deduct(amount: Credits)
    }

    /// True for an RPC. Every other ask except a deduction is a durable message.
    var isQuestion: Bool {
        switch action {
        case .hold, .extend: true
        default: false
        }
    }

    /// The cumulative usage that the ask reports, and the time to live that it asks for.
    var report: (used: Credits, timeToLive: Duration)? {
        switch action {
        case .extend(_, _, let used, let timeToLive), .report(let used, let timeToLive): (used, timeToLive)
        default: nil
        }
    }

    /// Returns the command that the ledger makes of the ask.
    /// - Parameter isLast: true if the question is the last one of its call.
    func command(isLast: Bool = false) -> Command {
        func amounts(_ amounts: HoldAmounts) -> HoldAmounts {
            HoldAmounts(most: amounts.most, usual: amounts.usual, least: amounts.least, isLastQuestion: isLast)
        }
        var key: CallerKey?
        let action: Command.Action
        switch self.action {
        case .hold(let asked, let takesShare, let timeToLive, let itsKey):
            key = itsKey
            action = .hold(amounts(asked), takesShare: takesShare, timeToLive: timeToLive, keyLimits: itsKey?.limits)
        case .extend(let step, let asked, let used, let timeToLive):
            action = .extend(step: step, amounts(asked), used: used, timeToLive: timeToLive)
        case .report(let used, let timeToLive): action = .report(used: used, timeToLive: timeToLive)
        case .settle(let amount, let itsKey):
            key = itsKey
            action = .settle(amount: amount)
        case .void: action = .void
        case .grant(let kind, let amount, let expiresAt): action = .grant(kind.grant, amount: amount, expiresAt: expiresAt)
        case .reverse(let grant, let target, let version): action = .reverse(grant: grant, target: target, version: version)
        case .deduct(let amount): action = .charge(amount: amount)
        }
        return Command(id: id, account: account, action: action, key: key?.id)
    }
}

extension PurchaseFulfilled.Kind {
    fileprivate var grant: Command.Grant {
        switch self {
        case .purchase: .purchase
        case .planGrant: .planGrant
        case .bonus: .bonus
        }
    }
}

/// An API key with the limits that every hold of it carries.
struct CallerKey: Hashable, Sendable {
    let id: APIKeyID
    let limits: SpendingLimits
}

/// A question as it was sent, and its answer.
struct Question: Sendable {
    let ask: Ask
    let isLast: Bool
    let sentAt: Instant
    var reply: HoldReply?
    var repliedAt: Instant?
}

/// The fate of one ask, as far as its sender knows.
struct Record: Sendable {
    /// The message id of every copy, as an outbox sends it.
    let messageID: MessageID
    let firstSentAt: Instant
    /// The time at which the broker first confirmed a copy.
    var confirmedAt: Instant?
    var copies = 0
    /// The questions, one for each copy of a hold or an extension.
    var questions: [Question] = []
}

/// A charge over HTTP, under a key that its sender made.
struct Deduction: Hashable, Sendable {
    let key: String
    let account: AccountID
    let amount: Credits
}

/// A record of all questions, messages and answers.
struct Book: Sendable {
    private(set) var records: [Ask: Record] = [:]
    private(set) var asks: [ChargeID: [Ask]] = [:]
    private(set) var deadLetters: [MessageID: Int] = [:]
    /// The statuses of the answers that arrived.
    private(set) var deductions: [Deduction: [Int]] = [:]
    var accounts: Set<AccountID> = []
    var accountLimits: [AccountID: SpendingLimits] = [:]

    /// Records that a copy is about to be sent.
    /// - Returns: the message id of a durable message, and the number of a question.
    mutating func note(sending ask: Ask, isLast: Bool = false, at now: Instant = .now()) -> (MessageID, question: Int) {
        accounts.insert(ask.account)
        if records[ask] == nil {
            records[ask] = Record(messageID: .make(), firstSentAt: now)
            asks[ask.id, default: []].append(ask)
        }
        records[ask]!.copies += 1
        if ask.isQuestion { records[ask]!.questions.append(Question(ask: ask, isLast: isLast, sentAt: now)) }
        return (records[ask]!.messageID, records[ask]!.questions.count - 1)
    }

    mutating func note(confirmed ask: Ask, at now: Instant = .now()) {
        if records[ask]?.confirmedAt == nil { records[ask]?.confirmedAt = now }
    }

    mutating func note(_ reply: HoldReply, to ask: Ask, question: Int, at now: Instant = .now()) {
        records[ask]?.questions[question].reply = reply
        records[ask]?.questions[question].repliedAt = now
    }

    mutating func note(deadLetter id: MessageID) { deadLetters[id, default: 0] += 1 }

    /// - Parameter status: nil if no answer came.
    mutating func note(_ deduction: Deduction, answered status: Int?) {
        accounts.insert(deduction.account)
        deductions[deduction, default: []] += status.map { [$0] } ?? []
    }

    var copies: Int { records.values.reduce(0) { $0 + $1.copies } }

    func answers(_ status: HoldReply.Status) -> Int {
        records.values.reduce(0) { $0 + $1.questions.count { $0.reply?.status == status } }
    }
}
