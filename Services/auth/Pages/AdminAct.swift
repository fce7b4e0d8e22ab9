import Web

/// An act of an administrator on a user. Its raw value is the last segment of its page.
enum AdminAct: String, CaseIterable {
    case endSessions = "end-sessions"
    case makeAdmin = "make-admin"
    case makeUser = "make-user"
    case deactivate
    case reactivate

    var change: AdminUsers.Change {
        switch self {
        case .endSessions: .endSessions
        case .makeAdmin: .role(.admin)
        case .makeUser: .role(.user)
        case .deactivate: .deactivate
        case .reactivate: .reactivate
        }
    }

    /// True if the act would change something. A user that is deactivated is reactivated first.
    func fits(_ profile: Accounts.Profile) -> Bool {
        switch self {
        case .endSessions: !profile.sessions.isEmpty
        case .makeAdmin: profile.user.role == .user && profile.user.isActive
        case .makeUser: profile.user.role == .admin
        case .deactivate: profile.user.isActive
        case .reactivate: !profile.user.isActive
        }
    }

    /// The rank of its button on the page that asks once.
    var kind: ButtonKind {
        switch self {
        case .endSessions, .makeUser, .deactivate: .danger
        case .makeAdmin, .reactivate: .primary
        }
    }
}
