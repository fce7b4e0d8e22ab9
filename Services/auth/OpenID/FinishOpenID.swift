import Contracts
import Crypto
import Outbox
import Postgres
import Telemetry
import Values

extension ExternalIdentities {
    /// The answer of a provider, as a browser brings it (RFC 6749 §4.1.2, RFC 9207 §2).
    struct Answer: Sendable {
        var state: String?
        var code: String?
        var error: String?
        var issuer: String?
    }

    enum FinishOutcome: Sendable {
        /// The browser gets its cookies and goes to the path.
        case signedIn(Issuer.Grant, next: String, isNew: Bool)
        /// The user must confirm the link of an identity.
        case confirmLink(LinkOffer)
        /// An account has the address of the identity. Its user can sign in and link the identity.
        case addressTaken(OpenIDProvider)
        /// The provider tells no address for a new account.
        case noAddress(OpenIDProvider)
        /// The provider did not ask the person, who must sign in again and can do so by password.
        case notAskedAgain(OpenIDProvider, next: String)
        /// The person refused at the provider.
        case refused(OpenIDProvider)
        case providerFailed(OpenIDProvider)
        case deactivated
        /// Too many registrations. The next one is admitted after this time.
        case throttled(Duration)
        /// The attempt is unknown, finished or expired, or another browser or session has begun it.
        case invalidAttempt
        case unknownProvider
    }

    /// Finishes what a browser has begun at a provider: signs a user in, makes the account of a new one,
    /// or offers to link an identity.
    /// - Parameters:
    ///   - cookie: the browser's cookie of the attempt.
    ///   - session: the session of the browser.
    ///   - locale: the language of the browser, for a new account.
    func finish(
        at id: String, _ answer: Answer, cookie: String?, session: SessionID?, locale: String, client info: ClientInfo
    ) async throws -> FinishOutcome {
        guard let provider = providers[id] else { return .unknownProvider }
        let now = clock()
        guard let state = answer.state, let cookie,
            let attempt = try await pool.withConnection({
                try await $0.first(
                    TakeOpenIDAttempt(
                        stateSHA256: sha256(state).bytes, browserSHA256: sha256(cookie).bytes, providerID: provider.id, now: now))
            }), attempt.linker == nil || attempt.linker?.sessionID == session
        else { return refused(.invalidAttempt) }
        accounts.limits.openIDHasEnded(info, now: now)
        do {
            guard let claims = try await claims(answer, attempt, provider) else { return refused(.refused(provider)) }
            if let since = attempt.freshSince, !claims.isAuthenticated(since: since) {
                return refused(.notAskedAgain(provider, next: attempt.next))
            }
            let arrival = Arrival(
                claims: claims, provider: provider, next: attempt.next, session: session, locale: locale, client: info, now: clock())
            if let linker = attempt.linker { return .confirmLink(offer(arrival, to: linker)) }
            return try await signIn(arrival)
        } catch let flaw as OpenIDFlaw {
            note(flaw, of: provider)
            return .providerFailed(provider)
        }
    }

    /// A person who comes from a provider.
    struct Arrival: Sendable {
        let claims: OpenIDClaims
        let provider: OpenIDProvider
        let next: String
        /// The session of the browser until now.
        let session: SessionID?
        let locale: String
        let client: ClientInfo
        let now: Instant

        var order: Issuer.SessionOrder {
            var order = Accounts.browserOrder
            order.replaced = session
            order.authenticatedAt = claims.authenticated(by: now)
            return order
        }

        var identity: ExternalIdentity {
            ExternalIdentity(
                issuer: provider.issuer, subject: claims.subject, providerID: provider.id, email: claims.email?.text, createdAt: now,
                lastUsedAt: now)
        }
    }

    /// Returns the claims of the person; nil if the person refused.
    private func claims(_ answer: Answer, _ attempt: OpenIDAttempt, _ provider: OpenIDProvider) async throws -> OpenIDClaims? {
        // An answer of another provider must not send its code here (RFC 9207 §1).
        let mustNameIssuer = try await client.metadata(of: provider).namesIssuer
        guard answer.issuer == provider.issuer || answer.issuer == nil && !mustNameIssuer else { throw OpenIDFlaw.answerIssuer }
        if answer.error == "access_denied" { return nil }
        guard answer.error == nil else { throw OpenIDFlaw.authorization }
        guard let code = answer.code, !code.isEmpty else { throw OpenIDFlaw.noCode }
        let redeemed = try await client.redeem(code, of: attempt, at: provider, redirectURI: redirectURI(provider))
        let claims = redeemed.claims
        if claims.email != nil { return claims }
        // A known person needs no address, so a UserInfo answer must not refuse one.
        let user = try await pool.withConnection {
            try await $0.first(FindUserByIdentity(issuer: provider.issuer, subject: claims.subject))
        }
        return user == nil ? try await client.withAddress(redeemed, at: provider) : claims
    }

    private func refused(_ outcome: FinishOutcome) -> FinishOutcome {
        metrics.openIDRefused.add()
        return outcome
    }

    private func signIn(_ arrival: Arrival) async throws -> FinishOutcome {
        let (issuer, subject) = (arrival.provider.issuer, arrival.claims.subject)
        let outcome = try await pool.transaction { transaction in
            // Two arrivals of a new person at one time take turns, and the second finds the account.
            try await transaction.execute(LockIdentity(issuer: issuer, subject: subject))
            guard let user = try await transaction.first(FindUserByIdentity(issuer: issuer, subject: subject)) else {
                return try await register(arrival, in: transaction)
            }
            return try await signIn(user, arrival, in: transaction)
        }
        guard case .signedIn(let grant, _, let isNew) = outcome else { return refused(outcome) }
        metrics.openIDSucceeded.add()
        if isNew {
            metrics.registrations.add()
            log.info("user registered", ["user.id": .describing(grant.user.id)])
        }
        return outcome
    }

    private func signIn(_ user: User, _ arrival: Arrival, in transaction: PostgresTransaction) async throws -> FinishOutcome {
        let (now, info, identity) = (arrival.now, arrival.client, arrival.identity)
        switch try await accounts.begin(arrival.order, for: user, info, now: now, in: transaction) {
        case .success(let grant):
            try await transaction.commit(
                TouchIdentity(identity: identity),
                AuditRecord(
                    event: .openIDLogin, userID: user.id, subject: "\(identity.providerID) \(grant.session.id)", client: info, now: now))
            return .signedIn(grant, next: arrival.next, isNew: false)
        case .failure(let refusal):
            try await transaction.commit(
                AuditRecord(event: .openIDLogin, succeeded: false, userID: user.id, subject: identity.providerID, client: info, now: now))
            // Another refusal is a change of the user at the same moment.
            return refusal == .userDeactivated ? .deactivated : .invalidAttempt
        }
    }

    /// Makes an account without a password, unless an account has the address. A provider may report an
    /// address without a check, and the account may be a stranger's.
    private func register(_ arrival: Arrival, in transaction: PostgresTransaction) async throws -> FinishOutcome {
        let (now, info) = (arrival.now, arrival.client)
        guard let email = arrival.claims.email else { return .noAddress(arrival.provider) }
        if let wait = accounts.limits.register(info, now: now) {
            metrics.registrationsThrottled.add()
            return .throttled(wait)
        }
        let user = User(
            id: .make(), email: email.text, fullName: arrival.claims.name, role: .user, plan: Accounts.freePlan, isActive: true,
            tokenVersion: 0, createdAt: now, preferences: User.Preferences(locale: arrival.locale))
        guard try await accounts.add(user, now: now, in: transaction) else {
            try await transaction.commit(
                AuditRecord(event: .register, succeeded: false, subject: user.email, client: info, now: now))
            return .addressTaken(arrival.provider)
        }
        if arrival.claims.isEmailVerified {
            _ = try await accounts.verified(user, now: now, in: transaction)
        } else {
            try await transaction.execute(InsertMail(template: .verifyEmail, userID: user.id, recipient: email, now: now))
        }
        let grant = try await accounts.begin(arrival.order, for: user, info, now: now, in: transaction).get()
        try await transaction.commit(
            InsertIdentity(identity: arrival.identity, userID: user.id),
            AuditRecord(event: .register, userID: user.id, subject: grant.session.id.description, client: info, now: now),
            AuditRecord(event: .identityLinked, userID: user.id, subject: arrival.provider.id, client: info, now: now))
        return .signedIn(grant, next: arrival.next, isNew: true)
    }
}
