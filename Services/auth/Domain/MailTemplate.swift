import Contracts
import JSON

/// The mails of the product.
enum MailTemplate: Hashable, Sendable {
    case verifyEmail
    case changeEmail
    case resetPassword
    case passwordChanged
    case emailChanged
    /// A mail that another service asked for, with its facts.
    case requested(RequestedMail)

    /// The mails that auth itself causes. They have no facts.
    static let own: [MailTemplate] = [.verifyEmail, .changeEmail, .resetPassword, .passwordChanged, .emailChanged]

    /// The name in the table `mail` and in log lines.
    var name: String {
        switch self {
        case .verifyEmail: "verify_email"
        case .changeEmail: "change_email"
        case .resetPassword: "reset_password"
        case .passwordChanged: "password_changed"
        case .emailChanged: "email_changed"
        case .requested(let mail): mail.template.rawValue
        }
    }

    /// The facts of the mail, as a JSON object.
    var facts: [UInt8]? {
        guard case .requested(let mail) = self else { return nil }
        return JSONWriter.object(mail.encodeFacts)
    }

    /// Reads a template from its row. Nil if this version does not know the template, or a
    /// fact is missing.
    init?(name: String, facts: [UInt8]?) {
        if let own = Self.own.first(where: { $0.name == name }) {
            self = own
        } else if let template = RequestedMail.Template(rawValue: name), let facts,
            let mail = try? RequestedMail(template, facts: JSONObject(facts))
        {
            self = .requested(mail)
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
        case .changeEmail, .resetPassword, .passwordChanged, .emailChanged: user.isActive
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
        case .passwordChanged, .emailChanged, .requested: nil
        }
    }
}
