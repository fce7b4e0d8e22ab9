import Text

/// An absolute URL taken apart (RFC 3986 §3): scheme, user, password, host, port, path and query. Prints without the password.
package struct URLText: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Lower case.
    package let scheme: String
    /// Percent-decoded.
    package let user: String?
    package let password: Secret?
    /// The first, when several are given. Without the brackets of an IPv6 address. May be empty, as in `postgresql:///name`.
    package let host: String
    package let port: Int?
    /// The path from its first slash on, as written; empty for a URL without a path.
    package let path: String
    /// Without the question mark.
    package let query: String?
    private let whole: Secret

    /// Returns the text as written, with the password: for the library that connects, never for a log.
    package func reveal() -> String { whole.reveal() }

    /// True if the host is this machine by its name or address: a connection to it needs no TLS.
    package var isLoopback: Bool {
        let host = host.lowercased()
        return host == "localhost" || host == "::1"
            || host.hasPrefix("127.") && host.utf8.allSatisfy { $0 == 0x2E || (0x30...0x39).contains($0) }
    }

    package init?(_ text: String) {
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), let colon = text.firstIndex(of: ":") else { return nil }
        let scheme = text[..<colon].lowercased()
        guard scheme.first?.isLetter == true, scheme.allSatisfy({ $0.isLetter || $0.isNumber || "+-.".contains($0) }) else { return nil }
        var rest = text[text.index(after: colon)...]
        guard rest.hasPrefix("//") else { return nil }
        rest = rest.dropFirst(2)

        let authorityEnd = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        var authority = rest[..<authorityEnd]
        rest = rest[authorityEnd...]
        guard !rest.contains("#") else { return nil }

        var user: String?
        var password: String?
        if let at = authority.lastIndex(of: "@") {
            let parts = authority[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentEncoding.decode(parts[0].utf8) else { return nil }
            user = name
            if parts.count == 2 {
                guard let word = PercentEncoding.decode(parts[1].utf8) else { return nil }
                password = word
            }
            authority = authority[authority.index(after: at)...]
        }

        // Several places of one service, as libpq and brokers' clients take them: the first is told, all are checked.
        var places: [(host: String, port: Int?)] = []
        for part in authority.split(separator: ",", omittingEmptySubsequences: false) {
            guard let place = Self.place(part) else { return nil }
            places.append(place)
        }
        (host, port) = places[0]
        let question = rest.firstIndex(of: "?")
        path = String(rest[..<(question ?? rest.endIndex)])
        query = question.map { String(rest[rest.index(after: $0)...]) }
        self.scheme = scheme
        self.user = user
        self.password = password.map(Secret.init)
        whole = Secret(text)
    }

    package var description: String {
        let userText = user.map { $0 + (password == nil ? "" : ":<redacted>") + "@" } ?? ""
        let hostText = host.contains(":") ? "[\(host)]" : host
        return "\(scheme)://\(userText)\(hostText)\(port.map { ":\($0)" } ?? "")\(path)"
    }

    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }

    /// `host`, `host:port`, `[address]:port`.
    private static func place(_ text: Substring) -> (host: String, port: Int?)? {
        let host: Substring
        var portText: Substring
        if text.first == "[" {
            guard let bracket = text.firstIndex(of: "]") else { return nil }
            host = text[text.index(after: text.startIndex)..<bracket]
            portText = text[text.index(after: bracket)...]
            guard !host.isEmpty, portText.isEmpty || portText.first == ":" else { return nil }
        } else {
            let colon = text.firstIndex(of: ":") ?? text.endIndex
            host = text[..<colon]
            portText = text[colon...]
            guard host.utf8.allSatisfy({ Self.isHostByte($0) }) else { return nil }
        }
        guard !portText.isEmpty else { return (String(host), nil) }
        portText = portText.dropFirst()
        guard portText.allSatisfy({ $0.isASCII && $0.isNumber }), let port = Int(portText), (1...65_535).contains(port) else { return nil }
        return (String(host), port)
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
        default: false
        }
    }
}
