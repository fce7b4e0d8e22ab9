import Contracts

/// What became of one command.
enum Decision: Equatable, Sendable {
    /// Written now, applied or refused: see the entry's status.
    case decided(Entry)
    /// The same command was decided before: the stored answer, nothing changed.
    case duplicate(Entry)
    /// Another command stands under this id: nothing changed, somebody made a mistake.
    case conflict(Entry)
    /// The charge had ended in a way that makes this command pointless, as a void after the expiry.
    case superseded(Entry)
    /// A hold short of credits that running calls may yet free: nothing is decided, so the same id may ask again.
    case awaitingFunds(available: Credits)
    /// A report: taken, or too late to matter. Reports leave no entry of their own.
    case noted
    /// Refused by its own content; nothing is written, and no repetition will do better.
    case invalid(Flaw)

    enum Flaw: String, Sendable {
        case amountNotPositive = "amount_not_positive"
        case amountNegative = "amount_negative"
        case amountTooLarge = "amount_too_large"
        case leastUsefulOutOfRange = "least_useful_out_of_range"
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
    var entry: Entry? {
        switch self {
        case .decided(let entry), .duplicate(let entry), .conflict(let entry), .superseded(let entry): entry
        case .awaitingFunds, .noted, .invalid: nil
        }
    }
}

/// The bounds of what a command may ask.
struct Limits: Sendable {
    /// Of one command. With ``balanceMax`` it keeps every sum of the engine inside 64 bits.
    var amountMax = Credits(whole: 1_000_000_000)
    /// No balance gets further from zero than this, above or below.
    var balanceMax = Credits.countedMax
    /// A longer time to live is cut to this.
    var timeToLiveMax: Duration = .seconds(600)
    /// Ids made before this have no partition in the journal.
    var journalStart = Instant(microseconds: 0)
    /// How far ahead of the ledger the clock of an asker may be.
    var clockAhead: Duration = .seconds(300)
    /// Below which an account that set no level of its own is told; nil: not told.
    var lowBalanceLevel: Credits?
}
