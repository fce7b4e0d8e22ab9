import Glibc
import JSON

/// The mail sink of the local stack, as a process of its own on free ports.
package final class MailSink: Sendable {
    package let httpPort: Int
    package let smtpPort: Int
    /// 0 without ``Options/certificate``.
    package let smtpsPort: Int
    private let process: PipedProcess

    package static let program = TestDatabase.packageRoot + "/Tests/Simulators/mail/mail_sink.py"

    package struct Options {
        /// Offers STARTTLS, and opens ``MailSink/smtpsPort``.
        package var certificate: TestCertificate?
        /// `user:password`, without which a message is refused.
        package var login: String?

        package init(certificate: TestCertificate? = nil, login: String? = nil) {
            (self.certificate, self.login) = (certificate, login)
        }
    }

    /// Starts the sink, and returns when it listens.
    package init(_ options: Options = Options()) throws {
        var environment = ["HTTP_PORT=0", "SMTP_PORT=0"]
        if let certificate = options.certificate {
            environment += [
                "TLS_CERTIFICATE=\(certificate.certificate)", "TLS_KEY=\(certificate.key)", "SMTPS_PORT=0",
            ]
        }
        if let login = options.login { environment.append("SMTP_LOGIN=\(login)") }
        process = try PipedProcess(["/usr/bin/env"] + environment + [Self.program])
        // One line: {"http": 40001, "smtp": 40002, "smtps": 40003}
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(process.output, &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
        let ports = String(decoding: line, as: UTF8.self).split { !$0.isNumber }.compactMap { Int($0) }
        guard ports.count >= 2 else {
            process.kill()
            throw ChildProcess.Failure(description: "the mail sink did not start: is python3-aiosmtpd installed?")
        }
        (httpPort, smtpPort, smtpsPort) = (ports[0], ports[1], ports.count > 2 ? ports[2] : 0)
    }

    deinit { process.kill() }

    package struct Message: Equatable {
        package var subject: String
        package var text: String
        /// The http(s) addresses in the text, in their order.
        package var links: [String]

        package init(subject: String, text: String, links: [String]) { (self.subject, self.text, self.links) = (subject, text, links) }
    }

    /// Returns the messages of a recipient, oldest first.
    package func messages(to recipient: String) throws -> [Message] {
        let connection = RawClient(port: httpPort)
        connection.send("GET /messages?to=\(recipient) HTTP/1.0\r\n\r\n")
        _ = connection.readToEnd(within: 30_000)
        guard let answer = connection.answers.first, answer.status == 200 else {
            throw ChildProcess.Failure(description: "the mail sink answered: \(connection.text.prefix(500))")
        }
        return try Self.messages(in: answer.body)
    }

    /// Reads an answer of the sink.
    package static func messages(in body: [UInt8]) throws -> [Message] {
        guard let messages = try JSONValue(body).array else { throw ChildProcess.Failure(description: "the answer is no array") }
        return try messages.map { message in
            guard case .object(let message) = message else { throw ChildProcess.Failure(description: "a message is no object") }
            let links = try message.array("links").map { if case .string(let link) = $0 { link } else { "" } }
            return Message(subject: try message.string("subject"), text: try message.string("text"), links: links)
        }
    }
}
