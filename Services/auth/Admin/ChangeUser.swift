import Postgres
import Values

extension AdminUsers {
    enum Change: Sendable, Equatable {
        case deactivate
        case reactivate
        case role(User.Role)
        case endSessions
    }

    enum ChangeOutcome: Sendable {
        case changed(User)
        case unknown
        /// An administrator changes no own account, so that one always remains.
        case own
    }

    /// Changes a user. Idempotent. Each replica learns of it by an event.
    ///
    /// A deactivated user's sessions end. Its API keys are refused until it is reactivated.
    func change(_ id: UserID, _ change: Change, by administrator: UserID, client: ClientInfo) async throws -> ChangeOutcome {
        let now = clock()
        return try await pool.transaction { transaction in
            guard var user = try await transaction.first(LockUserRow(id: id)) else { return .unknown }
            guard id != administrator else { return .own }
            let before = user
            switch change {
            case .deactivate: user.isActive = false
            case .reactivate: user.isActive = true
            case .role(let role): user.role = role
            case .endSessions: break
            }
            if change == .deactivate || change == .endSessions {
                try await revocations.endSessions(of: id, now: now, in: transaction)
            }
            if user != before { user = try await revocations.put(user, now: now, in: transaction) }
            try await transaction.commit(
                AuditRecord(
                    event: change.events.ofAdministrator, userID: administrator, subject: id.description, client: client, now: now),
                AuditRecord(
                    event: change.events.ofUser, userID: id, subject: administrator.description, client: client, now: now))
            return .changed(user)
        }
    }
}

extension AdminUsers.Change {
    /// The trail of each of the two says who acted.
    fileprivate var events: (ofAdministrator: AuditRecord.Event, ofUser: AuditRecord.Event) {
        switch self {
        case .deactivate: (.adminDeactivatedUser, .userDeactivated)
        case .reactivate: (.adminReactivatedUser, .userReactivated)
        case .role(.admin): (.adminMadeAdmin, .userMadeAdmin)
        case .role(.user): (.adminMadeUser, .userMadeUser)
        case .endSessions: (.adminEndedSessions, .userSessionsEnded)
        }
    }
}
