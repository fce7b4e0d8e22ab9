import Postgres
import Telemetry
import Values

extension Devices {
    enum DecisionOutcome: Sendable {
        case decided
        /// Unknown, expired, or redeemed.
        case invalid
        /// Another user, or the same user, decided otherwise before.
        case conflict
        case throttled(Duration)
        case deactivated
    }

    /// Approves or denies a device. The same decision of the same user again changes nothing.
    func decide(_ typed: String, approve: Bool, by user: UserID, client: ClientInfo) async throws -> DecisionOutcome {
        let now = clock()
        if let wait = countEntry(user, client, now: now) { return .throttled(wait) }
        guard let code = UserCode(typed: typed) else { return .invalid }
        let outcome = try await pool.transaction { transaction -> DecisionOutcome in
            guard let owner = try await transaction.first(ShareUser(id: user)), owner.isActive else { return .deactivated }
            let state: DeviceGrant.State = approve ? .approved : .denied
            let find = FindDeviceGrant(userCodeHMACs: codeKeys.digests(code), now: now)
            // The second look classifies a decision that came between the first and the update.
            for _ in 0..<2 {
                guard let grant = try await transaction.first(find) else { return .invalid }
                switch grant.decide(state, by: user, now: now) {
                case .ended: return .invalid
                case .conflict: return .conflict
                case .unchanged: return .decided
                case .decide: break
                }
                let update = DecideDeviceGrant(
                    id: grant.id, state: state, decision: .init(userID: user, tokenVersion: owner.tokenVersion), now: now, client: client)
                guard try await transaction.execute(update) == 1 else { continue }
                try await transaction.commit(
                    AuditRecord(
                        event: approve ? .deviceApproved : .deviceDenied, userID: user, subject: grant.id.description, client: client,
                        now: now))
                return .decided
            }
            return .conflict
        }
        switch outcome {
        case .decided, .conflict: entryWasRight(user, client, now: now)
        case .invalid, .throttled, .deactivated: break
        }
        return outcome
    }
}
