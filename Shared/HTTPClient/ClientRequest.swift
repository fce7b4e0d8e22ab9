/// One request to a server that is not on the hot path: Stripe, OpenID providers, OTLP collectors, object stores.
package struct ClientRequest: Sendable {
    package var method: String
    /// `http://` or `https://`, already percent-encoded.
    package var url: String
    /// Sent in this order. `Content-Length` and `Host` are written by libcurl; nothing else is added behind the caller's back.
    package var headers: [(name: String, value: String)]
    /// nil sends no body; an empty array sends `Content-Length: 0`.
    package var body: [UInt8]?
    /// The time for the whole exchange, from the call to the last byte of the answer.
    package var timeout: Duration = .seconds(30)
    /// The time for name look-up, TCP and TLS together. It counts within ``timeout``.
    package var connectTimeout: Duration = .seconds(5)
    /// PEM file trusted *instead of* the system's authorities. The chain and the host name are checked in either case.
    package var caFile: String?
    /// Header fields and body together. A longer answer ends the request with ``ClientError/Code/tooLarge``.
    package var responseBytesMax = 4 << 20

    package init(_ method: String, _ url: String, headers: [(name: String, value: String)] = [], body: [UInt8]? = nil) {
        (self.method, self.url, self.headers, self.body) = (method, url, headers, body)
    }
}

/// An answer of any status: a 500 is an answer, not an error.
package struct ClientResponse: Sendable {
    package let status: Int
    /// The fields of the answer. Those of 1xx answers are dropped.
    package let headers: [(name: String, value: String)]
    package let body: [UInt8]

    /// The first header of that name, in any case.
    package func header(_ name: String) -> String? {
        let wanted = name.lowercased()
        return headers.first { $0.name.lowercased() == wanted }?.value
    }
}

/// No answer arrived, or not a whole one. Whether the server acted on the request is unknown unless the code says otherwise.
package struct ClientError: Error, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// The request never left: not a URL, a scheme other than http(s), a line break in a header.
        case badRequest
        /// The request never left: the name was not found, or no server listens there.
        case connectFailed
        /// The request never left: no common TLS version, or the certificate is not valid for this host.
        case tlsFailed
        case timedOut
        case closedEarly
        case tooLarge
        /// The answer is not HTTP, or breaks its rules.
        case malformed
    }

    package let code: Code
    package let message: String

    package var description: String { "\(code): \(message)" }
}
