import Contracts
import Outbox
import Postgres
import Values

extension Accounts {
    /// Makes the first administrator, once in the life of an installation. Replicas take turns.
    ///
    /// A user who had registered the address before loses password, sessions, keys and
    /// identities: the operator's word counts, not the squatter's.
    /// - Returns: false if it was made before.
    func bootstrapAdmin(email: EmailAddress, password: String) async throws -> Bool {
        let now = clock()
        return try await pool.transaction { transaction in
            guard try await transaction.execute(ClaimFirstAdmin(now: now)) == 1 else { return false }
            let user = User(
                id: .make(), email: email.text, fullName: nil, role: .admin, plan: Self.freePlan, isActive: true, tokenVersion: 0,
                createdAt: now)
            var id = user.id
            if try await !add(user, now: now, in: transaction) {
                let change = try await transaction.one(PromoteToAdmin(email: email, now: now))
                id = change.userID
                try await revocations.publish(change, in: transaction)
                try await revocations.endSessions(of: id, now: now, in: transaction)
                try await revocations.endKeys(of: id, now: now, in: transaction)
                try await transaction.execute(DeleteIdentities(userID: id))
            }
            var admin = user
            admin.id = id
            _ = try await verified(admin, now: now, in: transaction)
            let sealed = try await passwords.seal(password, for: id)
            try await transaction.commit(
                PutPassword(userID: id, sealed: sealed, now: now),
                AuditRecord(event: .adminBootstrapped, userID: id, client: .itself, now: now))
            return true
        }
    }
}
