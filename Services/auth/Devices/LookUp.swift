import Postgres
import RateLimit
import Values

extension Devices {
    /// A pending device, as its user sees it before the decision.
    struct Device: Sendable {
        var grant: DeviceGrant
        var userCode: UserCode
        var client: OAuthClient?
        /// True if the request came from the network of the user who looks at it.
        var isSameNetwork: Bool
        var expiresIn: Duration
    }

    enum LookUpOutcome: Sendable {
        case found(Device)
        /// Unknown, expired, decided or redeemed: a user cannot tell these apart.
        case invalid
        /// Too many wrong codes. The next one is admitted after this time.
        case throttled(Duration)
    }

    /// Finds the pending device of a user code. It changes nothing but the count of wrong codes.
    func lookUp(_ typed: String, user: UserID, client: ClientInfo) async throws -> LookUpOutcome {
        let now = clock()
        if let wait = countEntry(user, client, now: now) { return .throttled(wait) }
        guard let code = UserCode(typed: typed), let grant = try await find(code, now: now), grant.state == .pending else {
            return .invalid
        }
        entryWasRight(user, client, now: now)
        return .found(
            Device(
                grant: grant, userCode: code, client: clients[grant.clientID],
                isSameNetwork: grant.requestedBy.network == client.network && client.network != nil, expiresIn: grant.expiresAt - now))
    }

    func find(_ code: UserCode, now: Instant) async throws -> DeviceGrant? {
        try await pool.withConnection { try await $0.first(FindDeviceGrant(userCodeHMACs: codeKeys.digests(code), now: now)) }
    }

    /// Counts the entry of a code as wrong, until it proves right.
    func countEntry(_ user: UserID, _ client: ClientInfo, now: Instant) -> Duration? {
        if let wait = limits.wrongByUser.take(user, now: now) { return wait }
        guard let wait = limits.wrongByNetwork.take(client.network ?? "", now: now) else { return nil }
        limits.wrongByUser.giveBack(user, now: now)
        return wait
    }

    func entryWasRight(_ user: UserID, _ client: ClientInfo, now: Instant) {
        limits.wrongByUser.giveBack(user, now: now)
        limits.wrongByNetwork.giveBack(client.network ?? "", now: now)
    }
}
