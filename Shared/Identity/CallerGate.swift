package import HTTP
package import HTTPWire
import JSON
package import Values

extension Authenticator {
    /// The gate of a door: it checks the credential of a request against the access of its row.
    package var gate: CallerGate<Principal> {
        CallerGate(
            known: { self.cached($0) }, identify: { headers throws(Problem) in try await self.principal(headers) },
            isStale: { self.isStale }, clock: { self.now })
    }
}

extension CallerGate where Caller == Principal {
    /// - Parameters:
    ///   - known: returns a caller that is known without waiting.
    ///   - identify: finds the caller, see ``Authenticator/principal(_:)``.
    ///   - isStale: true while revocations are too old to admit an administrator.
    ///   - clock: decides whether a sign-in is recent enough.
    package init(
        known: @escaping @Sendable (HeaderBlock) -> Principal?,
        identify: @escaping @Sendable (HeaderBlock) async throws(Problem) -> Principal,
        isStale: @escaping @Sendable () -> Bool = { false }, clock: @escaping @Sendable () -> Instant = Instant.now
    ) {
        self.init(
            known: { access, headers throws(Problem) in
                guard let caller = known(headers) else { return nil }
                try caller.check(access, now: clock())
                if access == .admin, isStale() { throw .revocationsUnavailable }
                return caller
            },
            check: { access, headers, body throws(Problem) in
                let caller =
                    access == .service
                    ? try await Self.service(headers, body, identify) : try await identify(headers)
                try caller.check(access, now: clock())
                if access == .admin, isStale() { throw .revocationsUnavailable }
                return caller
            })
    }

    /// Identifies a service. It names the user that pays in `x-on-behalf-of`, or in the member
    /// `user_id` of the body.
    private static func service(
        _ headers: HeaderBlock, _ body: [UInt8], _ identify: @Sendable (HeaderBlock) async throws(Problem) -> Principal
    ) async throws(Problem) -> Principal {
        guard !headers.contains("x-on-behalf-of") else { return try await identify(headers) }
        var headers = headers
        let named: Result<UserID?, Problem>
        do throws(Problem) { named = .success(try user(in: body)) } catch { named = .failure(error) }
        if case .success(let user?) = named { headers.add("x-on-behalf-of", user.description) }
        do throws(Problem) {
            return try await identify(headers)
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

extension Problem {
    fileprivate static var revocationsUnavailable: Problem {
        .unavailable("Revocations cannot be checked at the moment, so administrators are refused; retry later.")
    }
}

extension Principal {
    /// - Throws: 403 if the access does not admit this caller.
    package func check(_ access: CallerAccess, now: Instant = .now()) throws(Problem) {
        switch access {
        case .session(let freshWithin):
            guard sessionID != nil else { throw .sessionRequired }
            guard scopes.isEmpty else { throw .sessionTooNarrow }
            if let freshWithin, !isFresh(within: freshWithin, now: now) { throw .reauthenticationRequired }
        case .credential(let scope):
            guard let scope, !scopes.isEmpty, !scopes.contains(scope) else { return }
            throw .insufficientScope(scope)
        case .service:
            guard service != nil else { throw .serviceRequired }
        case .admin:
            guard isAdmin else { throw .adminRequired }
        }
    }

    private func isFresh(within limit: Duration, now: Instant) -> Bool {
        guard let authenticatedAt else { return false }
        let (age, isOverflow) = now.seconds.subtractingReportingOverflow(authenticatedAt)
        return !isOverflow && .seconds(age) <= limit
    }
}
