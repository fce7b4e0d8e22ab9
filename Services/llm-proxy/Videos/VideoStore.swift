import Contracts
import Crypto
import JSON
import Outbox
import Postgres
import Values

/// The rows of video jobs. The end of a job and the message that charges or frees its hold are one
/// transaction, so no death of a process loses or doubles a charge.
struct VideoStore: Sendable {
    let pool: PostgresPool

    /// - Returns: false if another job has the key of this one.
    func add(_ job: VideoJob) async throws -> Bool { try await onLoop { try await pool.execute(AddVideoJob(job: job)) } == 1 }

    /// Notes what the provider said of a job that runs.
    /// - Returns: false if the job has ended.
    func note(_ job: VideoJob) async throws -> Bool { try await onLoop { try await pool.execute(NoteVideo(job: job)) } == 1 }

    /// Ends a job: settles the hold of a completed one, and frees that of any other.
    /// - Parameter answer: the provider's last description; nil if it gave none.
    /// - Returns: false if the job had ended before.
    func end(_ job: VideoJob, _ state: VideoJob.State, answer: JSONObject?, because reason: String) async throws -> Bool {
        try await onLoop {
            try await pool.transaction { transaction in
                guard try await transaction.execute(EndVideo(charge: job.charge, state: state, answer: answer)) == 1 else { return false }
                if !job.isSkipped { try await Outbox.add([message(for: job, state, reason)], in: transaction) }
                return true
            }
        }
    }

    private func message(for job: VideoJob, _ state: VideoJob.State, _ reason: String) -> OutboxMessage {
        guard state == .completed else {
            let void = VoidHold(chargeID: job.charge, accountID: job.account, reason: reason, apiKeyID: job.call.apiKeyID)
            return OutboxMessage(void, conversationID: job.conversation)
        }
        let settlement = SettleCharge(chargeID: job.charge, accountID: job.account, amount: job.amount, call: job.call)
        return OutboxMessage(SettleCharges([settlement]), conversationID: job.conversation)
    }

    /// Claims the holds that need a report. Two replicas never claim the same one within a minute.
    func claimReports() async throws -> [ClaimVideoReports.Output] { try await onLoop { try await pool.query(ClaimVideoReports()) } }

    /// Claims the jobs whose providers are to be asked now.
    func claimDue() async throws -> [ClaimVideos.Output] { try await onLoop { try await pool.query(ClaimVideos()) } }

    func find(_ charge: ChargeID, of account: AccountID) async throws -> FindVideo.Output? {
        try await onLoop { try await pool.first(FindVideo(charge: charge, account: account)) }
    }

    func find(key: String, of account: AccountID) async throws -> VideoJob? {
        try await onLoop { try await pool.first(FindVideoOfKey(account: account, key: key)) }
    }

    /// Finds the running job of the same request.
    func findOpen(_ request: SHA256Digest, of account: AccountID) async throws -> VideoJob? {
        try await onLoop { try await pool.first(FindOpenVideo(account: account, request: request)) }
    }

    func list(_ account: AccountID, after: ChargeID?, count: Int64) async throws -> [VideoJob] {
        try await onLoop { try await pool.query(ListVideos(account: account, after: after, count: count)) }
    }

    func delete(_ charge: ChargeID) async throws { _ = try await onLoop { try await pool.execute(DeleteVideo(charge: charge)) } }

    func deleteOld() async throws {
        while try await onLoop({ try await pool.execute(DeleteOldVideos()) }) == DeleteOldVideos.rowsMax {}
    }

    /// The pool serves its own loop only.
    private func onLoop<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
        try await Task(executorPreference: pool.loop, operation: body).value
    }
}
