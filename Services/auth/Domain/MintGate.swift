import Identity
import Values

/// The one gate that every token, session and API key passes, whichever way its owner came. A rule
/// that is added here holds for all of them.
struct MintGate: Sendable {
    enum Refusal: Error, Equatable {
        case userDeactivated
        case sessionEnded
        /// The session belongs to another user, which only a bug of ours can cause.
        case foreignSession
    }

    let issuer: String
    let tokenLife: Duration

    /// Returns the reason why nothing may be issued for a session; nil if nothing speaks against it.
    static func refusal(_ user: User, _ session: Session, now: Instant) -> Refusal? {
        if session.userID != user.id { return .foreignSession }
        if !user.isActive { return .userDeactivated }
        return session.isOver(at: now) ? .sessionEnded : nil
    }

    /// Returns the claims of the next access token of `session`.
    func admit(_ user: User, _ session: Session, now: Instant) throws(Refusal) -> AccessTokenClaims {
        if let refusal = Self.refusal(user, session, now: now) { throw refusal }
        return AccessTokenClaims(
            issuer: issuer, audience: AccessToken.audience, userID: user.id, clientID: session.clientID, sessionID: session.id,
            generation: session.generation, version: user.tokenVersion, tokenID: .make(), issuedAt: now.seconds,
            expiresAt: min((now + tokenLife).seconds, session.absoluteExpiresAt.seconds),
            authenticatedAt: session.authenticatedAt.seconds, roles: session.isDevice ? ["user"] : user.roles,
            scope: session.scope, plan: user.plan)
    }
}
