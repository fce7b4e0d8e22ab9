import Identity
import Values

/// The one gate that every token passes, whichever way its owner came. A rule that is added here holds for all of them.
struct MintGate: Sendable {
    enum Refusal: Error, Equatable {
        case userDeactivated
        case sessionOver
        /// The session belongs to another user, which only a bug of ours can cause.
        case foreignSession
    }

    let issuer: String
    let tokenLife: Duration

    /// Returns the claims of the next access token of `session`.
    func admit(_ user: User, _ session: Session, now: Instant) throws(Refusal) -> AccessTokenClaims {
        guard session.userID == user.id else { throw .foreignSession }
        guard user.isActive else { throw .userDeactivated }
        guard !session.isOver(at: now) else { throw .sessionOver }
        return AccessTokenClaims(
            issuer: issuer, audience: AccessToken.audience, userID: user.id, clientID: session.clientID, sessionID: session.id,
            generation: session.generation, version: user.tokenVersion, tokenID: .make(), issuedAt: now.seconds,
            expiresAt: min((now + tokenLife).seconds, session.absoluteExpiresAt.seconds),
            authenticatedAt: session.authenticatedAt.seconds, roles: user.roles, scope: "", plan: user.plan)
    }
}
