/// Where a pool connects to: `http://host:port` or `https://host:port`, without a path.
package struct Origin: Hashable, Sendable, CustomStringConvertible {
    package enum Scheme: String, Sendable { case http, https }

    package let scheme: Scheme
    /// A DNS name, an IPv4 address or an IPv6 address without brackets; lower case.
    package let host: String
    package let port: UInt16

    package init(scheme: Scheme, host: String, port: UInt16) {
        (self.scheme, self.host, self.port) = (scheme, host.lowercased(), port)
    }

    /// Reads `https://api.example.com`, `http://127.0.0.1:8190` or `http://[::1]:80`; one trailing slash is allowed, a path, user
    /// name or white space is not.
    package init?(_ text: String) {
        var rest = text[...]
        guard let scheme = Scheme(rawValue: String(rest.prefix { $0 != ":" }).lowercased()) else { return nil }
        rest = rest.dropFirst(scheme.rawValue.utf8.count)
        guard rest.hasPrefix("://") else { return nil }
        rest = rest.dropFirst(3)
        if rest.hasSuffix("/") { rest.removeLast() }
        var port: UInt16 = scheme == .http ? 80 : 443
        let host: Substring
        if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            host = rest[rest.index(after: rest.startIndex)..<end]
            guard host.utf8.allSatisfy({ Self.isHexadecimal($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") }) else { return nil }
            rest = rest[rest.index(after: end)...]
        } else {
            host = rest.prefix { $0 != ":" }
            guard host.utf8.allSatisfy({ Self.isNameByte($0) }) else { return nil }
            rest = rest[host.endIndex...]
        }
        if rest.hasPrefix(":") {
            guard rest.dropFirst().utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt16(rest.dropFirst()) else {
                return nil
            }
            port = number
            rest = rest[rest.endIndex...]
        }
        guard !host.isEmpty, rest.isEmpty, port > 0 else { return nil }
        self.init(scheme: scheme, host: String(host), port: port)
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
        default: false
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"): true
        default: false
        }
    }

    /// The value of a `Host` header: with the port only if it is not the scheme's own.
    package var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        let isDefault = port == (scheme == .http ? 80 : 443)
        return isDefault ? name : "\(name):\(port)"
    }

    package var description: String { "\(scheme.rawValue)://\(authority)" }
}
