import Contracts
import Outbox
import Postgres
import Values

/// An effect with what has been taken back of it so far.
struct EffectOfSource: Sendable {
    var key: Effect.Key
    var accountID: AccountID
    var amount: Credits
    var chargeID: ChargeID
    var version: Int64
    var taken: Credits
}

/// Finds the effects of a purchase or an invoice, with the last statement about each.
struct EffectsOfSource: Statement {
    static let sql = """
        SELECT effect.effect_key, effect.account_id, effect.amount_nano, effect.charge_id, coalesce(last.version, 0)::bigint,
            coalesce(last.target_nano, 0)::bigint
        FROM effect
        LEFT JOIN LATERAL (
            SELECT version, target_nano
            FROM reversal
            WHERE reversal.effect_key = effect.effect_key
            ORDER BY version DESC
            LIMIT 1
        ) AS last ON true
        WHERE effect.source = $1
        ORDER BY effect.effect_key
        """
    var source: String

    func bind(_ parameters: inout Parameters) { parameters.append(source) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> EffectOfSource {
        EffectOfSource(
            key: Effect.Key(text: try row.next()), accountID: try row.next(), amount: Credits(nano: try row.next(Int64.self)),
            chargeID: try row.next(), version: try row.next(), taken: Credits(nano: try row.next(Int64.self)))
    }
}

/// Keeps a statement about what is taken back.
private struct InsertReversal: Statement {
    static let sql = """
        INSERT INTO reversal (effect_key, version, target_nano, reason, charge_id)
        VALUES ($1, $2::bigint, $3, $4, $5)
        """
    var key: Effect.Key
    var version: Int64
    var target: Credits
    var reason: PurchaseReversed.Reason
    var chargeID: ChargeID

    func bind(_ parameters: inout Parameters) {
        parameters.append(key.text)
        parameters.append(version)
        parameters.append(target.nano)
        parameters.append(reason.rawValue)
        parameters.append(chargeID)
    }
}

extension PostgresTransaction {
    /// States how much of an effect is taken back in all. The ledger posts the difference. A statement that says nothing new is left
    /// out. The caller has locked the source.
    func reverse(_ effect: EffectOfSource, target: Credits, reason: PurchaseReversed.Reason) async throws {
        guard target != effect.taken else { return }
        let message = PurchaseReversed(
            chargeID: .make(), accountID: effect.accountID, grantID: effect.chargeID, target: target, version: effect.version + 1,
            reason: reason, description: reason == .refund ? "Refund" : "Disputed payment")
        try await execute(
            InsertReversal(key: effect.key, version: message.version, target: target, reason: reason, chargeID: message.chargeID))
        try await Outbox.add(message, orderingKey: effect.accountID.description, in: self)
    }
}
