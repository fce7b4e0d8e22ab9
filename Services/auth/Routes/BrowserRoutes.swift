import HTTP
import HTTPWire
import Identity
import Values

/// Sign-in and registration by the forms of pages. The browser gets cookies, and no token. The same
/// paths take JSON, like those below `/api/auth/`.
extension Routes {
    /// A form {email, password, next?} → 303 to `next` with the cookies.
    func submitLogin(_ request: Request) async throws -> Response {
        guard Self.isForm(request) else { return try await login(request) }
        return try await submit(request, "You are not signed in") { form in
            try await signIn(email: form.string("email"), password: form.string("password"), as: Accounts.browserOrder, request)
        }
    }

    /// A form {email, password, full_name?, next?} → 303 to `next` with the cookies.
    func submitRegister(_ request: Request) async throws -> Response {
        guard Self.isForm(request) else { return try await register(request) }
        return try await submit(request, "You are not registered") { form in
            try await register(
                email: form.string("email"), password: form.string("password"), fullName: form.optionalString("full_name"),
                as: Accounts.browserOrder, request)
        }
    }

    private func submit(_ request: Request, _ failure: String, _ grant: (Query) async throws -> Issuer.Grant) async throws -> Response {
        do {
            // No session has a CSRF token yet. Another site must not sign its visitor in to a foreign account.
            try authenticator.checkOrigin(request.headers)
            let form = try Query(request.body)
            let next = Self.localPath(try form.optionalString("next"))
            let granted = try await grant(form)
            try await endFormerSession(request)
            var headers = cookies(of: granted, ClientInfo(request))
            headers.add("location", next)
            return Response(status: 303, headers: headers)
        } catch let problem as Problem {
            return PlainPage.tell(failure, problem)
        }
    }

    /// Ends the session whose cookie is replaced, so that no session is left without a way to sign out.
    private func endFormerSession(_ request: Request) async throws {
        guard authenticator.isByCookie(request.headers),
            let former = try? await authenticator.principal(request.headers, cookie: .accepted).sessionID
        else { return }
        try await sessions.signOut(former, client: ClientInfo(request))
    }

    /// Returns the headers that give a browser its cookies.
    func cookies(of grant: Issuer.Grant, _ client: ClientInfo) -> HeaderBlock {
        guard let cookie = grant.cookie else { preconditionFailure("the session of a browser has a cookie") }
        var headers = Self.noStore
        headers.add("set-cookie", sessionCookie.setting(cookie, life: Session.absoluteLife))
        let browser = accounts.browserCookie(for: grant.user, client)
        headers.add("set-cookie", browserCookie.setting(browser.text, life: BrowserCookie.life))
        return headers
    }

    var sessionCookie: CookieAttributes { CookieAttributes(name: authenticator.cookieName, isSecure: isSecure) }
    private var browserCookie: CookieAttributes { CookieAttributes(name: BrowserCookie.name, isSecure: isSecure) }
    private var isSecure: Bool { publicURL.hasPrefix("https:") }

    private static func isForm(_ request: Request) -> Bool {
        request.headers.string(for: "content-type")?.prefix { $0 != ";" && $0 != " " }.lowercased() == "application/x-www-form-urlencoded"
    }

    /// Returns a path of this host, or `/` for anything else. A browser reads `//host` and `/\host` as
    /// another host.
    static func localPath(_ text: String?) -> String {
        guard let bytes = text?.utf8, bytes.first == UInt8(ascii: "/"), bytes.count <= 1_024,
            bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }),
            bytes.dropFirst().first != UInt8(ascii: "/"), let text
        else { return "/" }
        return text
    }
}
