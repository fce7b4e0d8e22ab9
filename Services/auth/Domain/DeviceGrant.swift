import Values

/// The request of a device to be signed in; safe to log.
struct DeviceGrantID: TypedID {
    let rawValue: UUIDv7
    init(rawValue: UUIDv7) { self.rawValue = rawValue }
}

/// A device that asks to be signed in (RFC 8628). It is decided by values: each function returns what
/// happens next, and the changed grant where there is a change.
struct DeviceGrant: Sendable, Equatable {
    enum State: String, Sendable, CaseIterable { case pending, approved, denied, redeemed }

    var id: DeviceGrantID
    var clientID: String
    /// Names of scopes, separated by blanks. Empty for all.
    var scope: String
    /// The name that the client gives the device. Nil if it gives none.
    var deviceName: String?
    var requestedBy: ClientInfo
    var state: State
    /// The user who decided, with the version of its tokens at that time.
    var decision: Decision?
    /// The session that the code was redeemed for.
    var sessionID: SessionID?
    var redeemedAt: Instant?
    /// The time that a client must wait between two polls.
    var pollInterval: Duration
    /// The last poll that was not too early.
    var lastPolledAt: Instant?
    /// The last time that ``pollInterval`` grew.
    var slowedAt: Instant?
    var createdAt: Instant
    var expiresAt: Instant

    struct Decision: Sendable, Equatable {
        var userID: UserID
        var tokenVersion: Int64
    }

    static let life: Duration = .seconds(600)
    static let firstPollInterval: Duration = .seconds(5)
    static let pollIntervalMax: Duration = .seconds(60)
    /// A poll may be this much too early: clocks and networks are not exact.
    static let pollTolerance: Duration = .milliseconds(750)
    /// A decision so shortly before the end would reach no client.
    static let decidedBeforeEnd: Duration = .seconds(2)
    /// A code that is presented so soon after it was redeemed is a repeated poll, not a theft.
    static let replayTolerance: Duration = .seconds(10)

    // MARK: Polling

    enum Poll: Equatable {
        case pending(DeviceGrant)
        case slowDown(DeviceGrant)
        case denied
        case expired
        case redeem
        case used
        /// A second party has the code: the session that it was redeemed for ends.
        case replayed
    }

    /// Decides a poll. The throttle applies to a pending grant only: an impatient client gets its
    /// tokens as soon as they are approved.
    /// - Parameter isProbe: true for the first of two requests of a client that tries whether the
    ///   server takes its id from the Authorization header. It does not count.
    func poll(now: Instant, isProbe: Bool) -> Poll {
        switch state {
        case .redeemed:
            return redeemedAt.map { now > $0 + Self.replayTolerance } ?? false ? .replayed : .used
        case _ where now >= expiresAt: return .expired
        case .denied: return .denied
        case .approved: return .redeem
        case .pending: break
        }
        var next = self
        if isProbe { return .pending(next) }
        if let lastPolledAt, now < lastPolledAt + pollInterval - Self.pollTolerance {
            if slowedAt.map({ now >= $0 + pollInterval }) ?? true {
                next.pollInterval = min(pollInterval + .seconds(5), Self.pollIntervalMax)
                next.slowedAt = now
            }
            return .slowDown(next)
        }
        next.lastPolledAt = now
        return .pending(next)
    }

    // MARK: Deciding

    enum Answer: Equatable {
        case decide
        /// The same user decided the same before.
        case unchanged
        /// Another user, or the same user otherwise.
        case conflict
        case ended
    }

    func decide(_ state: State, by user: UserID, now: Instant) -> Answer {
        switch self.state {
        case .redeemed: return decision?.userID == user && state == .approved ? .unchanged : .ended
        case _ where now >= expiresAt - Self.decidedBeforeEnd: return .ended
        case .pending: return .decide
        case .approved, .denied: return self.state == state && decision?.userID == user ? .unchanged : .conflict
        }
    }
}
