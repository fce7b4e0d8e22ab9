import Crypto
package import HTTP
package import HTTPWire

/// The key of the CSRF tokens of a browser's session: HMAC-SHA-256 of `csrf` under the secret of its
/// cookie. A page of another site cannot know it.
package struct CSRFKey: Sendable, Hashable, CustomStringConvertible {
    private static let byteCount = 32

    private let bytes: [UInt8]

    init(secret: [UInt8]) { bytes = hmacSHA256(key: secret, Array("csrf".utf8)) }

    /// Makes the token of a page. A random pad masks the key, so that each page has another text and the
    /// length of a compressed page teaches nothing (the attack BREACH).
    package func token() -> String {
        let pad = randomBytes(Self.byteCount)
        return Base64.url.encode(pad + zip(pad, bytes).map { $0 ^ $1 })
    }

    func matches(_ token: String) -> Bool {
        guard token.utf8.count <= 4 * Self.byteCount, let box = Base64.url.decode(token), box.count == 2 * Self.byteCount else {
            return false
        }
        return constantTimeEqual(zip(box[..<Self.byteCount], box[Self.byteCount...]).map { $0 ^ $1 }, bytes)
    }

    /// Never shows the key.
    package var description: String { "CSRFKey" }
}

extension Principal {
    /// Checks that a page of ours sent a request that changes something, if a cookie names its caller.
    /// A browser sends the cookie with requests of other sites too.
    ///
    /// The token comes in the header `x-csrf-token`, or in the field `csrf_token` of a form. The header
    /// `Origin` must be the origin of `PUBLIC_URL`. A request without it, or with `null`, needs
    /// `Sec-Fetch-Site: same-origin`, which no script can set.
    func checkPage(_ headers: HeaderBlock, body: [UInt8], origin: String) throws(Problem) {
        guard let csrf else { return }
        try headers.checkOrigin(origin)
        guard let token = try Self.csrfToken(headers, body), csrf.matches(token) else {
            throw .csrfFailed(
                "`csrf_token` must be the token of a page of this session; reload the page and try again.", param: "csrf_token")
        }
    }

    private static func csrfToken(_ headers: HeaderBlock, _ body: [UInt8]) throws(Problem) -> String? {
        if let token = headers.string(for: "x-csrf-token") { return token }
        guard headers.isForm else { return nil }
        return try Query(body).optionalString("csrf_token")
    }
}

extension HeaderBlock {
    /// Checks that a page below a URL sent a form.
    package func checkOrigin(of url: String) throws(Problem) { try checkOrigin(origin(ofURL: url)) }

    fileprivate func checkOrigin(_ origin: String) throws(Problem) {
        let origins = strings(for: "origin")
        // A page that sends no referrer sends the origin `null` (Fetch §3.2).
        let isHidden = origins.isEmpty || origins == ["null"]
        guard isHidden ? strings(for: "sec-fetch-site") == ["same-origin"] : origins == [origin] else {
            throw .csrfFailed("`Origin` must be \(origin); open the page at that address.", param: "origin")
        }
    }
}

extension Authenticator {
    /// Checks that a page of ours sent a form, like ``Principal`` does for the caller of a cookie.
    package func checkOrigin(_ headers: HeaderBlock) throws(Problem) { try headers.checkOrigin(origin) }
}

/// The origin of a URL as a browser writes it (RFC 6454 §6.2): scheme, host, and a port that is not the
/// default of the scheme.
package func origin(ofURL url: String) -> String {
    let parts = url.lowercased().split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3 else { return url }
    let authority = parts[2].prefix { !"/?#".contains($0) }
    let defaultPort = parts[0] == "https:" ? ":443" : ":80"
    let host = authority.hasSuffix(defaultPort) ? authority.dropLast(defaultPort.count) : authority
    return "\(parts[0])//\(host)"
}
