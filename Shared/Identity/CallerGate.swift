package import HTTP
package import HTTPWire
import JSON
package import Values

extension Authenticator {
    /// The gate of a door: it checks the credential of a request against the access of its row.
    package var gate: CallerGate<Principal> {
        CallerGate(
            cookieName: cookieName, origin: origin, known: { self.cached($0, cookie: $1) },
            identify: { headers, cookie throws(Problem) in try await self.principal(headers, cookie: cookie) },
            isStale: { self.isStale }, isService: { self.service($0) != nil }, clock: { self.now })
    }
}

extension CallerGate where Caller == Principal {
    package typealias Identify = @Sendable (HeaderBlock, CookieUse) async throws(Problem) -> Principal

    /// - Parameters:
    ///   - cookieName: the name of the browser's cookie; empty for none.
    ///   - origin: the origin of the pages that may change something.
    ///   - known: returns a caller that is known without waiting.
    ///   - identify: finds the caller, see ``Authenticator/principal(_:cookie:)``.
    ///   - isStale: true while revocations are too old to admit an administrator.
    ///   - isService: true for a request with the token of one of our own servers.
    ///   - clock: decides whether a sign-in is recent enough.
    package init(
        cookieName: String = "", origin: String = "", known: @escaping @Sendable (HeaderBlock, CookieUse) -> Principal?,
        identify: @escaping Identify, isStale: @escaping @Sendable () -> Bool = { false },
        isService: @escaping IsService = { _ in false },
        clock: @escaping @Sendable () -> Instant = Instant.now
    ) {
        self.init(
            cookieName: cookieName,
            known: { demand, headers throws(Problem) in
                guard let caller = known(headers, demand.cookie) else { return nil }
                try caller.check(demand.access, isStale: isStale, now: clock())
                return caller
            },
            check: { demand, headers, body throws(Problem) in
                let caller =
                    demand.access == .service
                    ? try await Self.service(headers, body, identify) : try await identify(headers, demand.cookie)
                try caller.check(demand.access, isStale: isStale, now: clock())
                return caller
            },
            prove: { caller, headers, body throws(Problem) in try caller.checkPage(headers, body: body, origin: origin) },
            isService: isService)
    }

    /// Identifies a service. It names the user that pays in `x-on-behalf-of`, or in the member
    /// `user_id` of the body.
    private static func service(
        _ headers: HeaderBlock, _ body: [UInt8], _ identify: Identify
    ) async throws(Problem) -> Principal {
        guard !headers.contains("x-on-behalf-of") else { return try await identify(headers, .ignored) }
        var headers = headers
        let named: Result<UserID?, Problem>
        do throws(Problem) { named = .success(try user(in: body)) } catch { named = .failure(error) }
        if case .success(let user?) = named { headers.add("x-on-behalf-of", user.description) }
        do throws(Problem) {
            return try await identify(headers, .ignored)
        } catch {
            // A flaw of the body may be the reason why it names no user.
            if error.param == "x-on-behalf-of" { _ = try named.get() }
            throw error
        }
    }

    private static func user(in body: [UInt8]) throws(Problem) -> UserID? {
        let text: String?
        do throws(JSONError) { text = try JSONObject(body).optionalString("user_id") } catch { throw Problem(error) }
        guard let text else { return nil }
        guard let user = UserID(text) else { throw .invalidRequest("`user_id` must be a UUID.", param: "user_id") }
        return user
    }
}

extension Principal {
    /// - Throws: 403 if the access does not admit this caller, 503 for an administrator while
    ///   revocations are stale.
    fileprivate func check(_ access: CallerAccess, isStale: () -> Bool, now: Instant) throws(Problem) {
        try check(access, now: now)
        if case .admin = access, isStale() {
            throw .unavailable("Revocations cannot be checked at the moment, so administrators are refused; retry later.")
        }
    }

    /// - Throws: 403 if the access does not admit this caller.
    package func check(_ access: CallerAccess, now: Instant = .now()) throws(Problem) {
        switch access {
        case .session(let freshWithin):
            guard sessionID != nil else { throw .sessionRequired }
            guard scopes.isEmpty else { throw .sessionTooNarrow }
            try checkFreshness(freshWithin, now: now)
        case .credential(let scope):
            guard let scope, !scopes.isEmpty, !scopes.contains(scope) else { return }
            throw .insufficientScope(scope)
        case .service:
            guard service != nil else { throw .serviceRequired }
        case .admin(let freshWithin):
            guard isAdmin else { throw .adminRequired }
            try checkFreshness(freshWithin, now: now)
        }
    }

    private func checkFreshness(_ limit: Duration?, now: Instant) throws(Problem) {
        guard let limit else { return }
        guard let authenticatedAt else { throw .reauthenticationRequired }
        let (age, isOverflow) = now.seconds.subtractingReportingOverflow(authenticatedAt)
        guard !isOverflow, .seconds(age) <= limit else { throw .reauthenticationRequired }
    }
}
