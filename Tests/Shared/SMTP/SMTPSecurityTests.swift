import Configuration
import Glibc
import SMTP
import TestSupport
import Testing

/// TLS and the login.
@Suite(.timeLimit(.minutes(1)))
struct SMTPSecurityTests {
    private func outcome(_ configuration: SMTPConfiguration, trusting certificate: TestCertificate? = nil) async throws
        -> SMTPClient.Outcome
    {
        var configuration = configuration
        configuration.caFile = certificate?.certificate
        return try await SMTPClient(configuration).send(SMTPStage.message(to: "a@example.com"))
    }

    /// Returns the configuration of a server elsewhere, with the port of one on this machine.
    private func startTLS(_ url: String) throws -> SMTPConfiguration {
        var configuration = try SMTPStage.configuration(url)
        configuration.security = .startTLS
        return configuration
    }

    @Test func `a server with a valid certificate gets the message by STARTTLS and by TLS from the start`() async throws {
        let certificate = try TestCertificate()
        let stage = try SMTPStage(MailSink.Options(certificate: certificate))
        let starting = try startTLS("smtp://localhost:\(stage.sink.smtpPort)")
        #expect(try await outcome(starting, trusting: certificate) == .accepted(reply: 250))
        let implicit = try SMTPStage.configuration("smtps://localhost:\(stage.sink.smtpsPort)")
        #expect(try await outcome(implicit, trusting: certificate) == .accepted(reply: 250))
        #expect(try stage.sink.messages(to: "a@example.com").count == 2)
    }

    @Test(arguments: [("DNS:localhost", 2, false), ("DNS:other.example", 2, true), ("DNS:localhost", -1, true)])
    func `a server whose certificate is unknown, for another host or expired gets nothing`(
        names: String, days: Int, isTrusted: Bool
    ) async throws {
        let certificate = try TestCertificate(names: names, days: days)
        let stage = try SMTPStage(MailSink.Options(certificate: certificate))
        let trusted = isTrusted ? certificate : nil
        #expect(
            try await outcome(startTLS("smtp://localhost:\(stage.sink.smtpPort)"), trusting: trusted) == .deferred(.insecure))
        #expect(
            try await outcome(SMTPStage.configuration("smtps://localhost:\(stage.sink.smtpsPort)"), trusting: trusted)
                == .deferred(.insecure))
        #expect(try stage.sink.messages(to: "a@example.com") == [])
    }

    @Test func `a server without STARTTLS gets neither password nor message where it is required`() async throws {
        let stage = try SMTPStage(MailSink.Options(login: "user:hush"))
        #expect(try await outcome(startTLS("smtp://user:hush@localhost:\(stage.sink.smtpPort)")) == .deferred(.insecure))
        #expect(try stage.sink.messages(to: "a@example.com") == [])
    }

    @Test func `a server takes the message with the right login only`() async throws {
        let stage = try SMTPStage(MailSink.Options(login: "us er:hu@sh"))
        let message = try SMTPStage.message(to: "a@example.com")
        #expect(try await stage.client(login: "us%20er:wrong@").send(message) == .deferred(.loginRefused))
        #expect(try await stage.client().send(message) == .deferred(.reply(530)))
        #expect(try await stage.client(login: "us%20er:hu%40sh@").send(message) == .accepted(reply: 250))
        #expect(try stage.sink.messages(to: "a@example.com").count == 1)
    }

    @Test func `a proxy of the environment is not asked`() async throws {
        let stage = try SMTPStage()
        let proxy = ScriptedServer { _ in }
        setenv("all_proxy", "http://127.0.0.1:\(proxy.port)", 1)
        defer { unsetenv("all_proxy") }
        #expect(try await stage.client().send(SMTPStage.message(to: "a@example.com")) == .accepted(reply: 250))
        #expect(proxy.connections == 0)
    }
}
