package import Contracts
package import Values

/// The caller of a request, with what a service needs to decide.
package struct Principal: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        /// A person who signed in, by an access token or by the cookie of a browser.
        case session(SessionID)
        case apiKey(APIKeyID)
        /// One of our own servers, by name.
        case service(String)
    }

    package var userID: UserID
    package var kind: Kind
    package var roles: [String]
    /// Empty means: whatever the roles and the plan allow.
    package var scopes: [String]
    /// Empty for one of our own servers: it knows its user by id only.
    package var plan: String
    /// The spending limits of the API key. Nil for a key without limits, and for any other credential.
    package var keyLimits: SpendingLimits?
    /// The time of the last sign-in, in seconds since 1970. Nil for a credential that is no session.
    package var authenticatedAt: Int64?
    /// The language of the user's pages (BCP 47). Nil unless a cookie names the caller.
    package var locale: String?
    /// The time zone of the user's pages (IANA). Nil unless a cookie names the caller.
    package var timeZone: String?
    /// Makes the CSRF tokens of the user's pages. Nil unless a cookie names the caller.
    package var csrf: CSRFKey?

    package init(
        userID: UserID, kind: Kind, roles: [String], scopes: [String], plan: String, keyLimits: SpendingLimits? = nil,
        authenticatedAt: Int64? = nil, locale: String? = nil, timeZone: String? = nil, csrf: CSRFKey? = nil
    ) {
        self.userID = userID
        self.kind = kind
        self.roles = roles
        self.scopes = scopes
        self.plan = plan
        self.keyLimits = keyLimits
        self.authenticatedAt = authenticatedAt
        self.locale = locale
        self.timeZone = timeZone
        self.csrf = csrf
    }

    package var accountID: AccountID { AccountID(userID) }

    /// True for an administrator who signed in. A leaked API key or service token must not become an
    /// operator.
    package var isAdmin: Bool {
        guard case .session = kind else { return false }
        return roles.contains("admin")
    }

    package var sessionID: SessionID? {
        if case .session(let id) = kind { id } else { nil }
    }

    package var apiKeyID: APIKeyID? {
        if case .apiKey(let id) = kind { id } else { nil }
    }

    /// The name of the server of ours that calls, for `userID`.
    package var service: String? {
        if case .service(let name) = kind { name } else { nil }
    }
}
