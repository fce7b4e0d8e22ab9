import Contracts

/// What the driver asks of the ledger. Under one id there may be several asks with different content, on purpose.
struct Ask: Hashable, Sendable {
    let id: ChargeID
    let account: AccountID
    let action: Action

    enum Action: Hashable, Sendable {
        case hold(amount: Credits, least: Credits, timeToLive: Duration, awaitsFunds: Bool, key: CallerKey?)
        case extend(step: Int64, amount: Credits, least: Credits, used: Credits, timeToLive: Duration)
        case report(used: Credits, timeToLive: Duration)
        case settle(amount: Credits, key: CallerKey?)
        case void
        case grant(PurchaseFulfilled.Kind, amount: Credits, expiresAt: Instant?)
        case reverse(grant: ChargeID, target: Credits, version: Int64)
    }

    /// Asked by RPC; everything else is a durable message.
    var isRequest: Bool {
        switch action {
        case .hold, .extend: true
        default: false
        }
    }

    /// Cumulative usage that the ask reports.
    var used: Credits? {
        switch action {
        case .extend(_, _, _, let used, _), .report(let used, _): used
        default: nil
        }
    }
}

/// An API key with the limits that every hold of it carries.
struct CallerKey: Hashable, Sendable {
    let id: APIKeyID
    let limits: SpendingLimits
}

/// What became of one ask, as far as its sender knows.
struct Record: Sendable {
    /// The same for every copy, as an outbox would send it.
    let messageID: MessageID
    let firstSentAt: Instant
    /// When the broker first confirmed a copy.
    var confirmedAt: Instant?
    var copies = 0
    /// Answers that arrived, in their order.
    var replies: [HoldReply] = []
}

/// All that was asked and answered.
struct Book: Sendable {
    private(set) var records: [Ask: Record] = [:]
    private(set) var asks: [ChargeID: [Ask]] = [:]
    private(set) var deadLetters: [MessageID: Int] = [:]
    var accounts: Set<AccountID> = []
    var accountLimits: [AccountID: SpendingLimits] = [:]

    /// Notes that a copy is about to be sent, and under which message id.
    mutating func note(sending ask: Ask, at now: Instant = .now()) -> MessageID {
        accounts.insert(ask.account)
        if records[ask] == nil {
            records[ask] = Record(messageID: .make(), firstSentAt: now)
            asks[ask.id, default: []].append(ask)
        }
        records[ask]?.copies += 1
        return records[ask]!.messageID
    }

    mutating func note(confirmed ask: Ask, at now: Instant = .now()) {
        if records[ask]?.confirmedAt == nil { records[ask]?.confirmedAt = now }
    }

    mutating func note(_ reply: HoldReply, to ask: Ask) { records[ask]?.replies.append(reply) }

    mutating func note(deadLetter id: MessageID) { deadLetters[id, default: 0] += 1 }

    func isDeadLetter(_ ask: Ask) -> Bool { records[ask].map { deadLetters[$0.messageID] != nil } ?? false }

    var copies: Int { records.values.reduce(0) { $0 + $1.copies } }
}
