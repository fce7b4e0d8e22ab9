package import Contracts
package import Values

/// The outcome of one command.
package enum Decision: Equatable, Sendable {
    /// The ledger wrote an entry. The entry's status says whether the command was applied or
    /// refused. `left` is set for holds and extensions.
    case decided(Entry, left: FundsLeft = .none)
    /// The same command was decided before: the stored answer, nothing changed. `left` is what is
    /// left now, for holds and extensions.
    case duplicate(Entry, left: FundsLeft = .none)
    /// The id belongs to another command. Nothing changed: the sender made a mistake.
    case conflict(Entry)
    /// The ledger refuses a hold or an extension for good. It writes no entry.
    case refused(Refusal)
    /// Other holds reserve the missing credits. Nothing is decided, so the client may ask again
    /// with the same id.
    case awaitingFunds(Funds)
    /// A redelivered question has no row. Nothing is decided.
    case undecided
    /// A report or an expiry was taken, or came too late to matter. It leaves no entry of its own.
    case noted
    /// Refused by its own content; nothing is written, and no repetition will do better.
    case invalid(Flaw)

    package enum Flaw: String, Sendable {
        case amountNotPositive = "amount_not_positive"
        case amountNegative = "amount_negative"
        case amountTooLarge = "amount_too_large"
        case amountsOutOfOrder = "amounts_out_of_order"
        case timeToLiveNotPositive = "time_to_live_not_positive"
        case stepOutOfRange = "step_out_of_range"
        case versionNotPositive = "version_not_positive"
        case limitNegative = "limit_negative"
        /// The id is not a UUIDv7 of the time the journal covers.
        case idOutOfRange = "id_out_of_range"
        /// The journal knows an applied hold that has neither ended nor is open: the auditor's business.
        case holdMissing = "hold_missing"
    }

    /// The entry that answers the command, whenever it was written.
    package var entry: Entry? {
        switch self {
        case .decided(let entry, _), .duplicate(let entry, _), .conflict(let entry): entry
        case .refused, .awaitingFunds, .undecided, .noted, .invalid: nil
        }
    }
}

extension Decision {
    /// The mistake of the sender, for the operator who reads the dead letter. No repetition can
    /// succeed. Nil: the sender made no mistake.
    package var mistake: String? {
        switch self {
        case .conflict(let entry): "the id has another command: \(entry.kind), account \(entry.account)"
        case .invalid(let flaw): flaw.rawValue
        case .decided, .duplicate, .refused, .awaitingFunds, .undecided, .noted: nil
        }
    }
}

/// The reason why a hold or an extension is refused for good.
package enum Refusal: Equatable, Sendable {
    /// Credits and overdraft would not pay the least amount with no other call running.
    case insufficientFunds(Funds)
    case accountNotFound
    /// A spending limit would not leave the least amount with no other call running.
    case limit(HoldReply.Limit, Funds)
    /// The charge ended before this question.
    case alreadyResolved
    /// There is no hold to extend.
    case notHeld
    /// The hold would exceed the largest amount of one charge (``Limits/amountMax``).
    case outOfRange
}

/// The bounds of what a command may ask.
package struct Limits: Sendable {
    /// The largest amount of one command. With ``balanceMax`` it keeps every sum of the engine within 64 bits.
    package var amountMax = Credits(whole: 1_000_000_000)
    /// No balance gets further from zero than this, above or below.
    package var balanceMax = Credits.countedMax
    /// A longer time to live is cut to this.
    package var timeToLiveMax: Duration = .seconds(600)
    /// The time between the expiry that marks an overdue hold and the one that may end it.
    package var expiryGrace: Duration = .seconds(30)
    /// Ids made before this have no partition in the journal.
    package var journalStart = Instant(microseconds: 0)
    /// How far ahead of the ledger the clock of an asker may be.
    package var clockAhead: Duration = .seconds(300)
    /// The alert level of accounts that have no level of their own. Nil: no alert.
    package var lowBalanceLevel: Credits?

    package init() {}
}
