package import JSON
package import Values

/// A user proved to own the mailbox of the account, or registered where auth asks for no proof. auth
/// publishes it once a user.
package struct UserVerified: Message {
    package static let name = "user.verified.v1"
    package static let exchange = Topology.authEvents

    package var userID: UserID
    package var email: String
    package var verifiedAt: Instant

    package init(userID: UserID, email: String, verifiedAt: Instant) {
        self.userID = userID
        self.email = email
        self.verifiedAt = verifiedAt
    }

    package func encode(into json: inout JSONWriter) {
        json.field("user_id", userID)
        json.field("email", email)
        json.field("verified_at", verifiedAt)
    }

    package init(from json: JSONObject) throws {
        userID = try json.id("user_id")
        email = try json.string("email")
        verifiedAt = try json.instant("verified_at")
    }
}

/// An API key was created. Every replica then knows that it exists.
package struct APIKeyCreated: Message, Hashable {
    package static let name = "apikey.created.v1"
    package static let exchange = Topology.authEvents

    package var apiKeyID: APIKeyID
    package var fingerprint: APIKeyFingerprint

    package init(apiKeyID: APIKeyID, fingerprint: APIKeyFingerprint) { (self.apiKeyID, self.fingerprint) = (apiKeyID, fingerprint) }

    package func encode(into json: inout JSONWriter) {
        json.field("api_key_id", apiKeyID.rawValue)
        json.field("fingerprint", fingerprint.hexadecimal)
    }

    package init(from json: JSONObject) throws {
        apiKeyID = APIKeyID(rawValue: try json.string("api_key_id"))
        guard let fingerprint = APIKeyFingerprint(hexadecimal: try json.string("fingerprint")) else {
            throw MessageError(field: "fingerprint", expected: "16 lower-case hexadecimal digits")
        }
        self.fingerprint = fingerprint
    }
}

/// An API key stopped being valid; every replica forgets it at once.
package struct APIKeyRevoked: Message {
    package static let name = "apikey.revoked.v1"
    package static let exchange = Topology.authEvents

    package var apiKeyID: APIKeyID

    package init(apiKeyID: APIKeyID) { self.apiKeyID = apiKeyID }

    package func encode(into json: inout JSONWriter) { json.field("api_key_id", apiKeyID.rawValue) }
    package init(from json: JSONObject) throws { apiKeyID = APIKeyID(rawValue: try json.string("api_key_id")) }
}

/// A session ended before its tokens did: access tokens that carry this `sid` are refused until they would have expired anyway.
package struct SessionRevoked: Message {
    package static let name = "session.revoked.v1"
    package static let exchange = Topology.authEvents

    package var sessionID: SessionID
    /// When the last access token of the session expires: the entry can be forgotten then.
    package var tokensExpireAt: Instant

    package init(sessionID: SessionID, tokensExpireAt: Instant) {
        self.sessionID = sessionID
        self.tokensExpireAt = tokensExpireAt
    }

    package func encode(into json: inout JSONWriter) {
        json.field("session_id", sessionID)
        json.field("tokens_expire_at", tokensExpireAt)
    }

    package init(from json: JSONObject) throws {
        sessionID = try json.id("session_id")
        tokensExpireAt = try json.instant("tokens_expire_at")
    }
}

/// A user was deactivated or reactivated, or got another role or plan. Every such change raises
/// `token_version`. So of two messages about a user the one with the greater version is the later one.
///
/// A token with a smaller version is refused. Answers about the user's API keys and cookies are asked
/// for again.
package struct UserChanged: Message, Hashable {
    package static let name = "user.changed.v1"
    package static let exchange = Topology.authEvents

    package var userID: UserID
    package var tokenVersion: Int64
    package var isActive: Bool

    package init(userID: UserID, tokenVersion: Int64, isActive: Bool) {
        (self.userID, self.tokenVersion, self.isActive) = (userID, tokenVersion, isActive)
    }

    package func encode(into json: inout JSONWriter) {
        json.field("user_id", userID)
        json.field("token_version", tokenVersion)
        json.field("active", isActive)
    }

    package init(from json: JSONObject) throws {
        userID = try json.id("user_id")
        tokenVersion = try json.integer("token_version")
        isActive = try json.bool("active")
    }
}

/// A publisher of revocations is alive. Its publish number says how many it has published.
package struct RevocationsHeartbeat: Message {
    package static let name = "revocations.heartbeat.v1"
    package static let exchange = Topology.authEvents

    package init() {}

    package func encode(into json: inout JSONWriter) {}
    package init(from json: JSONObject) throws {}
}
