import Contracts
import Crypto
import Postgres
import Values

/// Claims a key, or reads the row of the claim that came first.
struct ClaimKey: Statement {
    struct Output: Sendable {
        var charge: ChargeID
        var request: SHA256Digest
        var isRunning: Bool
        var isStale: Bool
        var answer: KeptAnswer?
    }

    static let sql = """
        WITH claimed AS (
            INSERT INTO idempotency_key (account_id, key, request, charge_id)
            VALUES ($1, $2, $3, $4)
            ON CONFLICT ON CONSTRAINT idempotency_key_once DO UPDATE
            SET request = excluded.request, charge_id = excluded.charge_id, is_running = true, media_type = NULL, provider = NULL, answer = NULL,
                claimed_at = now(), touched_at = now()
            WHERE idempotency_key.claimed_at < now() - interval '24 hours'
                AND (NOT idempotency_key.is_running OR idempotency_key.touched_at < now() - make_interval(secs => $5))
            RETURNING charge_id, request, is_running, touched_at, media_type, provider, answer
        )
        SELECT charge_id, request, is_running, touched_at < now() - make_interval(secs => $5), media_type, provider, answer
        FROM claimed
        UNION ALL
        SELECT charge_id, request, is_running, touched_at < now() - make_interval(secs => $5), media_type, provider, answer
        FROM idempotency_key
        WHERE account_id = $1 AND key = $2 AND NOT EXISTS (SELECT FROM claimed)
        """
    var key: IdempotencyKey
    var charge: ChargeID

    func bind(_ parameters: inout Parameters) {
        parameters.append(key.account)
        parameters.append(key.text)
        parameters.append(key.request.bytes)
        parameters.append(charge)
        parameters.append(Double(IdempotencyStore.staleAfter.wholeMilliseconds) / 1_000)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output {
        let (charge, request) = try (row.next(ChargeID.self), row.next([UInt8].self))
        let (isRunning, isStale) = try (row.next(Bool.self), row.next(Bool.self))
        let (mediaType, provider, body) = try (row.next(String?.self), row.next(String?.self), row.next([UInt8]?.self))
        guard let digest = SHA256Digest(request) else { throw PostgresError(.typeMismatch, "idempotency_key.request is no digest") }
        var answer: KeptAnswer?
        if let mediaType, let provider, let body {
            answer = KeptAnswer(mediaType: mediaType, body: body, provider: provider, charge: charge)
        }
        return Output(charge: charge, request: digest, isRunning: isRunning, isStale: isStale, answer: answer)
    }
}

/// Takes the key of a call whose replica died, unless another claim was first.
struct TakeOverKey: Statement {
    static let sql = """
        UPDATE idempotency_key
        SET charge_id = $4, claimed_at = now(), touched_at = now()
        WHERE account_id = $1 AND key = $2 AND charge_id = $3 AND is_running
        RETURNING key
        """
    typealias Output = String
    var key: IdempotencyKey
    var dead: ChargeID
    var charge: ChargeID

    func bind(_ parameters: inout Parameters) {
        parameters.append(key.account)
        parameters.append(key.text)
        parameters.append(dead)
        parameters.append(charge)
    }
}

struct TouchKey: Statement {
    static let sql = "UPDATE idempotency_key SET touched_at = now() WHERE account_id = $1 AND key = $2 AND charge_id = $3 AND is_running"
    var key: IdempotencyKey
    var charge: ChargeID

    func bind(_ parameters: inout Parameters) {
        parameters.append(key.account)
        parameters.append(key.text)
        parameters.append(charge)
    }
}

struct KeepAnswer: Statement {
    static let sql = """
        UPDATE idempotency_key
        SET is_running = false, media_type = $4, provider = $5, answer = $6
        WHERE account_id = $1 AND key = $2 AND charge_id = $3
        """
    var key: IdempotencyKey
    var charge: ChargeID
    var answer: KeptAnswer?

    func bind(_ parameters: inout Parameters) {
        parameters.append(key.account)
        parameters.append(key.text)
        parameters.append(charge)
        parameters.append(answer?.mediaType)
        parameters.append(answer?.provider)
        parameters.append(answer?.body)
    }
}

struct FreeKey: Statement {
    static let sql = "DELETE FROM idempotency_key WHERE account_id = $1 AND key = $2 AND charge_id = $3"
    var key: IdempotencyKey
    var charge: ChargeID

    func bind(_ parameters: inout Parameters) {
        parameters.append(key.account)
        parameters.append(key.text)
        parameters.append(charge)
    }
}

struct DeleteOldKeys: Statement {
    static let rowsMax = 500

    static let sql = """
        DELETE FROM idempotency_key
        WHERE (account_id, key) IN (
            SELECT account_id, key FROM idempotency_key WHERE claimed_at < now() - interval '24 hours' LIMIT \(rowsMax))
        """
}
