import Configuration
import EventLoop
import SMTP
import TestSupport
import Values

let loop = EventLoop.spawn(name: "smtp-tests")

/// A mail sink, and clients and messages for it.
struct SMTPStage {
    let sink: MailSink

    init(_ options: MailSink.Options = MailSink.Options()) throws { sink = try MailSink(options) }

    static func configuration(_ url: String, timeout: Duration = .seconds(60)) throws -> SMTPConfiguration {
        var configuration = try SMTPConfiguration(Environment(["SMTP_URL": url, "MAIL_FROM": "SmartSpec <no-reply@example.com>"]))
        configuration.timeout = timeout
        return configuration
    }

    static func message(to recipient: String, subject: String = "Hello", text: String = "A text.\n") throws -> MailMessage {
        try MailMessage(id: .make(), date: .now(), recipient: recipient, subject: subject, text: text)
    }

    func client(login: String = "") throws -> SMTPClient {
        SMTPClient(try Self.configuration("smtp://\(login)127.0.0.1:\(sink.smtpPort)"))
    }

    /// Returns a server that greets with `greeting`, and answers each command and the end of a
    /// message with `reply`. It is silent from the first nil on, and calls `whenLeft` if the client
    /// hangs up within 10 s.
    static func server(
        greeting: String = "220 ready", whenLeft: @escaping @Sendable () -> Void = {},
        _ reply: @escaping @Sendable (_ line: String) -> String?
    ) -> ScriptedServer {
        ScriptedServer { peer in
            peer.send(greeting + "\r\n")
            var isMessage = false
            while let line = peer.line() {
                guard !isMessage || line == "." else { continue }
                guard let reply = reply(line) else {
                    if peer.waitForHangup() { whenLeft() }
                    return
                }
                isMessage = reply.hasPrefix("354")
                peer.send(reply + "\r\n")
            }
        }
    }
}
