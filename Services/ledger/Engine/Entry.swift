import Contracts

/// One decision, written once and never changed. Refusals are entries too: the stored answer to every repetition.
struct Entry: Equatable, Sendable {
    let charge: ChargeID
    let step: Step
    let account: AccountID
    /// Place in the account's chain, gap-free from 1; 0 for an entry that changed nothing.
    var seq: Int64 = 0
    let kind: Kind
    var status: Status = .applied
    /// What was asked for.
    let requested: Credits
    /// What was held, taken or given. Less than requested: a clamped hold, or overage on a charge.
    var amount: Credits = .zero
    var postedDelta: Credits = .zero
    var heldDelta: Credits = .zero
    var postedAfter: Credits = .zero
    var heldAfter: Credits = .zero
    /// Of the command's content; tells a repetition from another command under the same id.
    let fingerprint: Int64
    let at: Instant
    var context = Context()

    /// What was used but could not be taken, because nothing was left.
    var overage: Credits { kind.charges && status == .applied ? max(.zero, requested - amount) : .zero }

    var key: EntryKey { EntryKey(charge: charge, step: step) }
}

struct EntryKey: Hashable, Sendable {
    let charge: ChargeID
    let step: Step
}

/// The place of a decision within its charge; with the charge id the journal's primary key.
///
/// Everything that can end a charge shares ``terminal``, so the key itself lets only one of them in.
/// Steps 1 to 9,999 are kept for extending a running hold.
enum Step: Int16, Sendable {
    case opening = 0
    case terminal = 10_000
    case late = 10_001
}

extension Entry {
    enum Kind: Int16, Sendable, CaseIterable {
        case hold = 1
        case capture = 3
        case void = 4
        case expire = 5
        case lateCapture = 6
        case charge = 7
        case purchase = 20
        case planGrant = 21
        case bonus = 22
        case refund = 23
        case adjustment = 24
        case topup = 25

        /// Takes credits for something that was used.
        var charges: Bool {
            switch self {
            case .capture, .expire, .lateCapture, .charge: true
            default: false
            }
        }

        /// How people see it in their history (SPEC §2).
        var type: String {
            switch self {
            case .hold: "hold"
            case .void: "void"
            case .capture, .expire, .lateCapture, .charge: "usage"
            case .purchase: "purchase"
            case .planGrant: "plan_grant"
            case .bonus: "bonus"
            case .refund: "refund"
            case .adjustment: "adjustment"
            case .topup: "topup"
            }
        }

        static func of(type: String) -> [Kind] { allCases.filter { $0.type == type } }
    }

    enum Status: Int16, Sendable {
        case applied = 0
        case insufficientFunds = 1
        case accountNotFound = 2
        /// A hold that arrived after the end of its charge.
        case alreadyResolved = 3
        /// The balance would leave the range of the unit.
        case outOfRange = 4

        var name: String {
            switch self {
            case .applied: "applied"
            case .insufficientFunds: "insufficient_funds"
            case .accountNotFound: "account_not_found"
            case .alreadyResolved: "already_resolved"
            case .outOfRange: "out_of_range"
            }
        }
    }
}

/// What travels with a command into its entry and decides nothing.
struct Context: Equatable, Sendable {
    var description: String?
    /// A JSON object: model, tokens, price version, operation.
    var metadata: String?
    /// The 16 bytes of a W3C trace id.
    var trace: UUIDv7?
    var conversation: ConversationID?
}
