import Contracts
package import Crypto
package import JSON
package import Values

/// The claims of an access token (RFC 9068 profile). No e-mail and no name: they would be stale and personal.
package struct AccessTokenClaims: Sendable, Equatable {
    package var issuer: String
    package var audience: String
    package var userID: UserID
    package var clientID: String
    package var sessionID: SessionID
    /// Which refresh of the session made it.
    package var generation: Int64
    /// The user's token version at that time.
    package var version: Int64
    package var tokenID: MessageID
    /// Seconds since 1970, as JWTs have it.
    package var issuedAt: Int64
    package var expiresAt: Int64
    package var authenticatedAt: Int64
    package var roles: [String]
    package var scope: String
    package var plan: String

    package init(
        issuer: String, audience: String, userID: UserID, clientID: String, sessionID: SessionID, generation: Int64, version: Int64,
        tokenID: MessageID, issuedAt: Int64, expiresAt: Int64, authenticatedAt: Int64, roles: [String], scope: String, plan: String
    ) {
        self.issuer = issuer
        self.audience = audience
        self.userID = userID
        self.clientID = clientID
        self.sessionID = sessionID
        self.generation = generation
        self.version = version
        self.tokenID = tokenID
        self.issuedAt = issuedAt
        self.expiresAt = expiresAt
        self.authenticatedAt = authenticatedAt
        self.roles = roles
        self.scope = scope
        self.plan = plan
    }

    package var principal: Principal {
        Principal(
            userID: userID, kind: .session(sessionID), roles: roles, scopes: scope.split(separator: " ").map(String.init), plan: plan,
            authenticatedAt: authenticatedAt)
    }
}

extension AccessTokenClaims {
    package func encode(into json: inout JSONWriter) {
        json.field("iss", issuer)
        json.field("aud", audience)
        json.field("sub", userID)
        json.field("client_id", clientID)
        json.field("sid", sessionID)
        json.field("gen", generation)
        json.field("ver", version)
        json.field("jti", tokenID)
        json.field("iat", issuedAt)
        json.field("exp", expiresAt)
        json.field("auth_time", authenticatedAt)
        json.array("roles") { array in for role in roles { array.string(role) } }
        json.field("scope", scope)
        json.field("plan", plan)
    }

    package init(from json: JSONObject) throws {
        issuer = try json.string("iss")
        audience = try json.string("aud")
        userID = try json.id("sub")
        clientID = try json.string("client_id")
        sessionID = try json.id("sid")
        generation = try json.integer("gen")
        version = try json.integer("ver")
        tokenID = try json.id("jti")
        issuedAt = try json.integer("iat")
        expiresAt = try json.integer("exp")
        authenticatedAt = try json.integer("auth_time")
        roles = try json.array("roles").map { role in
            guard let name = role.string else { throw MessageError(field: "roles", expected: "an array of strings") }
            return name
        }
        scope = try json.string("scope")
        plan = try json.string("plan")
    }
}

/// The compact form: `header.claims.signature`, ES256, type `at+jwt`, key named by its thumbprint.
package enum AccessToken {
    /// Every token is for the gateway as a whole.
    package static let audience = "smartspec"
    package static let byteCountMax = 4_096

    /// The `iss` of an installation at `PUBLIC_URL`: the URL without a slash at its end.
    package static func issuer(publicURL: String) -> String {
        var text = Substring(publicURL)
        while text.last == "/" { text.removeLast() }
        return String(text)
    }

    package static func sign(_ claims: AccessTokenClaims, with key: ES256KeyPair, keyID: String) -> String {
        let header = JSONWriter.object { json in
            json.field("alg", "ES256")
            json.field("typ", "at+jwt")
            json.field("kid", keyID)
        }
        let body = Base64.url.encode(header) + "." + Base64.url.encode(JSONWriter.object(claims.encode(into:)))
        return body + "." + Base64.url.encode(key.sign(Array(body.utf8)))
    }
}
