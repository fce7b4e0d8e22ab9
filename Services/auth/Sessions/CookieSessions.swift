import Contracts
import Crypto
import Postgres
import Values

/// The sessions of browsers, found by their cookies.
struct CookieSessions: Sendable {
    let pool: PostgresPool
    let clock: @Sendable () -> Instant

    /// Returns the owner of a cookie; nil if the cookie is not valid, for any reason. The session lives
    /// on from its last use.
    func owner(of question: IntrospectSession) async throws -> SessionReply.Owner? {
        let now = clock()
        guard let digest = SHA256Digest(hexadecimal: question.secretSHA256),
            let found = try await pool.withConnection({ try await $0.first(FindCookieSession(id: question.sessionID)) }),
            constantTimeEqual(found.cookieSHA256, digest.bytes), now < min(found.idleExpiresAt, found.absoluteExpiresAt)
        else { return nil }
        _ = try await pool.withConnection { connection in
            try await connection.execute(
                TouchCookieSession(id: question.sessionID, now: now, idleExpiresAt: now + Session.idleLife))
        }
        return SessionReply.Owner(
            userID: found.user.id, sessionID: question.sessionID, roles: found.user.roles, plan: found.user.plan,
            locale: found.user.preferences.locale,
            timeZone: found.user.preferences.timeZone, authenticatedAt: found.authenticatedAt,
            expiresAt: min(now + Session.idleLife, found.absoluteExpiresAt))
    }
}
