import Values

/// A person, as far as tokens are concerned.
struct User: Sendable, Equatable {
    enum Role: String, Sendable, CaseIterable { case user, admin }

    var id: UserID
    var email: String
    var fullName: String?
    var role: Role
    var plan: String
    var isActive: Bool
    /// Raised to invalidate everything that was issued before.
    var tokenVersion: Int64
    var createdAt: Instant

    var roles: [String] { role == .admin ? ["user", "admin"] : ["user"] }
}
