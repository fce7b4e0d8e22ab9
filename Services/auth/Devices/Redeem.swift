import Postgres
import RateLimit
import Telemetry
import Values

extension Devices {
    enum PollOutcome: Sendable {
        case signedIn(Issuer.Tokens)
        case pending
        /// The client must wait this long between two polls from now on.
        case slowDown(Duration)
        case denied
        case expired
        /// Unknown, another client's, redeemed before, or its user may not sign in.
        case invalid
    }

    /// Answers a poll of a device, and redeems an approved code for a session, once.
    /// - Parameter isProbe: see ``DeviceGrant/poll(now:isProbe:)``.
    func poll(_ deviceCode: String, of oauthClient: OAuthClient, isProbe: Bool, client: ClientInfo) async throws -> PollOutcome {
        let now = clock()
        guard let digest = Self.digest(ofDeviceCode: deviceCode) else { return unknown(client, now: now) }
        let step: Step = try await pool.transaction { transaction in
            let (_, found) = try await transaction.pipeline(LimitLockWait(), LockDeviceGrant(deviceCodeSHA256: digest))
            guard let grant = found.first, grant.clientID == oauthClient.id else { return .unknown }
            switch grant.poll(now: now, isProbe: isProbe) {
            case .pending(let next):
                if next != grant { try await transaction.commit(PollDeviceGrant(grant: next)) }
                return .answer(.pending)
            case .slowDown(let next):
                if next != grant { try await transaction.commit(PollDeviceGrant(grant: next)) }
                return .answer(.slowDown(next.pollInterval))
            case .denied: return .answer(.denied)
            case .expired: return .answer(.expired)
            case .used: return .answer(.invalid)
            case .replayed:
                if let session = grant.sessionID {
                    try await sessions.end(session, as: .deviceCodeReplayed, client: client, now: now, in: transaction)
                }
                return .answer(.invalid)
            case .redeem: return try await redeem(grant, client: client, now: now, in: transaction)
            }
        }
        switch step {
        case .unknown: return unknown(client, now: now)
        case .answer(let outcome): return outcome
        case .sign(let grant):
            metrics.deviceCodesRedeemed.add()
            return .signedIn(try issuer.sign(grant))
        }
    }

    /// The result of the transaction.
    private enum Step {
        case unknown
        case answer(PollOutcome)
        case sign(Issuer.Grant)
    }

    private func redeem(
        _ device: DeviceGrant, client: ClientInfo, now: Instant, in transaction: PostgresTransaction
    ) async throws -> Step {
        guard let decision = device.decision, let user = try await transaction.first(ShareUser(id: decision.userID)),
            user.tokenVersion == decision.tokenVersion
        else { return .answer(.invalid) }
        let order = Issuer.SessionOrder(clientID: device.clientID, scope: device.scope, isDevice: true, deviceName: device.deviceName)
        guard case .success(let grant) = try await issuer.begin(order, for: user, client, now: now, in: transaction) else {
            return .answer(.invalid)
        }
        // The row is locked and was approved, so that this is the only redemption.
        guard try await transaction.execute(RedeemDeviceGrant(id: device.id, session: grant.session.id, now: now)) == 1 else {
            throw PostgresError(.typeMismatch, "an approved device grant was not redeemed")
        }
        try await transaction.commit(
            AuditRecord(event: .deviceRedeemed, userID: user.id, subject: grant.session.id.description, client: client, now: now))
        return .sign(grant)
    }

    /// Random codes are slowed down, so that they do not load the database.
    private func unknown(_ client: ClientInfo, now: Instant) -> PollOutcome {
        limits.unknownPolls.take(client.network ?? "", now: now).map { .slowDown(max($0, .seconds(5))) } ?? .invalid
    }
}
