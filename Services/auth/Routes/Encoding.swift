import Contracts
import HTTP
import HTTPWire
import JSON
import Values

extension Routes {
    /// Answers with tokens, which no cache may store (RFC 6749 §5.1).
    static func answer(_ status: Int, _ tokens: Issuer.Tokens) -> Response {
        .object(status, headers: noStore) { json in
            json.field("access_token", tokens.accessToken)
            json.field("token_type", "Bearer")
            json.field("expires_in", tokens.expiresIn)
            json.field("refresh_token", tokens.refreshToken)
            json.field("scope", scopeText(tokens.scope))
            json.object("user") { write(tokens.user, to: &$0) }
        }
    }

    static let noStore: HeaderBlock = ["cache-control": "no-store", "pragma": "no-cache"]

    /// Writes the scopes of a session out.
    static func scopeText(_ scope: String) -> String {
        scope.isEmpty ? APIKeys.knownScopes.sorted().joined(separator: " ") : scope
    }

    static func write(_ user: User, to json: inout JSONWriter) {
        json.field("id", user.id.description)
        json.field("email", user.email)
        json.field("full_name", user.fullName)
        json.field("role", user.role.rawValue)
        json.field("plan", user.plan)
    }

    static func write(_ session: LiveSessions.Output, current: SessionID?, to json: inout JSONWriter) {
        json.field("id", session.id.description)
        json.field("client_id", session.clientID)
        json.field("current", session.id == current)
        json.field("signed_in_at", session.signedInAt.description)
        json.field("last_used_at", session.lastUsedAt.description)
        json.field("ip", session.ip)
        json.field("user_agent", session.userAgent)
    }

    static func write(_ record: APIKeyRecord, to json: inout JSONWriter) {
        json.field("id", record.id.rawValue)
        json.field("object", "api_key")
        json.field("name", record.name)
        json.field("last4", record.last4)
        json.array("scopes") { array in for scope in record.scopes { array.string(scope) } }
        json.field("limit", credits: record.limits.monthly)
        json.field("daily_limit", credits: record.limits.daily)
        json.field("created_at", record.createdAt.description)
        json.field("expires_at", record.expiresAt?.description)
        json.field("last_used_at", record.lastUsedAt?.description)
    }
}

extension JSONWriter {
    /// Writes an amount as an exact number, or null for nil.
    mutating func field(_ name: String, credits: Credits?) {
        if let credits { field(name, raw: credits.description.utf8) } else { field(name, nil as String?) }
    }
}
