import Contracts
import Postgres
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct StatementTests {
    /// Prepares on the server, which checks names, types and parameters.
    @Test func `every statement fits the schema`() async throws {
        try await TestDatabase.current.withPool(connectionsMax: 1) { pool in
            let now = Instant.now()
            let user = MintGateTests.user(now)
            let session = Session(of: user.id, clientID: "web", salt: [UInt8](repeating: 1, count: 16), now: now)
            let digest = [UInt8](repeating: 2, count: 32)
            let form = KeyFormID.make()
            let email = try #require(EmailAddress("a@example.com"))
            let key = APIKeyRecord(
                id: APIKeyID(rawValue: "abcdefghij"), name: "n", last4: "wxyz", scopes: ["llm"],
                limits: SpendingLimits(daily: Credits(nano: 1), monthly: Credits(whole: 1)), createdAt: now,
                expiresAt: now, lastUsedAt: nil)
            let signingKey = SigningKeyRecord(
                key: SigningKeySchedule.Key(id: "k", state: .current, since: now), x: digest, y: digest, privateSealed: [1])
            try await pool.transaction { transaction in
                #expect(try await transaction.first(InsertUser(user: user)) == user.id)
                #expect(try await transaction.first(InsertUser(user: user)) == nil)
                #expect(try await transaction.one(FindUser(id: user.id)).email == user.email)
                #expect(try await !transaction.one(HasPassword(userID: user.id)))
                try await transaction.execute(PutPassword(userID: user.id, sealed: [1], now: now))
                try await transaction.execute(PutPassword(userID: user.id, sealed: [2], now: now))
                #expect(try await transaction.one(HasPassword(userID: user.id)))
                let later = now + .seconds(3_601)
                try await transaction.execute(CountAccountFailure(digest: digest, now: now))
                try await transaction.execute(CountAccountFailure(digest: digest, now: now))
                let login = try await transaction.one(FindLogin(email: email, digest: digest, network: "n", now: now))
                #expect(login.accountFailures == 2)
                #expect(login.known?.sealedPassword == [2])
                #expect(!login.isKnownNetwork)
                let nobody = try await transaction.one(FindLogin(email: .nobody, digest: digest, network: nil, now: later))
                #expect((nobody.known == nil, nobody.accountFailures) == (true, 0))
                try await transaction.execute(CountAccountFailure(digest: digest, now: later))
                #expect(
                    try await transaction.one(FindLogin(email: email, digest: digest, network: nil, now: later)).accountFailures == 1)
                #expect(try await transaction.one(LockPlace(digest: digest, place: "n")) == SignInThrottle.Place())
                let place = SignInThrottle.Place(failures: 3, lastAttemptAt: now)
                try await transaction.execute(PutPlace(digest: digest, place: "n", attempts: place))
                #expect(try await transaction.one(LockPlace(digest: digest, place: "n")) == place)
                #expect(try await transaction.execute(SweepSignInAttempts(before: now + .seconds(1))) == 1)
                try await transaction.execute(ForgetPlace(digest: digest, place: "n"))
                #expect(try await transaction.execute(ClaimFirstAdmin(now: now)) == 1)
                #expect(try await transaction.execute(ClaimFirstAdmin(now: now)) == 0)
                #expect(
                    try await transaction.one(PromoteToAdmin(email: email, now: now))
                        == UserChanged(userID: user.id, tokenVersion: 1, isActive: true))

                try await transaction.execute(
                    InsertSession(session: session, client: ClientInfo(address: "192.0.2.1", network: "192.0.2.1")))
                #expect(
                    try await transaction.one(FindLogin(email: email, digest: digest, network: "192.0.2.1", now: now)).isKnownNetwork)
                #expect(try await transaction.one(ShareSession(id: session.id)).user.id == user.id)
                #expect(try await transaction.query(LockForeignPasswords(keyID: [1, 2, 3, 4])).map(\.userID) == [user.id])
                try await transaction.execute(LimitLockWait())
                #expect(try await transaction.one(LockSession(id: session.id)).session.salt == session.salt)
                #expect(try await transaction.one(FindSession(id: session.id)).user.id == user.id)
                try await transaction.execute(RotateSession(session: session.rotated(now: now)))
                #expect(try await transaction.query(LiveSessions(userID: user.id, now: now)).map(\.id) == [session.id])
                #expect(try await transaction.first(RevokeSession(id: session.id, now: now)) == user.id)
                #expect(try await transaction.query(RevokeSessions(userID: user.id, now: now)).isEmpty)
                #expect(try await transaction.query(RevokedSessions(since: now, after: nil, limit: 10)).map(\.id) == [session.id])

                try await transaction.execute(SweepSessions(endedBefore: now))
                #expect(try await transaction.query(RevokedSessions(since: now, after: nil, limit: 10)).count == 1)

                #expect(try await transaction.query(ChangedUsers(since: now, after: nil, limit: 10)).map(\.userID) == [user.id])
                #expect(try await transaction.query(ChangedUsers(since: now, after: user.id, limit: 10)).isEmpty)
                let late = ChangedUsers(since: now + .seconds(1), after: nil, limit: 10, withDeactivated: true)
                #expect(try await transaction.query(late).isEmpty)

                #expect(try await transaction.one(LockUserRow(id: user.id)).isActive)
                var changed = user
                changed.tokenVersion = 1
                try await transaction.execute(PutUser(user: changed, now: now))
                try await transaction.execute(PutProfile(user: changed))
                #expect(try await transaction.execute(PutPlan(userID: user.id, plan: "pro", seq: 2)) == 1)
                #expect(try await transaction.execute(PutPlan(userID: user.id, plan: "free", seq: 2)) == 0)
                try await transaction.execute(InsertMail(template: .verifyEmail, userID: user.id, recipient: email, now: now))
                let due = try await transaction.one(ClaimMails(now: now))
                #expect((due.template, due.recipient, due.tries) == (.verifyEmail, email, 1))
                #expect(due.user.map { [$0.isActive, $0.isEmailVerified] } == [true, false])
                #expect(try await transaction.query(ClaimMails(now: now)).isEmpty)
                try await transaction.execute(DeleteMail(id: due.id))
                let low = MailTemplate.requested(.lowBalance(balance: Credits(nano: -1), level: Credits(nano: .max)))
                try await transaction.execute(InsertMail(template: low, userID: nil, recipient: email, now: now))
                #expect(try await transaction.one(ClaimMails(now: now)).template == low)
                #expect(
                    try await transaction.execute(NoteMail(template: low, userID: user.id, now: now, notSince: now + .seconds(-1))) == 1)
                #expect(
                    try await transaction.execute(NoteMail(template: low, userID: user.id, now: now, notSince: now + .seconds(-1))) == 0)
                let link = PutLink(userID: user.id, purpose: .verifyEmail, tokenSHA256: digest, email: email, expiresAt: later)
                #expect(try await transaction.execute(link) == 1)
                var older = link
                older.expiresAt = now
                #expect(try await transaction.execute(older) == 0)
                #expect(try await transaction.execute(link) == 1, "the mail is sent again")
                #expect(try await transaction.one(FindLink(tokenSHA256: digest, now: now)).userID == user.id)
                #expect(try await transaction.one(UseLink(tokenSHA256: digest, now: now)).email == email.text)
                #expect(try await transaction.first(UseLink(tokenSHA256: digest, now: now)) == nil)
                #expect(try await transaction.execute(link) == 0, "a used link stays used")
                #expect(try await transaction.execute(VerifyUser(userID: user.id, email: user.email, now: now)) == 1)
                #expect(try await transaction.execute(VerifyUser(userID: user.id, email: user.email, now: now)) == 0)
                #expect(try await transaction.one(EmailIsTaken(email: email)))
                try await transaction.execute(ChangeEmail(userID: user.id, email: "b@example.com"))
                try await transaction.execute(ChangeEmail(userID: user.id, email: user.email))
                #expect(try await transaction.query(UsersByEmail(beginning: "a@", after: nil, limit: 1)).map(\.id) == [user.id])
                #expect(try await transaction.query(UsersByEmail(beginning: "a@", after: email, limit: 1)).isEmpty)
                #expect(try await transaction.query(UsersByEmail(beginning: "a@~", after: nil, limit: 1)).isEmpty)
                #expect(try await transaction.query(NewestUsers(before: user.id, limit: 1)).isEmpty)
                #expect(try await transaction.query(AuditOfUser(userID: user.id, before: nil, limit: 1)).isEmpty)
                try await transaction.execute(
                    InsertAPIKey(record: key, secretSHA256: digest, userID: user.id, sessionID: session.id, formID: form))
                #expect(try await transaction.one(FindAPIKeyOfForm(userID: user.id, formID: form)) == key)
                #expect(try await transaction.first(FindAPIKeyOfForm(userID: .make(), formID: form)) == nil)
                let created = [APIKeyCreated(apiKeyID: key.id, fingerprint: APIKeyFingerprint(secretSHA256: digest))]
                #expect(try await transaction.query(ExistingAPIKeys(now: now + .seconds(-1), after: nil, limit: 10)) == created)
                #expect(try await transaction.query(ExistingAPIKeys(now: now, after: nil, limit: 10)).isEmpty, "the key has expired")
                #expect(try await transaction.query(ExistingAPIKeys(now: now, after: key.id, limit: 10)).isEmpty)
                #expect(try await transaction.query(CreatedAPIKeys(since: now, after: nil, limit: 10)) == created)
                #expect(try await transaction.query(CreatedAPIKeys(since: now, after: key.id, limit: 10)).isEmpty)
                #expect(try await transaction.one(CountAPIKeys(userID: user.id)) == 1)
                #expect(try await transaction.query(ListAPIKeys(userID: user.id)).first?.limits == key.limits)
                let found = try await transaction.one(FindAPIKey(id: key.id))
                #expect(found.scopes == ["llm"])
                #expect(found.limits == key.limits)
                #expect(try await transaction.one(ShareUser(id: user.id)).tokenVersion == 1)
                #expect(try await transaction.execute(TouchAPIKey(id: key.id, now: now)) == 1)
                #expect(try await transaction.execute(TouchAPIKey(id: key.id, now: now + .seconds(299))) == 0)
                #expect(try await transaction.execute(TouchAPIKey(id: key.id, now: now + .seconds(301))) == 1)
                #expect(try await transaction.first(RevokeAPIKey(id: key.id, userID: .make(), now: now)) == nil)
                #expect(try await transaction.first(RevokeAPIKey(id: key.id, userID: user.id, now: now)) == "abcdefghij")
                #expect(try await transaction.query(RevokeAPIKeys(userID: user.id, now: now)).isEmpty)

                var attempt = OpenIDAttempt(nonce: "n", verifier: "v", next: "/")
                attempt.linker = OpenIDAttempt.Linker(userID: user.id, sessionID: session.id)
                attempt.freshSince = now
                let other = [UInt8](repeating: 3, count: 32)
                func take(_ browser: [UInt8], _ now: Instant) -> TakeOpenIDAttempt {
                    TakeOpenIDAttempt(stateSHA256: digest, browserSHA256: browser, providerID: "acme", now: now)
                }
                let begun = InsertOpenIDAttempt(
                    attempt: attempt, stateSHA256: digest, browserSHA256: other, providerID: "acme", expiresAt: later)
                try await transaction.execute(begun)
                #expect(try await transaction.first(take(digest, now)) == nil, "another browser")
                #expect(try await transaction.first(take(other, later)) == nil, "expired")
                #expect(try await transaction.first(take(other, now)) == attempt)
                try await transaction.execute(begun)
                #expect(try await transaction.execute(SweepOpenIDAttempts(expiredBy: now)) == 0)
                #expect(try await transaction.execute(SweepOpenIDAttempts(expiredBy: later)) == 1)
                var identity = ExternalIdentity(
                    issuer: "https://idp.example", subject: "s", providerID: "acme", email: email.text, createdAt: now, lastUsedAt: now)
                try await transaction.execute(LockIdentity(issuer: identity.issuer, subject: identity.subject))
                try await transaction.execute(InsertIdentity(identity: identity, userID: user.id))
                #expect(
                    try await transaction.one(FindUserByIdentity(issuer: identity.issuer, subject: identity.subject)).id == user.id)
                #expect(try await transaction.first(FindUserByIdentity(issuer: identity.issuer, subject: "S")) == nil)
                (identity.email, identity.lastUsedAt) = (nil, later)
                #expect(try await transaction.execute(TouchIdentity(identity: identity)) == 1)
                identity.email = email.text
                #expect(try await transaction.query(IdentitiesOfUser(userID: user.id)) == [identity])
                #expect(
                    try await transaction.execute(
                        DeleteIdentity(issuer: identity.issuer, subject: identity.subject, userID: .make())) == 0)
                #expect(try await transaction.execute(DeleteIdentities(userID: user.id)) == 1)
                #expect(try await transaction.one(HasPassword(userID: user.id)))
                #expect(try await !transaction.one(HasPassword(userID: .make())))

                try await transaction.execute(LockSigningKeys())
                try await transaction.execute(InsertSigningKey(record: signingKey))
                #expect(try await transaction.query(AllSigningKeys()).map(\.key.id) == ["k"])
                try await transaction.execute(RetireSigningKey(now: now))
                try await transaction.execute(PromoteSigningKey(id: "k", now: now))
                #expect(try await transaction.execute(ResealSigningKey(id: "k", privateSealed: [2])) == 1)
                try await transaction.execute(DeleteSigningKey(id: "k"))
                try await transaction.execute(AuditRecord(event: .login, userID: user.id, client: .itself, now: now))
            }
        }
    }

    @Test func `audit rows cannot be changed or removed`() async throws {
        try await TestDatabase.current.withPool(connectionsMax: 1) { pool in
            _ = try await pool.transaction { try await $0.commit(AuditRecord(event: .login, client: .itself, now: .now())) }
            for statement in ["UPDATE audit SET outcome = 'failure'", "DELETE FROM audit", "TRUNCATE audit"] {
                await #expect(throws: PostgresError.self) {
                    try await pool.withConnection { try await $0.script(statement) }
                }
            }
        }
    }
}
