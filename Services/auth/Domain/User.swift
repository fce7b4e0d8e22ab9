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
    /// True once the user has proved to own the mailbox.
    var isEmailVerified = false
    var preferences = Preferences()

    /// The choices of a user for pages and mails.
    struct Preferences: Sendable, Equatable {
        /// One of ``locales``.
        var locale = "en"
        /// A name of the IANA database.
        var timeZone = "UTC"
        var lowBalanceMail = true

        static let locales = ["en", "th"]
    }

    var roles: [String] { role == .admin ? ["user", "admin"] : ["user"] }
}
