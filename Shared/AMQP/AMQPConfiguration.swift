import Text

/// Where the broker is and how patient a connection to it is.
///
/// `amqp://user:password@host:port/vhost`, parts percent-encoded; several `host:port` separated by commas are tried in turn.
/// No path, or a bare `/`, is the virtual host `/`.
package struct AMQPConfiguration: Sendable {
    package struct Host: Hashable, Sendable {
        package var name: String
        package var port: Int
    }

    package var hosts: [Host]
    package var user: String
    package var password: String
    package var virtualHost: String
    package var usesTLS: Bool

    /// `llm-proxy:outbox`: shown by the broker, together with ``Instance/name``; the label `role` of metrics; names the thread.
    package var connectionName: String
    /// The `app-id` of what is sent without one: `llm-proxy/1.4.2`.
    package var appID = ""
    /// Two missed ones end the connection.
    package var heartbeat: Duration = .seconds(10)
    /// The time for each of look-up, connect, login and every declaration.
    package var connectWithin: Duration = .seconds(5)
    /// How long sent bytes may stay unacknowledged by the peer's kernel (TCP_USER_TIMEOUT).
    package var stallWithin: Duration = .seconds(10)
    /// Delays before reconnecting are random between 0 and a limit that doubles from 0.2 s up to this.
    package var reconnectWithin: Duration = .seconds(15)
    /// Extra certificate authorities (PEM file) for `amqps`; nil uses the system's.
    package var certificateAuthorities: String?
    /// Published messages whose callers wait for the confirm; more wait in the mailbox.
    package var unconfirmedMax = 512
    /// Published messages from the oldest unconfirmed one on; more wait in the mailbox.
    package var windowMax = 65_536
    /// A message without a confirm for this time makes the publisher connect again.
    package var confirmWithin: Duration = .seconds(30)
    /// The same, while the window is full. The broker then confirms later messages and withholds the
    /// oldest one. A broker that is slow with every message fills no window, because at most
    /// ``unconfirmedMax`` callers wait at once. A caller waits about this long for its confirm.
    package var confirmWithinWhenFull: Duration = .seconds(5)
    /// Accepted by a publisher or RPC client and not yet finished; one more is refused with `.saturated`.
    package var acceptedMax = 16_384

    package struct InvalidURL: Error, CustomStringConvertible {
        /// Never contains the URL: it may hold a password.
        package let description: String
    }

    package init(url: String, connectionName: String) throws(InvalidURL) {
        guard let schemeEnd = url.range(of: "://") else { throw InvalidURL(description: "expected amqp://user:password@host:port/vhost") }
        switch url[..<schemeEnd.lowerBound] {
        case "amqp": usesTLS = false
        case "amqps": usesTLS = true
        default: throw InvalidURL(description: "scheme is neither amqp nor amqps")
        }
        var rest = url[schemeEnd.upperBound...]
        guard !rest.contains("?"), !rest.contains("#") else { throw InvalidURL(description: "query and fragment are not supported") }

        virtualHost = "/"
        if let slash = rest.firstIndex(of: "/") {
            let path = rest[rest.index(after: slash)...]
            if !path.isEmpty { virtualHost = try Self.decode(path, "virtual host") }
            rest = rest[..<slash]
        }
        (user, password) = ("guest", "guest")
        if let at = rest.lastIndex(of: "@") {
            let credentials = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            user = try Self.decode(credentials[0], "user")
            password = credentials.count > 1 ? try Self.decode(credentials[1], "password") : ""
            rest = rest[rest.index(after: at)...]
        }
        hosts = []
        for part in rest.split(separator: ",", omittingEmptySubsequences: false) {
            hosts.append(try Self.host(part, defaultPort: usesTLS ? 5671 : 5672))
        }
        self.connectionName = connectionName
    }

    private static func host(_ text: Substring, defaultPort: Int) throws(InvalidURL) -> Host {
        var name = text
        var port = defaultPort
        let afterAddress = text.lastIndex(of: "]") ?? text.startIndex
        if let colon = text[afterAddress...].lastIndex(of: ":") {
            guard let number = Int(text[text.index(after: colon)...]), (1...65_535).contains(number) else {
                throw InvalidURL(description: "port is not a number from 1 to 65535")
            }
            (name, port) = (text[..<colon], number)
        }
        if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
        guard !name.isEmpty else { throw InvalidURL(description: "host is empty") }
        return Host(name: String(name), port: port)
    }

    private static func decode(_ text: Substring, _ part: String) throws(InvalidURL) -> String {
        guard let decoded = PercentEncoding.decode(text.utf8) else {
            throw InvalidURL(description: "\(part) is not properly percent-encoded UTF-8")
        }
        return decoded
    }
}

extension AMQPConfiguration: CustomStringConvertible {
    package var description: String {
        let hosts = hosts.map { "\($0.name):\($0.port)" }.joined(separator: ",")
        return "\(usesTLS ? "amqps" : "amqp")://\(user)@\(hosts)/\(virtualHost)"
    }
}

extension String {
    /// Foundation-free.
    fileprivate func range(of separator: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(separator) { return start..<index(start, offsetBy: separator.count) }
            formIndex(after: &start)
        }
        return nil
    }
}
