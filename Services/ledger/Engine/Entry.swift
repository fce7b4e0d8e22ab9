import Values

/// One decision, written once and never changed. It is the stored answer to every repetition. A
/// refused charge or grant has an entry; a refused hold or extension has none.
struct Entry: Equatable, Sendable {
    let charge: ChargeID
    let step: Step
    let account: AccountID
    /// Place in the account's chain, gap-free from 1; 0 for an entry that changed nothing.
    var seq: Int64 = 0
    let kind: Kind
    var status: Status = .applied
    /// The amount that the command asked for.
    let requested: Credits
    /// The amount that was held, taken or given. It is less than requested for a clamped hold, or overage on a charge.
    var amount: Credits = .zero
    var postedDelta: Credits = .zero
    var heldDelta: Credits = .zero
    var postedAfter: Credits = .zero
    var heldAfter: Credits = .zero
    /// A hash of the command's content. It tells a repetition from another command under the same id.
    let fingerprint: Int64
    let at: Instant
    /// The lot that a grant made, an expiry or a clawback took from.
    var grant: ChargeID?
    /// The time when the rest of a grant expires.
    var expiresAt: Instant?
    var context = Context()

    /// The credits that were used but not charged, because nothing was left.
    var overage: Credits { kind.charges && status == .applied ? max(.zero, requested - amount) : .zero }

    var key: EntryKey { EntryKey(charge: charge, step: step) }
}

struct EntryKey: Hashable, Sendable {
    let charge: ChargeID
    let step: Step
}

/// The place of a decision within its charge; with the charge id the journal's primary key.
///
/// The first entry that moves credits or ends a charge has ``opening``, whatever its kind. The key
/// therefore detects one id that is used under two accounts. Every end of a charge with a hold has
/// ``terminal``, so the key allows one end. Steps 1 to 9,999 extend a running hold. The kind of an
/// entry, not its step, says that the charge has ended.
struct Step: RawRepresentable, Hashable, Sendable {
    let rawValue: Int16

    static let opening = Step(rawValue: 0)
    static let terminal = Step(rawValue: 10_000)
    static let late = Step(rawValue: 10_001)

    static let extensions: ClosedRange<Int64> = 1...9_999
}

extension Entry {
    enum Kind: Int16, Sendable, CaseIterable {
        case hold = 1
        case extend = 2
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
        case clawback = 26
        /// The expiry of the rest of a lot.
        case lotExpiry = 27

        /// Takes credits for something that was used.
        var charges: Bool {
            switch self {
            case .capture, .expire, .lateCapture, .charge: true
            default: false
            }
        }

        /// True for a kind that ends its charge. A ``lateCapture`` follows such an end.
        var endsCharge: Bool {
            switch self {
            case .capture, .void, .expire, .charge: true
            default: false
            }
        }

        /// A grant that was paid for, which spending leaves for last.
        var isPaid: Bool {
            switch self {
            case .bonus, .planGrant: false
            default: true
            }
        }

        /// May push the balance below zero.
        var mayOwe: Bool { self == .clawback || self == .lateCapture }

        /// How people see it in their history (SPEC §2).
        var type: String {
            switch self {
            case .hold, .extend: "hold"
            case .void: "void"
            case .capture, .expire, .lateCapture, .charge: "usage"
            case .purchase: "purchase"
            case .planGrant: "plan_grant"
            case .bonus: "bonus"
            case .refund: "refund"
            case .adjustment: "adjustment"
            case .topup: "topup"
            case .clawback: "clawback"
            case .lotExpiry: "expiry"
            }
        }

        static func of(type: String) -> [Kind] { allCases.filter { $0.type == type } }
    }

    enum Status: Int16, Sendable {
        case applied = 0
        case insufficientFunds = 1
        case accountNotFound = 2
        /// The balance would leave the range of the unit.
        case outOfRange = 4
        case accountDailyLimit = 5
        case accountMonthlyLimit = 6
        /// A reversal that is older than one already applied.
        case superseded = 10

        var name: String {
            switch self {
            case .applied: "applied"
            case .insufficientFunds: "insufficient_funds"
            case .accountNotFound: "account_not_found"
            case .outOfRange: "out_of_range"
            case .accountDailyLimit: "account_daily_limit"
            case .accountMonthlyLimit: "account_monthly_limit"
            case .superseded: "superseded"
            }
        }
    }
}

/// The part of a command that is written into its entry and decides nothing.
struct Context: Equatable, Sendable {
    var description: String?
    /// A JSON object: model, tokens, price version, operation.
    var metadata: String?
    /// The 16 bytes of a W3C trace id.
    var trace: UUIDv7?
    var conversation: ConversationID?
    /// The part of `metadata` that is added up.
    var usage: Usage?
}
