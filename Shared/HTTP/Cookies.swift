package import HTTPWire

/// The use that a row makes of a browser's session cookie.
package enum CookieUse: Sendable, Hashable {
    /// The row does not read the cookie. Its clients send their credential in a header.
    case ignored
    /// The cookie names the caller.
    case accepted
    /// The cookie names the caller. The request changes something, so it must prove that a page of ours
    /// sent it.
    case acceptedWithProof
}

extension RouteRow {
    /// The use of the cookie, which follows from paths and method. Pages and `/api/*` accept it.
    package var cookie: CookieUse {
        guard paths.allSatisfy(Self.acceptsCookie) else { return .ignored }
        return method == .get || method == .head ? .accepted : .acceptedWithProof
    }

    /// Returns whether a path may accept the cookie. Programs call the other paths.
    package static func acceptsCookie(_ path: String) -> Bool {
        !["/v1/", "/oauth/", "/.well-known/"].contains { path.hasPrefix($0) }
    }
}

extension HeaderBlock {
    /// Returns the value of the first cookie of that name (RFC 6265 §4.2.1).
    package func cookie(_ name: String) -> ArraySlice<UInt8>? {
        guard !name.isEmpty else { return nil }
        for index in 0..<count where isNamed("cookie", at: index) {
            for pair in value(at: index).split(separator: UInt8(ascii: ";")) {
                let pair = pair.drop { $0 == UInt8(ascii: " ") }
                guard pair.starts(with: name.utf8) else { continue }
                let rest = pair.dropFirst(name.utf8.count)
                if rest.first == UInt8(ascii: "=") { return rest.dropFirst() }
            }
        }
        return nil
    }
}

/// The attributes of a cookie of ours (RFC 6265 §4.1): for this host only, out of reach of scripts, and
/// sent by other sites with links only.
package struct CookieAttributes: Sendable {
    private let name: String
    private let isSecure: Bool

    /// - Parameter isSecure: true where the gateway is reached over HTTPS.
    package init(name: String, isSecure: Bool) { (self.name, self.isSecure) = (name, isSecure) }

    /// Returns the value of `Set-Cookie` that sets the cookie.
    package func setting(_ value: String, life: Duration) -> String {
        "\(name)=\(value); Path=/; Max-Age=\(life.components.seconds); HttpOnly; SameSite=Lax\(isSecure ? "; Secure" : "")"
    }

    /// Returns the value of `Set-Cookie` that removes the cookie.
    package var removal: String { setting("", life: .zero) }
}
