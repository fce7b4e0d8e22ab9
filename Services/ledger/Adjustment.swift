import Contracts
import JSON
import LedgerCore
import Values

/// An adjustment as an administrator asks for it.
struct Adjustment: Sendable {
    let user: UserID
    let grant: Command.Grant
    let amount: Credits
    let reason: String
    let idempotencyKey: String
    let expiresAt: Instant?

    static let reasonScalarsMax = 500
    /// No lot ends in this month or later.
    static let endMonth: Int64 = 230 * 12

    /// The types, in the order of a form.
    static let types = ["topup", "bonus", "refund", "adjustment"]

    static func grant(of type: String) -> Command.Grant? {
        switch type {
        case "topup": .topup
        case "refund": .refund
        case "bonus": .bonus
        case "adjustment": .adjustment
        default: nil
        }
    }

    static func mayExpire(_ grant: Command.Grant) -> Bool { grant == .topup || grant == .bonus }

    func command(_ charge: ChargeID, by administrator: UserID) -> Command {
        let metadata = JSONWriter.object { json in
            json.field("admin_id", administrator)
            json.field("idempotency_key", idempotencyKey)
        }
        return Command(
            id: charge, account: AccountID(user), action: .grant(grant, amount: amount, expiresAt: expiresAt),
            context: Context(
                description: reason, metadata: String(decoding: metadata, as: UTF8.self)))
    }
}
