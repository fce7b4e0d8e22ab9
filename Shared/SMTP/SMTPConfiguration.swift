package import Configuration
import EventLoop

/// The mail server, and the sender of every message.
///
/// Environment:
/// - `SMTP_URL` (or `SMTP_URL_FILE`): required; `smtp://[user:password@]host[:port]`, port 587, or
///   `smtps://…`, port 465, which begins with TLS. With `smtp` STARTTLS and a valid certificate are
///   required. A host of this machine (`localhost`, `127.0.0.0/8`, `::1`) is served without TLS.
///   `?tls=none` sends without TLS elsewhere, and only without a password.
/// - `MAIL_FROM`: required; `address` or `Name <address>`: the field `From`, and the sender of the
///   envelope.
package struct SMTPConfiguration: Sendable {
    package enum Security: Sendable {
        case none, startTLS, implicitTLS
    }

    package let host: String
    package let port: Int
    package var security: Security
    package let login: (user: String, password: Secret)?
    package let sender: MailSender
    /// The time for one message, from the call to the reply of the server. RFC 5321 §4.5.3.2 asks
    /// for patience after the message: an attempt that ends too early may deliver it twice.
    package var timeout: Duration = .seconds(60)
    /// The time for name look-up, TCP and TLS together. It counts within ``timeout``.
    package var connectTimeout: Duration = .seconds(10)
    /// PEM file trusted instead of the system's authorities.
    package var caFile: String?

    package init(_ environment: Environment) throws(ConfigurationError) {
        let url = try environment.url("SMTP_URL", schemes: ["smtp", "smtps"])
        host = try Self.host(url)
        login = try Self.login(url)
        security = try Self.security(url)
        port = url.port ?? (security == .implicitTLS ? 465 : 587)
        let from = try environment.string("MAIL_FROM")
        do {
            sender = try MailSender(from)
        } catch {
            throw ConfigurationError(variable: "MAIL_FROM", problem: "is malformed: \(error.description)")
        }
    }

    private static func host(_ url: URLText) throws(ConfigurationError) -> String {
        // The place of the server ends the URL, but for a path and a query, which are refused or
        // have no comma.
        let isList = url.reveal().split(separator: "@").last?.contains(",") == true
        guard !url.host.isEmpty, !isList else { throw malformed("one host") }
        guard ["", "/"].contains(url.path) else { throw malformed("no path") }
        return url.host
    }

    private static func login(_ url: URLText) throws(ConfigurationError) -> (user: String, password: Secret)? {
        guard let user = url.user else { return nil }
        guard let password = url.password, !user.isEmpty, !password.reveal().isEmpty else {
            throw malformed("both user and password, or neither")
        }
        let isText = (user + password.reveal()).unicodeScalars.allSatisfy { !$0.isControl }
        guard isText else { throw malformed("user and password without control characters") }
        return (user, password)
    }

    private static func security(_ url: URLText) throws(ConfigurationError) -> Security {
        switch (url.scheme, url.query) {
        case ("smtps", nil): return .implicitTLS
        case ("smtp", nil): return isThisMachine(url.host) ? .none : .startTLS
        case ("smtp", "tls=none"):
            guard url.user == nil || isThisMachine(url.host) else { throw malformed("no password where tls=none") }
            return .none
        default: throw malformed("no query, or tls=none after smtp://")
        }
    }

    private static func isThisMachine(_ host: String) -> Bool {
        host.lowercased() == "localhost" || HostLookup.address(host, port: 25)?.scope == .loopback
    }

    private static func malformed(_ expected: String) -> ConfigurationError {
        .malformed("SMTP_URL", found: nil, expected: "smtp://user:password@host:port with \(expected)")
    }
}
