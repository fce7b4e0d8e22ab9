/// One exchange with a server. The clients on top of this module check each part before.
package struct CurlRequest: Sendable {
    package enum Content: Sendable {
        /// A line is `Name: value`. `Name;` sends an empty value, and `Name:` removes a field that
        /// libcurl adds.
        case http(method: String, headerLines: [String], body: [UInt8]?)
        case mail(Mail)
    }

    /// A message and its envelope (RFC 5321).
    package struct Mail: Sendable {
        package var sender: String
        package var recipient: String
        package var message: [UInt8]
        /// Nil sends the message without a login.
        package var login: (user: String, password: String)?
        /// True ends the exchange before the login if the server does not offer STARTTLS.
        package var requiresSTARTTLS: Bool

        package init(
            sender: String, recipient: String, message: [UInt8], login: (user: String, password: String)?, requiresSTARTTLS: Bool
        ) {
            (self.sender, self.recipient, self.message) = (sender, recipient, message)
            (self.login, self.requiresSTARTTLS) = (login, requiresSTARTTLS)
        }
    }

    package var url: String
    package var content: Content
    /// The time for the whole exchange.
    package var timeout: Duration
    /// The time for name look-up, TCP and TLS together. It counts within ``timeout``.
    package var connectTimeout: Duration
    /// PEM file trusted *instead of* the system's authorities. The chain and the host name are
    /// checked in either case.
    package var caFile: String?
    /// Header lines and body together. More of them end the exchange with
    /// ``CurlFailure/Code/tooLarge``.
    package var responseBytesMax: Int

    package init(
        url: String, content: Content, timeout: Duration, connectTimeout: Duration, caFile: String?, responseBytesMax: Int
    ) {
        (self.url, self.content, self.caFile) = (url, content, caFile)
        (self.timeout, self.connectTimeout, self.responseBytesMax) = (timeout, connectTimeout, responseBytesMax)
    }
}

/// The answer of the server.
package struct CurlAnswer: Sendable {
    /// The last status (HTTP) or reply code (SMTP).
    package let status: Int
    /// The lines of all heads (HTTP) or replies (SMTP), in their order.
    package let headerLines: [String]
    package let body: [UInt8]
}

/// The reason of libcurl for an exchange without an answer.
package struct CurlFailure: Error {
    package enum Code: Sendable, Equatable {
        /// libcurl refused the request before it was sent.
        case badRequest
        case connectFailed
        /// No common TLS version, a certificate that is not valid for this host, or no STARTTLS
        /// where it is required.
        case tlsFailed
        case timedOut
        /// Bytes could not be sent, or the mail server refused the sender, the recipient or the
        /// command DATA.
        case sendFailed
        case closedEarly
        case tooLarge
        /// The answer breaks the rules of the protocol, or is an error reply where libcurl expects
        /// none.
        case malformed
        /// The server refused user and password.
        case loginRefused
        /// The caller of ``CurlTransfer/perform(unless:)`` abandoned the exchange.
        case abandoned
    }

    package let code: Code
    /// The words of libcurl. They may quote the server.
    package let message: String
    /// The last status or reply code; 0 if the server sent none.
    package let status: Int
    /// True if libcurl has taken the whole message to send it.
    package let isMessageSent: Bool
}
