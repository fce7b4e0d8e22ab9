package import JSON
package import Values

/// Asks auth whether an API key is valid and whose it is. RPC: answered by ``APIKeyReply``. The secret itself never travels.
package struct IntrospectAPIKey: Message {
    package static let name = "apikey.introspect.v1"
    package static let exchange = Topology.authRPC
    package var routingKey: String { "introspect" }

    package var apiKeyID: APIKeyID
    /// SHA-256 of the key's secret part, 64 lower-case hex digits.
    package var secretSHA256: String

    package init(apiKeyID: APIKeyID, secretSHA256: String) {
        self.apiKeyID = apiKeyID
        self.secretSHA256 = secretSHA256
    }

    package func encode(into json: inout JSONWriter) {
        json.field("api_key_id", apiKeyID.rawValue)
        json.field("secret_sha256", secretSHA256)
    }

    package init(from json: JSONObject) throws {
        apiKeyID = APIKeyID(rawValue: try json.string("api_key_id"))
        secretSHA256 = try json.string("secret_sha256")
    }
}

/// The owner of a key. It has `active: false` and nothing else if the key is unknown, revoked, expired or wrong, or its user
/// is deactivated.
package struct APIKeyReply: Message {
    package static let name = "apikey.reply.v1"
    package static let exchange = Topology.rpcReply

    package struct Owner: Sendable, Hashable {
        package var userID: UserID
        package var roles: [String]
        package var scopes: [String]
        package var plan: String
        package var expiresAt: Instant?
        /// The spending limits of this key.
        package var limits: SpendingLimits?

        package init(
            userID: UserID, roles: [String], scopes: [String], plan: String, expiresAt: Instant?, limits: SpendingLimits? = nil
        ) {
            self.limits = limits
            self.userID = userID
            self.roles = roles
            self.scopes = scopes
            self.plan = plan
            self.expiresAt = expiresAt
        }
    }

    package var owner: Owner?

    package init(owner: Owner?) { self.owner = owner }

    package func encode(into json: inout JSONWriter) {
        json.field("active", owner != nil)
        guard let owner else { return }
        json.field("user_id", owner.userID)
        json.array("roles") { array in for role in owner.roles { array.string(role) } }
        json.array("scopes") { array in for scope in owner.scopes { array.string(scope) } }
        json.field("plan", owner.plan)
        json.field(optional: "expires_at", owner.expiresAt?.microseconds)
        json.field(optional: "limits", owner.limits)
    }

    package init(from json: JSONObject) throws {
        guard try json.bool("active") else {
            owner = nil
            return
        }
        owner = Owner(
            userID: try json.id("user_id"), roles: try json.strings("roles"), scopes: try json.strings("scopes"),
            plan: try json.string("plan"), expiresAt: try json.optionalInstant("expires_at"),
            limits: try json.optionalSpendingLimits("limits"))
    }
}

/// Asks auth for the public keys that access tokens are signed with, and for what was revoked lately.
/// RPC: answered by ``SigningKeysReply``.
package struct QuerySigningKeys: Message {
    package static let name = "signing-keys.query.v1"
    package static let exchange = Topology.authRPC
    package var routingKey: String { "signing-keys" }

    /// The ``SigningKeysReply/readAt`` of the asker's last snapshot; nil asks for everything that still matters.
    package var revokedSince: Instant?
    /// The last session, revoked API key, user and created API key that the asker has from the answers
    /// before.
    package var afterSession: SessionID?
    package var afterAPIKey: APIKeyID?
    package var afterUser: UserID?
    package var afterCreatedAPIKey: APIKeyID?

    package init(
        revokedSince: Instant? = nil, afterSession: SessionID? = nil, afterAPIKey: APIKeyID? = nil, afterUser: UserID? = nil,
        afterCreatedAPIKey: APIKeyID? = nil
    ) {
        self.revokedSince = revokedSince
        self.afterSession = afterSession
        self.afterAPIKey = afterAPIKey
        self.afterUser = afterUser
        self.afterCreatedAPIKey = afterCreatedAPIKey
    }

    /// Returns the question that asks for what follows an answer to this one.
    package func following(_ answer: SigningKeysReply) -> QuerySigningKeys {
        QuerySigningKeys(
            revokedSince: revokedSince, afterSession: answer.revokedSessions.last?.sessionID ?? afterSession,
            afterAPIKey: answer.revokedAPIKeys.last ?? afterAPIKey, afterUser: answer.changedUsers.last?.userID ?? afterUser,
            afterCreatedAPIKey: answer.createdAPIKeys.last?.apiKeyID ?? afterCreatedAPIKey)
    }

    package func encode(into json: inout JSONWriter) {
        json.field(optional: "revoked_since", revokedSince?.microseconds)
        json.field(optional: "after_session", afterSession?.description)
        json.field(optional: "after_api_key", afterAPIKey?.rawValue)
        json.field(optional: "after_user", afterUser?.description)
        json.field(optional: "after_created_api_key", afterCreatedAPIKey?.rawValue)
    }

    package init(from json: JSONObject) throws {
        revokedSince = try json.optionalInstant("revoked_since")
        afterSession = try json.has("after_session") ? json.id("after_session") : nil
        afterAPIKey = try json.optionalString("after_api_key").map(APIKeyID.init(rawValue:))
        afterUser = try json.has("after_user") ? json.id("after_user") : nil
        afterCreatedAPIKey = try json.optionalString("after_created_api_key").map(APIKeyID.init(rawValue:))
    }
}

/// Every ES256 key that a valid token may carry (standby, current, retired), and what was revoked or
/// changed since the time of the question, but not before the life of a token or of a cached answer.
/// At most ``pageMax`` of each kind, in the order of their ids.
package struct SigningKeysReply: Message {
    package static let name = "signing-keys.reply.v1"
    package static let exchange = Topology.rpcReply

    package struct Key: Sendable, Hashable {
        /// RFC 7638 thumbprint.
        package var keyID: String
        /// Coordinates on P-256, base64url without padding (RFC 7518 §6.2.1).
        package var x: String
        package var y: String

        package init(keyID: String, x: String, y: String) {
            self.keyID = keyID
            self.x = x
            self.y = y
        }
    }

    package var keys: [Key]
    package var revokedSessions: [SessionRevoked]
    package var revokedAPIKeys: [APIKeyID]
    package var changedUsers: [UserChanged]
    /// The API keys created since the time of the question. All keys that exist, if it has no time.
    package var createdAPIKeys: [APIKeyCreated]
    /// The time just before the revocations were read, by the clock of auth.
    package var readAt: Instant
    /// True if more follow. ``QuerySigningKeys/following(_:)`` asks for them.
    package var hasMore: Bool

    /// Keeps an answer below ``bytesMax``.
    package static let pageMax = 5_000
    package static let bytesMax = 2 << 20

    package init(
        keys: [Key], revokedSessions: [SessionRevoked] = [], revokedAPIKeys: [APIKeyID] = [], changedUsers: [UserChanged] = [],
        createdAPIKeys: [APIKeyCreated] = [], readAt: Instant, hasMore: Bool = false
    ) {
        self.keys = keys
        self.revokedSessions = revokedSessions
        self.revokedAPIKeys = revokedAPIKeys
        self.changedUsers = changedUsers
        self.createdAPIKeys = createdAPIKeys
        self.readAt = readAt
        self.hasMore = hasMore
    }

    package func encode(into json: inout JSONWriter) {
        json.array("keys") { array in
            for key in keys {
                array.object { object in
                    object.field("kid", key.keyID)
                    object.field("x", key.x)
                    object.field("y", key.y)
                }
            }
        }
        json.array("revoked_sessions") { array in
            for session in revokedSessions { array.object { session.encode(into: &$0) } }
        }
        json.array("revoked_api_keys") { array in for key in revokedAPIKeys { array.string(key.rawValue) } }
        json.array("changed_users") { array in for user in changedUsers { array.object { user.encode(into: &$0) } } }
        json.array("created_api_keys") { array in for key in createdAPIKeys { array.object { key.encode(into: &$0) } } }
        json.field("read_at", readAt)
        json.field("has_more", hasMore)
    }

    package init(from json: JSONObject) throws {
        keys = try json.objects("keys").map { key in
            Key(keyID: try key.string("kid"), x: try key.string("x"), y: try key.string("y"))
        }
        revokedSessions = try json.objects("revoked_sessions").map(SessionRevoked.init(from:))
        revokedAPIKeys = try json.strings("revoked_api_keys").map(APIKeyID.init(rawValue:))
        changedUsers = try json.objects("changed_users").map(UserChanged.init(from:))
        createdAPIKeys = try json.objects("created_api_keys").map(APIKeyCreated.init(from:))
        readAt = try json.instant("read_at")
        hasMore = try json.bool("has_more")
    }
}

extension JSONObject {
    func strings(_ name: String) throws -> [String] {
        try array(name).map { value in
            guard case .string(let text) = value else { throw MessageError(field: name, expected: "an array of strings") }
            return text
        }
    }

    func objects(_ name: String) throws -> [JSONObject] {
        try array(name).map { value in
            guard case .object(let object) = value else { throw MessageError(field: name, expected: "an array of objects") }
            return object
        }
    }
}
