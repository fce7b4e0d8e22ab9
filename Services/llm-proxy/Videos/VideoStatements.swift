import Contracts
import Crypto
import JSON
import Postgres
import Values

/// The columns that a job and its provider are read from.
private enum VideoColumns {
    static let job = """
        charge_id, account_id, conversation_id, provider_job_id, state, amount, is_skipped, call, idempotency_key, request_digest, answer, \
        v.created_at
        """
    static let provider = "p.name, p.kind, p.base_url, p.api_key_variable"
}

extension VideoJob {
    fileprivate static func read(_ row: inout RowReader) throws(PostgresError) -> VideoJob {
        let (charge, account, conversation) = try (row.next(ChargeID.self), row.next(AccountID.self), row.next(ConversationID.self))
        let (providerJob, state) = try (row.next(String?.self), row.next(String.self))
        let (amount, isSkipped, call) = try (row.next(Credits.self), row.next(Bool.self), row.next(JSONText.self))
        let (key, digest, answer) = try (row.next(String?.self), row.next([UInt8]?.self), row.next([UInt8]?.self))
        let createdAt = try row.next(Instant.self)
        guard let state = State(rawValue: state) else { throw PostgresError(.typeMismatch, "video_job.state holds no state: \(state)") }
        do {
            return VideoJob(
                charge: charge, account: account, conversation: conversation, providerJob: providerJob, state: state, amount: amount,
                isSkipped: isSkipped, call: try CallFacts(from: JSONObject(call.bytes)), idempotencyKey: key,
                request: digest.flatMap { SHA256Digest($0) }, answer: try answer.map { try JSONObject($0) }, createdAt: createdAt)
        } catch {
            throw PostgresError(.typeMismatch, "video_job holds no job", cause: error)
        }
    }
}

extension Catalogue.Provider {
    fileprivate static func read(_ row: inout RowReader) throws(PostgresError) -> Catalogue.Provider {
        Catalogue.Provider(name: try row.next(), kind: try row.next(), baseURL: try row.next(), apiKeyVariable: try row.next())
    }
}

/// Adds a job that its provider has not been asked for. No row: another job has its key.
struct AddVideoJob: Statement {
    static let sql = """
        INSERT INTO video_job (charge_id, account_id, conversation_id, provider, amount, is_skipped, call, idempotency_key, request_digest)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
        """
    let job: VideoJob

    func bind(_ parameters: inout Parameters) {
        parameters.append(job.charge)
        parameters.append(job.account)
        parameters.append(job.conversation)
        parameters.append(job.call.provider)
        parameters.append(job.amount)
        parameters.append(job.isSkipped)
        parameters.append(JSONText(JSONWriter.object { job.call.encode(into: &$0) }))
        parameters.append(job.idempotencyKey)
        parameters.append(job.request?.bytes)
    }
}

/// Notes what the provider said of a job that runs.
struct NoteVideo: Statement {
    static let sql = """
        UPDATE video_job
        SET state = 'running', provider_job_id = $2, answer = $3, asked_at = now()
        WHERE charge_id = $1 AND state IN ('submitting', 'running')
        """
    let job: VideoJob

    func bind(_ parameters: inout Parameters) {
        parameters.append(job.charge)
        parameters.append(job.providerJob)
        parameters.append(job.answer?.bytes)
    }
}

/// Ends a job. No row: it has ended before. The key of a job that never began is free again.
struct EndVideo: Statement {
    static let sql = """
        UPDATE video_job
        SET state = $2, answer = coalesce($3, answer), ended_at = now(),
            idempotency_key = CASE WHEN provider_job_id IS NULL THEN NULL ELSE idempotency_key END
        WHERE charge_id = $1 AND state IN ('submitting', 'running')
        """
    let charge: ChargeID
    let state: VideoJob.State
    let answer: JSONObject?

    func bind(_ parameters: inout Parameters) {
        parameters.append(charge)
        parameters.append(state.rawValue)
        parameters.append(answer?.bytes)
    }
}

/// Claims open jobs whose hold needs a report, those that waited longest first.
struct ClaimVideoReports: Statement {
    static let rowsMax = 500

    static let sql = """
        UPDATE video_job
        SET reported_at = now()
        WHERE charge_id IN (
            SELECT charge_id
            FROM video_job
            WHERE ended_at IS NULL AND NOT is_skipped AND reported_at < now() - make_interval(secs => $1)
            ORDER BY reported_at
            LIMIT \(rowsMax)
            FOR UPDATE SKIP LOCKED
        )
        RETURNING charge_id, account_id, conversation_id
        """

    struct Output: Sendable {
        let charge: ChargeID
        let account: AccountID
        let conversation: ConversationID
    }

    func bind(_ parameters: inout Parameters) { parameters.append(VideoJob.reportEvery.seconds) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output {
        Output(charge: try row.next(), account: try row.next(), conversation: try row.next())
    }
}

/// Claims open jobs whose providers are to be asked, and those that are overdue. Of each provider they are the
/// jobs that waited longest.
///
/// A young job is asked every 3 s, one of more than two minutes every 15 s.
struct ClaimVideos: Statement {
    /// The most jobs of one provider, so that no provider keeps the others waiting, and of all.
    static let (rowsOfProviderMax, rowsMax) = (32, 512)

    private static let isDue = """
        ended_at IS NULL
        AND asked_at < now() - CASE WHEN created_at > now() - interval '2 minutes' THEN interval '3 s' ELSE interval '15 s' END
        AND (provider_job_id IS NOT NULL OR created_at < now() - make_interval(secs => $2))
        """

    static let sql = """
        WITH claimed AS (
            UPDATE video_job
            SET asked_at = now()
            WHERE charge_id IN (
                SELECT charge_id
                FROM video_job
                WHERE \(isDue)
                    AND charge_id IN (
                        SELECT charge_id
                        FROM (
                            SELECT charge_id, row_number() OVER (PARTITION BY provider ORDER BY asked_at) AS place
                            FROM video_job
                            WHERE \(isDue)
                        ) due
                        WHERE place <= \(rowsOfProviderMax)
                    )
                LIMIT \(rowsMax)
                FOR UPDATE SKIP LOCKED
            )
            RETURNING *
        )
        SELECT \(VideoColumns.job), v.created_at < now() - make_interval(secs => $1), \(VideoColumns.provider)
        FROM claimed v
        JOIN provider p ON p.name = v.provider
        """

    struct Output: Sendable {
        let job: VideoJob
        /// True if the job is older than ``VideoJob/lostAfter``.
        let isOverdue: Bool
        let provider: Catalogue.Provider
    }

    func bind(_ parameters: inout Parameters) {
        parameters.append(VideoJob.lostAfter.seconds)
        parameters.append(VideoJob.begunWithin.seconds)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output {
        Output(job: try .read(&row), isOverdue: try row.next(), provider: try .read(&row))
    }
}

/// Finds a job of an account, with its provider. A deleted one is not found.
struct FindVideo: Statement {
    static let sql = """
        SELECT \(VideoColumns.job), \(VideoColumns.provider)
        FROM video_job v
        JOIN provider p ON p.name = v.provider
        WHERE charge_id = $1 AND account_id = $2 AND deleted_at IS NULL
        """

    struct Output: Sendable {
        let job: VideoJob
        let provider: Catalogue.Provider
    }

    let charge: ChargeID
    let account: AccountID

    func bind(_ parameters: inout Parameters) {
        parameters.append(charge)
        parameters.append(account)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output { Output(job: try .read(&row), provider: try .read(&row)) }
}

/// Finds the job that a client made under a key.
struct FindVideoOfKey: Statement {
    static let sql = "SELECT \(VideoColumns.job) FROM video_job v WHERE account_id = $1 AND idempotency_key = $2"
    let account: AccountID
    let key: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(account)
        parameters.append(key)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> VideoJob { try .read(&row) }
}

/// Finds the running job of the same request, at most two minutes old.
struct FindOpenVideo: Statement {
    static let sql = """
        SELECT \(VideoColumns.job)
        FROM video_job v
        WHERE account_id = $1 AND request_digest = $2 AND ended_at IS NULL AND created_at > now() - interval '2 minutes'
        ORDER BY charge_id DESC
        LIMIT 1
        """
    let account: AccountID
    let request: SHA256Digest

    func bind(_ parameters: inout Parameters) {
        parameters.append(account)
        parameters.append(request.bytes)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> VideoJob { try .read(&row) }
}

/// Lists the jobs of an account, newest first.
struct ListVideos: Statement {
    static let sql = """
        SELECT \(VideoColumns.job)
        FROM video_job v
        WHERE account_id = $1 AND deleted_at IS NULL AND ($2::uuid IS NULL OR charge_id < $2)
        ORDER BY charge_id DESC
        LIMIT $3
        """
    let account: AccountID
    let after: ChargeID?
    let count: Int64

    func bind(_ parameters: inout Parameters) {
        parameters.append(account)
        parameters.append(after)
        parameters.append(count)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> VideoJob { try .read(&row) }
}

struct DeleteVideo: Statement {
    static let sql = "UPDATE video_job SET deleted_at = now() WHERE charge_id = $1 AND ended_at IS NOT NULL"
    let charge: ChargeID

    func bind(_ parameters: inout Parameters) { parameters.append(charge) }
}

/// Deletes jobs that ended 30 days ago. Receipts stay.
struct DeleteOldVideos: Statement {
    static let rowsMax = 500

    static let sql = """
        DELETE FROM video_job
        WHERE charge_id IN (SELECT charge_id FROM video_job WHERE ended_at < now() - interval '30 days' LIMIT \(rowsMax))
        """
}

extension Duration {
    fileprivate var seconds: Double { Double(wholeMilliseconds) / 1_000 }
}
