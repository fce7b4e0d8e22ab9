import Crypto
import Values

/// A link in a mail that proves once who owns the mailbox.
///
/// Its token is derived from the id of the mail, so that a mail that is sent again has the same link,
/// and the database has no token.
struct OneTimeLink: Sendable, Equatable {
    enum Purpose: String, Sendable, CaseIterable {
        case verifyEmail = "verify_email"
        case changeEmail = "change_email"
        case resetPassword = "reset_password"

        var life: Duration {
            switch self {
            case .verifyEmail: .seconds(86_400)
            case .changeEmail, .resetPassword: .seconds(3_600)
            }
        }

        /// The path of the page behind the link.
        var path: String {
            switch self {
            case .verifyEmail, .changeEmail: "/verify"
            case .resetPassword: "/reset"
            }
        }
    }

    static let prefix = "sso_"

    /// The token of the link in a mail.
    /// - Parameter key: the server's, 32 bytes.
    static func token(of mail: MailID, key: [UInt8]) -> String {
        prefix + Base62.encode(hmacSHA256(key: key, mail.rawValue.bytes))
    }

    /// Returns the form of a token at rest; nil for a text that is no token.
    static func digest(of text: String) -> [UInt8]? {
        guard text.hasPrefix(prefix), Base62.decode(text.dropFirst(prefix.count), count: 32) != nil else { return nil }
        return sha256(text).bytes
    }
}

/// A mail that waits to be sent.
struct MailID: TypedID {
    let rawValue: UUIDv7
    init(rawValue: UUIDv7) { self.rawValue = rawValue }
}
