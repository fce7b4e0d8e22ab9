import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Auth

/// Auth with a mail sink.
enum MailUnderTest {
    static func with(
        _ variables: [String: String] = [:], _ body: @escaping @Sendable (AuthUnderTest, MailSink) async throws -> Void
    ) async throws {
        let sink = try MailSink()
        let settings = ["SMTP_URL": "smtp://127.0.0.1:\(sink.smtpPort)", "REQUIRE_VERIFIED_EMAIL": "on"].merging(variables) { $1 }
        try await AuthUnderTest.with(variables: settings) { auth in try await body(auth, sink) }
    }
}

extension AuthUnderTest {
    /// Sends what is due, and returns the mails to an address.
    func mails(to address: String, _ sink: MailSink) async throws -> [MailSink.Message] {
        try await useCases.mailer.run()
        return try sink.messages(to: address)
    }

    /// The token of the newest link to a page in the mails to an address.
    func token(to address: String, _ sink: MailSink, page: String = "/verify") async throws -> String {
        let links = try await mails(to: address, sink).flatMap(\.links)
        let link = try #require(links.last { $0.hasPrefix(Self.publicURL + page + "?") })
        return try #require(link.split(separator: "=").last.map(String.init))
    }

    func mailCount() async throws -> Int64 { try await pool.withConnection { try await $0.one(CountMails()) } }
}

private struct CountMails: Statement {
    static let sql = "SELECT count(*) FROM mail"
    typealias Output = Int64
}
