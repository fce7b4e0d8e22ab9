import Crypto
import Postgres
import Values

extension ExternalIdentities {
    enum BeginOutcome: Sendable {
        /// The browser gets the cookie and goes to the address of the provider.
        case begun(url: String, cookie: String)
        case unknownProvider
        /// Too many sign-ins were begun. The next one is admitted after this time.
        case throttled(Duration)
        case providerFailed(OpenIDProvider)
    }

    /// Begins a sign-in at a provider, or the link of an identity of it.
    /// - Parameters:
    ///   - next: the path that the browser is sent to at the end.
    ///   - isAgain: true if the provider must ask the person now.
    ///   - linker: the user and the session to link for; nil for a sign-in.
    ///   - cookie: the cookie that the browser has of other attempts. A well-formed one stays.
    func begin(
        at id: String, next: String, isAgain: Bool = false, linker: OpenIDAttempt.Linker? = nil, cookie: String?, client info: ClientInfo
    ) async throws -> BeginOutcome {
        guard let provider = providers[id] else { return .unknownProvider }
        let now = clock()
        if let wait = accounts.limits.beginOpenID(info, now: now) { return .throttled(wait) }
        let metadata: OpenIDMetadata
        do {
            metadata = try await client.metadata(of: provider)
        } catch let flaw as OpenIDFlaw {
            note(flaw, of: provider)
            return .providerFailed(provider)
        }
        let state = OpenIDAttempt.secret()
        let cookie = cookie.flatMap { OpenIDAttempt.isSecret($0) ? $0 : nil } ?? OpenIDAttempt.secret()
        let attempt = OpenIDAttempt(
            nonce: OpenIDAttempt.secret(), verifier: OpenIDAttempt.secret(), next: next, linker: linker, freshSince: isAgain ? now : nil)
        _ = try await pool.withConnection {
            try await $0.execute(
                InsertOpenIDAttempt(
                    attempt: attempt, stateSHA256: sha256(state).bytes, browserSHA256: sha256(cookie).bytes, providerID: provider.id,
                    expiresAt: now + OpenIDAttempt.life))
        }
        let url = metadata.authorizationURL(attempt, state: state, at: provider, redirectURI: redirectURI(provider))
        return .begun(url: url, cookie: cookie)
    }
}
