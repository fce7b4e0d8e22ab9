import Configuration
import Crypto
import HTTPWire
import Identity
import JSON
import Postgres
import Telemetry
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase, .serialized) struct SigningKeyringTests {
    private func keyring(_ pool: PostgresPool, masterKeys: MasterKeyRing = AuthUnderTest.masterKeys) -> SigningKeyring {
        SigningKeyring(pool: pool, masterKeys: masterKeys, tokenLife: .seconds(900), log: AuthUnderTest.log)
    }

    @Test func `twenty replicas that start at once agree on two keys`() async throws {
        try await TestDatabase.current.withPool(connectionsMax: 20) { pool in
            let keyrings = (0..<20).map { _ in keyring(pool) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for keyring in keyrings { group.addTask { try await keyring.refresh() } }
                try await group.waitForAll()
            }
            let published = keyrings.map { $0.published.map(\.id) }
            #expect(published.allSatisfy { $0 == published[0] })
            #expect(published[0].count == 2)
        }
    }

    @Test func `after a rotation tokens of both keys verify, and new ones carry the new key`() async throws {
        try await TestDatabase.current.withPool { pool in
            let (one, two) = (keyring(pool), keyring(pool))
            let now = Instant.now()
            try await one.refresh(now: now)
            try await two.refresh(now: now)
            let session = Session(of: .make(), clientID: "web", salt: [], now: now)
            var user = MintGateTests.user(now)
            user.id = session.userID
            let claims = try MintGate(issuer: "i", tokenLife: .seconds(900)).admit(user, session, now: now)
            let before = try #require(one.sign(claims))
            let later = now + SigningKeySchedule.currentFor + .seconds(1)
            try await one.refresh(now: later)
            let after = try #require(one.sign(claims))
            try await two.refresh(now: later)
            #expect(Set(two.published.map(\.id)) == Set(one.published.map(\.id)))
            #expect(one.published.count == 3)
            let keys = Dictionary(uniqueKeysWithValues: two.published.map { ($0.id, $0.key) })
            for token in [before, after] {
                #expect(try TokenVerifier(issuer: "i").verify(Array(token.utf8), keys: keys, now: now) == claims)
            }
            #expect(before.prefix { $0 != "." } != after.prefix { $0 != "." })
            try await one.refresh(now: later + .seconds(3_600))
            #expect(one.published.count == 2)
        }
    }

    @Test func `an operator rotates the key once verifiers know the next, or at once by force`() async throws {
        try await TestDatabase.current.withPool { pool in
            let now = Instant.now()
            try await pool.withConnection { try await $0.script("DELETE FROM signing_key") }
            let keyring = keyring(pool)
            try await keyring.refresh(now: now)
            let early = try await keyring.rotate(isForced: false, now: now + .seconds(1_199))
            #expect(early == .tooNew(now + .seconds(1_200)))
            guard case .rotated(let first) = try await keyring.rotate(isForced: false, now: now + .seconds(1_200)) else {
                Issue.record("the standby key was known long enough")
                return
            }
            #expect(keyring.published.count == 3)
            #expect(keyring.published.map(\.id).contains(first))
            guard case .rotated(let second) = try await keyring.rotate(isForced: true, now: now + .seconds(1_201)) else {
                Issue.record("force needs no wait")
                return
            }
            #expect(first != second)
            #expect(keyring.published.count == 4)
        }
    }

    @Test func `another master key stops the start and makes no new keys`() async throws {
        try await TestDatabase.current.withPool { pool in
            try await keyring(pool).refresh()
            let other = try MasterKeyRing("1:\(Base64.standard.encode(randomBytes(32)))")
            await #expect(throws: KeyUnusable.self) { try await keyring(pool, masterKeys: other).refresh() }
        }
    }

    @Test func `a key whose halves were swapped in the database is not used`() async throws {
        try await TestDatabase.current.withPool { pool in
            try await keyring(pool).refresh()
            try await pool.withConnection {
                try await $0.script(
                    """
                    UPDATE signing_key SET private_sealed = other.private_sealed
                    FROM signing_key AS other WHERE other.id <> signing_key.id AND signing_key.state = 'current' AND other.state = 'standby'
                    """)
            }
            await #expect(throws: KeyUnusable.self) { try await keyring(pool).refresh() }
            try await pool.withConnection { try await $0.script("DELETE FROM signing_key") }
        }
    }

    @Test func `the first administrator is made once, however many replicas try`() async throws {
        try await AuthUnderTest.with { auth in
            let email = try #require(EmailAddress("admin@example.com"))
            let made = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<8 { group.addTask { try await auth.accounts.bootstrapAdmin(email: email, password: "operator's word") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(made.count { $0 } == 1)
            let answer = try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials("admin@example.com", "operator's word"))
            #expect(answer.status == 200)
            #expect(try answer.json().object("user").string("role") == "admin")
            let token = try answer.string("access_token")
            #expect(try await auth.authenticator.principal(["authorization": "Bearer \(token)"]).isAdmin)
            let again = try await auth.accounts.bootstrapAdmin(email: email, password: "another word altogether")
            #expect(!again)
            // Once in the life of an installation: a later start does not bring back an administrator who was demoted.
            try await auth.pool.withConnection { try await $0.script("UPDATE users SET role = 'user'") }
            let later = try await auth.accounts.bootstrapAdmin(email: email, password: "another word altogether")
            #expect(!later)
            try await auth.pool.withConnection { try await $0.script("DELETE FROM first_admin") }
        }
    }

    @Test func `a user who registered the administrator's address loses it`() async throws {
        try await AuthUnderTest.with { auth in
            let squatter = try await auth.register("squatted@example.com")
            let email = try #require(EmailAddress("squatted@example.com"))
            let key = try await auth.ask("POST", "/api/keys", #"{"name":"mine"}"#, token: squatter.accessToken).string("key")
            let made = try await auth.accounts.bootstrapAdmin(email: email, password: "operator's word")
            #expect(made)
            let theirs = try await auth.ask("POST", "/api/auth/login", AuthUnderTest.credentials(squatter.email))
            #expect(theirs.status == 401)
            let refresh = try await auth.ask("POST", "/api/auth/refresh", #"{"refresh_token":"\#(squatter.refreshToken)"}"#)
            #expect(refresh.status == 401)
            let events = try await auth.outboxCount("session.revoked.v1", about: squatter.session.description)
            #expect(events == 1)
            let changes = try await auth.outboxCount("user.changed.v1", about: squatter.id.description)
            #expect(changes == 1)
            let keyed = try await auth.ask("GET", "/api/auth/me", token: key)
            #expect(keyed.status == 401)
            try await auth.pool.withConnection { try await $0.script("DELETE FROM first_admin") }
        }
    }

    @Test(
        arguments: [
            (["MASTER_KEY": ""], "MASTER_KEY"), (["MASTER_KEY": "short"], "MASTER_KEY"), (["MASTER_KEY": "1:short"], "MASTER_KEY"),
            (["MASTER_KEY": Base64.standard.encode([UInt8](repeating: 7, count: 32))], "MASTER_KEY"),

            (["REGISTER_BURST": "0"], "REGISTER_BURST"), (["REGISTER_PER_MINUTE": "x"], "REGISTER_PER_MINUTE"),
            (["REGISTER_PER_SECOND_TOTAL": "0"], "REGISTER_PER_SECOND_TOTAL"), (["AUDIT_MONTHS": "1"], "AUDIT_MONTHS"),
            (["SMTP_URL": ""], "SMTP_URL"),
            (["MAIL_FROM": "nobody"], "MAIL_FROM"), (["REQUIRE_VERIFIED_EMAIL": "maybe"], "REQUIRE_VERIFIED_EMAIL"),
            (["OAUTH_CLIENTS": "x"], "OAUTH_CLIENTS"), (["OAUTH_CLIENTS": "smartspec-cli=Twice"], "OAUTH_CLIENTS"),
            (["DEVICE_CODE_BURST": "0"], "DEVICE_CODE_BURST"),
            (["TOKEN_TTL": "15"], "TOKEN_TTL"),
            (["TOKEN_TTL": "2h"], "TOKEN_TTL"), (["HASH_THREADS": "0"], "HASH_THREADS"), (["ADMIN_EMAIL": "nobody"], "ADMIN_EMAIL"),
            (["ADMIN_EMAIL": "a@example.com"], "ADMIN_PASSWORD"),
            (["ADMIN_EMAIL": "a@example.com", "ADMIN_PASSWORD": "short"], "ADMIN_PASSWORD"),
        ])
    func `a missing or malformed setting is named`(changed: [String: String], name: String) throws {
        var values = ["MASTER_KEY": AuthUnderTest.masterKeyText, "SMTP_URL": "smtp://127.0.0.1:9", "MAIL_FROM": "a@example.com"]
        #expect(throws: Never.self) { try AuthSettings(Environment(values)) }
        values.merge(changed) { $1 }
        #expect { try AuthSettings(Environment(values)) } throws: { ($0 as? ConfigurationError)?.description.hasPrefix(name) == true }
    }
}
