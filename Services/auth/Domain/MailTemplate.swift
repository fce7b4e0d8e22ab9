import Contracts
import JSON

/// The mails of the product.
enum MailTemplate: Hashable, Sendable {
    case verifyEmail
    case changeEmail
    case resetPassword
    case passwordChanged
    case emailChanged
    /// - Parameter provider: the name that people see.
    case identityLinked(provider: String)
    case identityUnlinked(provider: String)
    /// A mail that another service asked for, with its facts.
    case requested(RequestedMail)

    /// The mails that have no facts.
    static let plain: [MailTemplate] = [.verifyEmail, .changeEmail, .resetPassword, .passwordChanged, .emailChanged]

    /// The name in the table `mail` and in log lines.
    var name: String {
        switch self {
        case .verifyEmail: "verify_email"
        case .changeEmail: "change_email"
        case .resetPassword: "reset_password"
        case .passwordChanged: "password_changed"
        case .emailChanged: "email_changed"
        case .identityLinked: "identity_linked"
        case .identityUnlinked: "identity_unlinked"
        case .requested(let mail): mail.template.rawValue
        }
    }

    /// The facts of the mail, as a JSON object.
    var facts: [UInt8]? {
        switch self {
        case .verifyEmail, .changeEmail, .resetPassword, .passwordChanged, .emailChanged: nil
        case .identityLinked(let provider), .identityUnlinked(let provider): JSONWriter.object { $0.field("provider", provider) }
        case .requested(let mail): JSONWriter.object(mail.encodeFacts)
        }
    }

    /// Reads a template from its row. Nil if this version does not know the template, or a
    /// fact is missing.
    init?(name: String, facts: [UInt8]?) {
        if let plain = Self.plain.first(where: { $0.name == name }) {
            self = plain
            return
        }
        guard let facts, let json = try? JSONObject(facts) else { return nil }
        if let template = RequestedMail.Template(rawValue: name), let mail = try? RequestedMail(template, facts: json) {
            self = .requested(mail)
        } else if let provider = try? json.string("provider"),
            let own = [MailTemplate.identityLinked(provider: provider), .identityUnlinked(provider: provider)].first(where: {
                $0.name == name
            })
        {
            self = own
        } else {
            return nil
        }
    }

    /// Returns whether the user gets the mail, as the account is now.
    ///
    /// An address that the user has not confirmed can belong to a stranger, so it gets no balance.
    func concerns(_ user: User) -> Bool {
        switch self {
        case .verifyEmail: user.isActive && !user.isEmailVerified
        case .changeEmail, .resetPassword, .passwordChanged, .emailChanged, .identityLinked, .identityUnlinked: user.isActive
        case .requested(.lowBalance), .requested(.balanceExhausted):
            user.isActive && user.isEmailVerified && user.preferences.lowBalanceMail
        }
    }

    /// The mail is given up after this. A balance is no news after an hour.
    var life: Duration {
        if case .requested = self { .seconds(3_600) } else { .seconds(86_400) }
    }

    /// The purpose of the one-time link in the mail. Nil for a mail without a link.
    var link: OneTimeLink.Purpose? {
        switch self {
        case .verifyEmail: .verifyEmail
        case .changeEmail: .changeEmail
        case .resetPassword: .resetPassword
        case .passwordChanged, .emailChanged, .identityLinked, .identityUnlinked, .requested: nil
        }
    }
}
