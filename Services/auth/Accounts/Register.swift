import Contracts
import Outbox
import Postgres
import Telemetry
import Values

extension Accounts {
    /// A registration as a client asks for it.
    struct Registration: Sendable {
        var email: EmailAddress
        var password: String
        var fullName: String?
        var preferences = User.Preferences()
    }

    enum RegistrationOutcome: Sendable {
        case registered(Issuer.Grant)
        case emailTaken
        /// Too many registrations. The next one is admitted after this time.
        case throttled(Duration)
    }

    /// Makes a user and signs it in. A taken address costs the same work as a free one.
    func register(
        _ registration: Registration, as order: Issuer.SessionOrder = order, client: ClientInfo
    ) async throws -> RegistrationOutcome {
        let now = clock()
        if let wait = limits.register(client, now: now) {
            metrics.registrationsThrottled.add()
            return .throttled(wait)
        }
        let user = User(
            id: .make(), email: registration.email.text, fullName: registration.fullName, role: .user, plan: Self.freePlan, isActive: true,
            tokenVersion: 0, createdAt: now, preferences: registration.preferences)
        let sealed = try await passwords.sealFirst(registration.password, of: user.id)
        let grant: Issuer.Grant? = try await pool.transaction { transaction in
            guard try await add(user, now: now, in: transaction) else {
                try await transaction.commit(
                    AuditRecord(event: .register, succeeded: false, subject: user.email, client: client, now: now))
                return nil
            }
            try await transaction.execute(PutPassword(userID: user.id, sealed: sealed, now: now))
            let grant = try await begin(order, for: user, client, now: now, in: transaction).get()
            try await transaction.commit(
                InsertMail(template: .verifyEmail, userID: user.id, recipient: registration.email, now: now),
                AuditRecord(event: .register, userID: user.id, subject: grant.session.id.description, client: client, now: now))
            return grant
        }
        guard let grant else { return .emailTaken }
        metrics.registrations.add()
        log.info("user registered", ["user.id": .describing(user.id)])
        return .registered(grant)
    }
}
