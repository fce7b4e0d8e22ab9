package import HTTPWire

/// The callers that a row admits.
package enum Access: Sendable, Hashable {
    /// Every client, without a credential.
    case `public`
    /// Every client. The handler receives the session or its refusal, and reads another credential
    /// from the body.
    case sessionOrBody
    /// One of our own servers, by its service token. It acts for itself, and names no user.
    case serviceWithoutUser
    /// Clients with a credential that the row accepts.
    case caller(CallerAccess)
}

/// The access of a row whose handler receives no caller.
package enum PublicAccess: Sendable { case `public` }

/// The access of a row whose handler receives the caller, or the refusal of the session.
package enum OptionalAccess: Sendable { case sessionOrBody }

/// The access of a row for one of our own servers, whose handler receives no caller.
package enum ServiceAccess: Sendable { case serviceWithoutUser }

/// The credentials that a row accepts. The router checks them before the handler runs.
package enum CallerAccess: Sendable, Hashable {
    /// The token of a signed-in user.
    /// - Parameter freshWithin: the longest time since the last sign-in. Nil sets no limit.
    case session(freshWithin: Duration? = nil)
    /// A session, an API key or a service token.
    /// - Parameter scope: a restricted credential must have it. Nil accepts every credential.
    case credential(scope: String? = nil)
    /// The token of one of our own servers, which names the user that pays.
    case service
    /// The session of an administrator.
    /// - Parameter freshWithin: the longest time since the last sign-in. Nil sets no limit.
    case admin(freshWithin: Duration? = nil)
}

/// The demand of a row on the caller of a request.
package struct CallerDemand: Sendable, Hashable {
    package let access: CallerAccess
    package let cookie: CookieUse

    package init(_ access: CallerAccess, cookie: CookieUse) { (self.access, self.cookie) = (access, cookie) }
}

/// The checks of credentials, given to a router by the module that knows identities.
package struct CallerGate<Caller: Sendable>: Sendable {
    package typealias Known = @Sendable (CallerDemand, HeaderBlock) throws(Problem) -> Caller?
    package typealias Check = @Sendable (CallerDemand, HeaderBlock, _ body: [UInt8]) async throws(Problem) -> Caller
    package typealias Prove = @Sendable (Caller, HeaderBlock, _ body: [UInt8]) throws(Problem) -> Void
    package typealias IsService = @Sendable (HeaderBlock) -> Bool

    private let cookieName: String
    private let known: Known
    private let check: Check
    private let prove: Prove
    private let isService: IsService

    /// - Parameters:
    ///   - cookieName: the name of the cookie that may name the caller; empty for none.
    ///   - known: returns a caller that is known without waiting. Nil leads to `check`.
    ///   - check: finds the caller, and refuses one that the access does not admit.
    ///   - prove: refuses a request that changes something and that another site may have sent.
    ///   - isService: true for a request with the token of one of our own servers.
    package init(
        cookieName: String = "", known: @escaping Known, check: @escaping Check,
        prove: @escaping Prove = { _, _, _ in }, isService: @escaping IsService = { _ in false }
    ) {
        self.cookieName = cookieName
        self.known = known
        self.check = check
        self.prove = prove
        self.isService = isService
    }

    /// Returns the caller of a page, if it is known without waiting.
    package func knownViewer(_ headers: HeaderBlock) -> Caller? {
        try? known(CallerDemand(.credential(), cookie: .accepted), headers)
    }

    /// Returns the signed-in person who looks at a public page. Nil for any other client, and while sessions cannot be checked.
    package func viewer(_ headers: HeaderBlock) async -> Caller? {
        try? await caller(CallerDemand(.session(), cookie: .accepted), headers, body: [])
    }

    /// Checks a request to a row of ``Access/serviceWithoutUser``.
    /// - Throws: 401 without a service token.
    func checkService(_ headers: HeaderBlock) throws(Problem) {
        guard isService(headers) else { throw .serviceTokenRequired }
    }

    /// Decides by the head of a request whether to read its body.
    /// - Returns: nil to read it now, or a check that must admit the caller first.
    /// - Throws: the refusal of a caller that is known, or has no credential.
    func admit(_ demand: CallerDemand, _ headers: HeaderBlock) throws(Problem) -> Admission.Check? {
        // A service may name its user in the body, so the check before its handler decides. Its bodies are short.
        if demand.access != .service, try known(demand, headers) != nil { return nil }
        guard headers.hasCredential || (demand.cookie != .ignored && headers.cookie(cookieName) != nil) else { throw .invalidAPIKey }
        guard demand.access != .service else { return nil }
        return { [check] () throws(Problem) in _ = try await check(demand, headers, []) }
    }

    /// Returns the caller of a request.
    /// - Throws: 401 for a missing or bad credential, 403 for one that the access does not admit or
    ///   for a request without the proof of a page, 503 if the credential cannot be checked now.
    package func caller(_ demand: CallerDemand, _ headers: HeaderBlock, body: [UInt8]) async throws(Problem) -> Caller {
        let caller: Caller
        if let found = try known(demand, headers) { caller = found } else { caller = try await check(demand, headers, body) }
        if demand.cookie == .acceptedWithProof { try prove(caller, headers, body) }
        return caller
    }
}

extension HeaderBlock {
    /// True if a field that can name the caller has a value.
    fileprivate var hasCredential: Bool {
        [find("authorization"), find("x-api-key")].contains { $0.map { valueCount(at: $0) > 0 } ?? false }
    }
}
