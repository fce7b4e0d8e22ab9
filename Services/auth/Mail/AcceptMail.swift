import Contracts
import Postgres
import Values

extension Mailer {
    /// The least time between two mails of a template to a user. A balance that swings around its
    /// level causes no more mails than this.
    static let pause: Duration = .seconds(86_400)

    /// Accepts a mail that another service asks for. Adds nothing if the user is unknown, wants no
    /// such mail, or got one of its template within ``pause``.
    func accept(_ request: SendMail, in transaction: PostgresTransaction) async throws {
        let now = clock()
        let template = MailTemplate.requested(request.mail)
        guard let user = try await transaction.first(FindUser(id: request.userID)), template.concerns(user),
            let recipient = EmailAddress(user.email),
            try await transaction.execute(NoteMail(template: template, userID: user.id, now: now, notSince: now - Self.pause)) == 1
        else { return }
        try await transaction.execute(InsertMail(template: template, userID: user.id, recipient: recipient, now: now))
    }
}
