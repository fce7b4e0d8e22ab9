import Crypto
import EventLoop
import Postgres
import SMTP
import Telemetry
import Values

/// Sends the mails of the table `mail`. A mail is a row of the transaction that causes it.
struct Mailer: Sendable {
    let pool: PostgresPool
    let smtp: SMTPClient
    let linkKey: [UInt8]
    /// `PUBLIC_URL`: a link never takes its host from a request.
    let publicURL: String
    let metrics: MailMetrics
    let log: Logger
    let clock: @Sendable () -> Instant

    /// Sends what is due.
    func run() async throws {
        while true {
            let due = try await pool.withConnection { try await $0.query(ClaimMails(now: clock())) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for mail in due { group.addTask { try await send(mail) } }
                try await group.waitForAll()
            }
            guard due.count == ClaimMails.countMax else { return }
        }
    }

    private func send(_ mail: DueMail) async throws {
        let fields: LogFields = ["mail.id": .describing(mail.id), "template": .string(mail.templateName)]
        guard mail.createdAt + (mail.template?.life ?? MailTemplate.verifyEmail.life) > clock() else {
            metrics.expired.add()
            log.error("mail failed: no attempt succeeded in time", fields)
            // The user got no mail of the template, so the next one need not wait.
            if case .requested = mail.template, let user = mail.user {
                _ = try await pool.withConnection { try await $0.execute(ForgetMail(templateName: mail.templateName, userID: user.id)) }
            }
            return try await delete(mail)
        }
        guard let template = mail.template else {
            // A replica of the newer version may send it.
            metrics.deferred.add()
            return log.warning("mail retry", fields + ["reason": "unknown template", "tries": .integer(Int(mail.tries))])
        }
        guard let user = mail.user, template.concerns(user) else { return try await delete(mail) }
        var link = ""
        if let purpose = template.link {
            let token = OneTimeLink.token(of: mail.id, key: linkKey)
            guard let digest = OneTimeLink.digest(of: token) else { preconditionFailure("a token that was just made has its form") }
            let put = PutLink(
                userID: user.id, purpose: purpose, tokenSHA256: digest, email: mail.recipient, expiresAt: mail.createdAt + purpose.life)
            _ = try await pool.withConnection { try await $0.execute(put) }
            link = publicURL + purpose.path + "?token=" + token
        }
        let (subject, text) = template.text(MailLanguage(locale: user.preferences.locale), link: link, publicURL: publicURL)
        let message = try MailMessage(
            id: mail.id.rawValue, date: mail.createdAt, recipient: mail.recipient.text, subject: subject, text: text)
        switch try await smtp.send(message) {
        case .accepted:
            metrics.sent.add()
            log.info("mail sent", fields)
            try await delete(mail)
        case .rejected(let reply):
            metrics.rejected.add()
            log.warning("mail refused", fields + ["smtp.reply": .integer(reply)])
            try await delete(mail)
        case .deferred(let deferral):
            metrics.deferred.add()
            log.warning("mail retry", fields + ["reason": .string("\(deferral)"), "tries": .integer(Int(mail.tries))])
        }
    }

    private func delete(_ mail: DueMail) async throws {
        _ = try await pool.withConnection { try await $0.execute(DeleteMail(id: mail.id)) }
    }
}

/// The metrics of mails.
struct MailMetrics: Sendable {
    let sent: Counter
    let rejected: Counter
    let deferred: Counter
    let expired: Counter

    init(_ metrics: Metrics = .shared) {
        func mails(_ outcome: String) -> Counter {
            metrics.counter("auth_mails_total", help: "Attempts to send a mail.", labels: ["outcome": outcome])
        }
        (sent, rejected, deferred, expired) = (mails("sent"), mails("rejected"), mails("deferred"), mails("expired"))
    }
}
