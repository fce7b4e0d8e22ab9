import Postgres
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase, .serialized) struct MailerTests {
    @Test func `a mail that a server defers is sent again with the same link`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register("later@deferred.example")
            #expect(try await auth.mails(to: member.email, sink).isEmpty)
            #expect(try await auth.mailCount() == 1)
            let mail = try await auth.pool.withConnection { try await $0.one(OnlyMail()) }
            let token = OneTimeLink.token(of: mail, key: auth.useCases.mailer.linkKey)
            // Not due before its pause.
            auth.clock.advance(.seconds(14))
            try await auth.useCases.mailer.run()
            auth.clock.advance(.seconds(2))
            try await auth.useCases.mailer.run()
            let verified = try await auth.ask("POST", "/api/auth/email/verify", #"{"token":"\#(token)"}"#)
            #expect(verified.status == 204)
            // The link was used, so that the mail has nothing to say.
            auth.clock.advance(.seconds(3_600))
            try await auth.useCases.mailer.run()
            #expect(try await auth.mailCount() == 0)
        }
    }

    @Test func `a mail that a server refuses, or does not take for a day, is given up`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register("reject@refused.example")
            #expect(try await auth.mails(to: member.email, sink).isEmpty)
            #expect(try await auth.mailCount() == 0)
        }
        try await MailUnderTest.with(["SMTP_URL": "smtp://127.0.0.1:9"]) { auth, _ in
            _ = try await auth.register()
            try await auth.useCases.mailer.run()
            #expect(try await auth.mailCount() == 1)
            auth.clock.advance(.seconds(86_400))
            try await auth.useCases.mailer.run()
            #expect(try await auth.mailCount() == 0)
        }
    }

    @Test func `a mail of a template that this version does not know delays no other, and is given up after a day`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            _ = try await auth.pool.withConnection { try await $0.execute(InsertNewerMail(userID: member.id, now: auth.clock.now)) }
            #expect(try await auth.mails(to: member.email, sink).count == 1)
            #expect(try await auth.mailCount() == 1)
            auth.clock.advance(MailTemplate.verifyEmail.life)
            try await auth.useCases.mailer.run()
            #expect(try await auth.mailCount() == 0)
        }
    }

    @Test func `two replicas send a mail once`() async throws {
        try await MailUnderTest.with { auth, sink in
            var emails: [String] = []
            for _ in 0..<40 { emails.append(try await auth.register().email) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 { group.addTask { try await auth.useCases.mailer.run() } }
                try await group.waitForAll()
            }
            for email in emails { #expect(try sink.messages(to: email).count == 1) }
            #expect(try await auth.mailCount() == 0)
        }
    }

    @Test func `a user of the locale th gets Thai`() async throws {
        try await MailUnderTest.with { auth, sink in
            let member = try await auth.register()
            let changed = try await auth.ask("PATCH", "/api/auth/me", #"{"locale":"th"}"#, token: member.accessToken)
            #expect(changed.status == 200)
            let mail = try #require(try await auth.mails(to: member.email, sink).first)
            #expect(mail.subject == "ยืนยันที่อยู่อีเมลของคุณ")
            #expect(mail.links.count == 1)
        }
    }

    @Test(arguments: MailTemplate.plain + [.identityLinked(provider: "Acme"), .identityUnlinked(provider: "Acme")])
    func `each mail has a subject and a text in each language, and its link`(template: MailTemplate) {
        for language in [MailLanguage.english, .thai] {
            let (subject, text) = template.text(language, link: "https://gateway.example/x", publicURL: "")
            #expect(!subject.isEmpty && text.count > 40)
            #expect(text.contains("https://gateway.example/x") == (template.link != nil))
        }
        #expect(MailTemplate(name: template.name, facts: template.facts) == template)
    }

    @Test func `a mail about an identity names its provider`() throws {
        for template in [MailTemplate.identityLinked(provider: "Acme"), .identityUnlinked(provider: "Acme")] {
            for language in [MailLanguage.english, .thai] {
                let (subject, text) = template.text(language, link: "", publicURL: "")
                #expect(subject.contains("Acme") && text.contains("Acme"))
            }
            for facts in [nil, Array("{}".utf8), Array(#"{"provider":7}"#.utf8)] as [[UInt8]?] {
                #expect(MailTemplate(name: template.name, facts: facts) == nil)
            }
        }
    }
}

/// Adds a mail as a newer version of auth does.
private struct InsertNewerMail: Statement {
    static let sql = """
        INSERT INTO mail (id, template, facts, user_id, recipient, created_at, next_try_at)
        VALUES ($1, 'loyalty', '{}', $2, 'a@example.com', $3, $3)
        """
    var userID: UserID
    var now: Instant

    func bind(_ parameters: inout Parameters) {
        parameters.append(MailID.make())
        parameters.append(userID)
        parameters.append(now)
    }
}

private struct OnlyMail: Statement {
    static let sql = "SELECT id FROM mail"
    static func decode(_ row: inout RowReader) throws(PostgresError) -> MailID { try row.next() }
}
