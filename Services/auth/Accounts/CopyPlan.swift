import Contracts
import Postgres
import Values

extension Accounts {
    /// Copies the plan that billing gave a user. Access tokens, cookies and API keys show it within the
    /// time of one event.
    ///
    /// Changes nothing if a later message was applied before, because messages may come in any order.
    /// - Throws: ``UnknownUser``, so that the message is tried again later.
    func copy(_ change: PlanChanged, in transaction: PostgresTransaction) async throws {
        let now = clock()
        guard var user = try await transaction.first(LockUserRow(id: change.userID)) else { throw UnknownUser(id: change.userID) }
        guard try await transaction.execute(PutPlan(userID: user.id, plan: change.plan, seq: change.seq)) == 1, user.plan != change.plan
        else { return }
        user.plan = change.plan
        _ = try await revocations.put(user, now: now, in: transaction)
        try await transaction.execute(AuditRecord(event: .planChanged, userID: user.id, subject: change.plan, client: .itself, now: now))
    }

    struct UnknownUser: Error, CustomStringConvertible {
        let id: UserID
        var description: String { "no user \(id)" }
    }
}
