import Contracts
import Outbox
import Postgres
import Values

/// Records effects, and returns the keys of those that are new.
private struct InsertEffects: Statement {
    static let sql = """
        INSERT INTO effect (effect_key, account_id, kind, amount_nano, expires_at, charge_id, source)
        SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (effect_key) DO NOTHING
        RETURNING effect_key
        """
    var effects: [Effect]

    func bind(_ parameters: inout Parameters) {
        parameters.append(effects.map(\.key.text))
        parameters.append(effects.map(\.accountID))
        parameters.append(effects.map(\.kind.rawValue))
        parameters.append(effects.map(\.amount.nano))
        parameters.append(effects.map(\.expiresAt))
        parameters.append(effects.map(\.chargeID))
        parameters.append(effects.map(\.source))
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Effect.Key { Effect.Key(text: try row.next()) }
}

extension PostgresTransaction {
    /// Records effects and sends them to the ledger. Those whose keys exist are left out.
    /// - Parameter effects: at most some hundred, each key once.
    func record(_ effects: [Effect]) async throws {
        guard !effects.isEmpty else { return }
        let new = Set(try await query(InsertEffects(effects: effects)))
        let messages = effects.filter { new.contains($0.key) }.map {
            OutboxMessage($0.message, orderingKey: $0.accountID.description, conversationID: nil)
        }
        try await Outbox.add(messages, in: self)
    }
}
