package import JSON
package import Values

/// Asks auth whether the cookie of a browser is valid and whose it is. RPC: answered by ``SessionReply``.
/// The secret itself never travels.
package struct IntrospectSession: Message {
    package static let name = "session.introspect.v1"
    package static let exchange = Topology.authRPC
    package var routingKey: String { "introspect" }

    package var sessionID: SessionID
    /// SHA-256 of the cookie's secret part, 64 lower-case hex digits.
    package var secretSHA256: String

    package init(sessionID: SessionID, secretSHA256: String) {
        self.sessionID = sessionID
        self.secretSHA256 = secretSHA256
    }

    package func encode(into json: inout JSONWriter) {
        json.field("session_id", sessionID)
        json.field("secret_sha256", secretSHA256)
    }

    package init(from json: JSONObject) throws {
        sessionID = try json.id("session_id")
        secretSHA256 = try json.string("secret_sha256")
    }
}

/// The owner of a cookie. It has `active: false` and nothing else if the session is unknown, ended or
/// without a cookie, the secret is wrong, or the user is deactivated.
package struct SessionReply: Message {
    package static let name = "session.reply.v1"
    package static let exchange = Topology.rpcReply

    package struct Owner: Sendable, Hashable {
        package var userID: UserID
        package var sessionID: SessionID
        package var roles: [String]
        package var plan: String
        /// A language tag (BCP 47).
        package var locale: String
        /// A name of the time zone database (IANA).
        package var timeZone: String
        /// The time of the sign-in.
        package var authenticatedAt: Instant
        package var expiresAt: Instant

        package init(
            userID: UserID, sessionID: SessionID, roles: [String], plan: String, locale: String, timeZone: String,
            authenticatedAt: Instant, expiresAt: Instant
        ) {
            self.userID = userID
            self.sessionID = sessionID
            self.roles = roles
            self.plan = plan
            self.locale = locale
            self.timeZone = timeZone
            self.authenticatedAt = authenticatedAt
            self.expiresAt = expiresAt
        }
    }

    package var owner: Owner?

    package init(owner: Owner?) { self.owner = owner }

    package func encode(into json: inout JSONWriter) {
        json.field("active", owner != nil)
        guard let owner else { return }
        json.field("user_id", owner.userID)
        json.field("session_id", owner.sessionID)
        json.array("roles") { array in for role in owner.roles { array.string(role) } }
        json.field("plan", owner.plan)
        json.field("locale", owner.locale)
        json.field("time_zone", owner.timeZone)
        json.field("authenticated_at", owner.authenticatedAt)
        json.field("expires_at", owner.expiresAt)
    }

    package init(from json: JSONObject) throws {
        guard try json.bool("active") else {
            owner = nil
            return
        }
        owner = Owner(
            userID: try json.id("user_id"), sessionID: try json.id("session_id"), roles: try json.strings("roles"),
            plan: try json.string("plan"), locale: try json.string("locale"), timeZone: try json.string("time_zone"),
            authenticatedAt: try json.instant("authenticated_at"), expiresAt: try json.instant("expires_at"))
    }
}
