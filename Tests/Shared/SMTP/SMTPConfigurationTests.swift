import Configuration
import SMTP
import Testing

struct SMTPConfigurationTests {
    private func read(_ url: String, from: String = "no-reply@example.com") throws(ConfigurationError) -> SMTPConfiguration {
        try SMTPConfiguration(Environment(["SMTP_URL": url, "MAIL_FROM": from]))
    }

    @Test(arguments: [
        ("smtp://mail.example.com", SMTPConfiguration.Security.startTLS, 587), ("smtp://mail.example.com:25/", .startTLS, 25),
        ("smtps://mail.example.com", .implicitTLS, 465), ("smtp://u:p@mail.example.com", .startTLS, 587),
        ("smtp://localhost:25", .none, 25), ("smtp://LOCALHOST", .none, 587), ("smtp://127.0.0.1:8192", .none, 8_192),
        ("smtp://127.8.9.1", .none, 587), ("smtp://[::1]:25", .none, 25), ("smtp://u:p@127.0.0.1", .none, 587),
        ("smtps://127.0.0.1", .implicitTLS, 465), ("smtp://10.0.0.9?tls=none", .none, 587), ("smtp://10.0.0.9", .startTLS, 587),
        ("smtp://0127.0.0.1", .startTLS, 587), ("smtp://localhost.example.com", .startTLS, 587),
        ("smtp://127.0.0.1.nip.io", .startTLS, 587),
    ])
    func `TLS is required but for this machine and where the operator switches it off`(
        url: String, security: SMTPConfiguration.Security, port: Int
    ) throws {
        let configuration = try read(url)
        #expect(configuration.security == security)
        #expect(configuration.port == port)
    }

    @Test(arguments: [
        ("smtp://mail.example.com?tls=off", "no query, or tls=none"), ("smtps://mail.example.com?tls=none", "no query"),
        ("smtp://u:hush@mail.example.com?tls=none", "no password where tls=none"),
        ("smtp://user@mail.example.com", "both user and password"),
        ("smtp://:hush@mail.example.com", "both user and password"), ("smtp://user:@mail.example.com", "both user and password"),
        ("smtp://u:hush%0d%0aQUIT@mail.example.com", "without control characters"),
        ("smtp://u:hush%7F@mail.example.com", "without control"),
        ("smtp://", "one host"), ("smtp://a.example.com,b.example.com", "one host"), ("smtp://mail.example.com/hush", "no path"),
        ("http://mail.example.com", "smtp://"), ("smtp://mail.example.com:0", "smtp://"), ("mail.example.com:25", "smtp://"),
    ])
    func `a malformed address of the server is one line that names the variable and the rule, and shows no secret`(
        url: String, rule: String
    ) throws {
        let error = try #require(throws: ConfigurationError.self) { try read(url) }
        #expect(error.description.hasPrefix("SMTP_URL is malformed: expected "), "\(error)")
        #expect(error.description.contains(rule), "\(error)")
        #expect(!error.description.contains("hush"))
    }

    @Test(arguments: [
        "", "no-reply", "no-reply@", "@example.com", "a@b@example.com", "a b@example.com", "<a@example.com", "X <a@example.com> Y",
        "X\r\nBcc: v@example.com <a@example.com>", "X <a@example.com\r\nBcc: v@example.com>", "a@example.com\r\nBcc: v@example.com",
        "a@exämple.com", "<>", "X <>",
    ])
    func `a sender that cannot stand in a header is one line that names the variable`(from: String) throws {
        let error = try #require(throws: ConfigurationError.self) { try read("smtp://localhost", from: from) }
        #expect(error.description.hasPrefix("MAIL_FROM is "), "\(error)")
        #expect(!error.description.contains { $0.isNewline }, "\(error)")
    }

    @Test func `a sender is an address, with a name or without`() throws {
        #expect(try read("smtp://localhost", from: "a@example.com").sender.name == nil)
        let sender = try read("smtp://localhost", from: "บริษัท \"SmartSpec\"  <a@example.com>").sender
        #expect(sender.name == "บริษัท \"SmartSpec\"")
        #expect(sender.address == "a@example.com")
        #expect(sender.domain == "example.com")
    }

    @Test func `no text of the configuration shows the password`() throws {
        let configuration = try read("smtp://user:hush@mail.example.com")
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(configuration)", String(reflecting: configuration), dumped] { #expect(!text.contains("hush"), "\(text)") }
    }
}
