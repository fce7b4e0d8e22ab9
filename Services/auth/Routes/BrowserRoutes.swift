import HTTP
import HTTPWire
import Identity
import Text
import Values
import Web

/// Sign-in, registration and sign-out of browsers, by the forms of pages. A browser gets cookies, and no
/// token. `/login` and `/register` take JSON too, like those below `/api/auth/`.
extension Routes {
    /// Leads to the first page of a user, or to the sign-in.
    func showStart(_ request: Request) async throws -> Response {
        site.viewer(request).seeOther(try await isSignedIn(request) ? Place.dashboard.link : "/login")
    }

    private func isSignedIn(_ request: Request) async throws -> Bool {
        guard authenticator.isByCookie(request.headers) else { return false }
        do throws(Problem) {
            return try await authenticator.principal(request.headers, cookie: .accepted).sessionID != nil
        } catch  where error.status < 500 {
            return false
        }
    }

    private var providers: [OpenIDProvider] { externalIdentities.providers.all }

    // MARK: Sign-in

    /// `next` (the page afterwards), `again` (for a user who is signed in), `done=signed_out`.
    func showLogin(_ request: Request) async throws -> Response {
        let (next, isAgain) = (Link(request.query["next"] ?? "") ?? "/", request.query["again"] != nil)
        let viewer = site.viewer(request)
        if !isAgain, try await isSignedIn(request) { return viewer.seeOther(next) }
        return SignInPage(
            viewer: viewer, next: next, isAgain: isAgain, isSignedOut: request.query["done"] == "signed_out",
            providers: providers
        ).show()
    }

    /// A form {email, password, next?, again?} → 303 to `next` with the cookies.
    func submitLogin(_ request: Request) async throws -> Response {
        guard request.headers.isForm else { return try await login(request) }
        // No session has a CSRF token yet. Another site must not sign its visitor in to a foreign account.
        try authenticator.checkOrigin(request.headers)
        var sent = try FormInput(request)
        let viewer = site.viewer(request)
        let page = SignInPage(viewer: viewer, next: Link(sent["next"]) ?? "/", isAgain: sent.isOn("again"), providers: providers)
        let strings = SignInStrings(language: viewer.language)
        if sent["email"].isEmpty { sent.refuse("email", strings.emailMissing) }
        if sent["password"].isEmpty { sent.refuse("password", strings.passwordMissing) }
        guard sent.isFine else { return page.show(sent, status: 400) }
        guard Self.mayBeCredentials(sent["email"], sent["password"]) else {
            sent.refuse("password", strings.wrong)
            return page.show(sent, status: 401)
        }
        let (order, client) = (await browserOrder(request), ClientInfo(request))
        switch try await accounts.signIn(email: sent["email"], password: sent["password"], as: order, client: client) {
        case .signedIn(let grant): return enter(grant, page.next, request)
        case .wrongCredentials:
            sent.refuse("password", strings.wrong)
            return page.show(sent, status: 401)
        case .deactivated:
            sent.refuse("email", strings.deactivated)
            return page.show(sent, status: 403)
        case .throttled(let wait):
            sent.refuse("password", strings.tooMany(wait: viewer.length(wait)))
            return page.show(sent, status: 429).retry(after: wait)
        }
    }

    // MARK: Registration

    func showRegister(_ request: Request) async throws -> Response {
        let next = Link(request.query["next"] ?? "") ?? "/"
        let viewer = site.viewer(request)
        if try await isSignedIn(request) { return viewer.seeOther(next) }
        return RegisterPage(viewer: viewer, next: next, providers: providers).show()
    }

    /// A form {email, password, full_name?, time_zone?, next?} → 303 to `next` with the cookies. The
    /// account has the language of the page.
    func submitRegister(_ request: Request) async throws -> Response {
        guard request.headers.isForm else { return try await register(request) }
        try authenticator.checkOrigin(request.headers)
        var sent = try FormInput(request)
        let viewer = site.viewer(request)
        let page = RegisterPage(viewer: viewer, next: Link(sent["next"]) ?? "/", providers: providers)
        let (strings, fields) = (RegisterStrings(language: viewer.language), FieldStrings(language: viewer.language))
        let name = sent.fullName("full_name", fields)
        let email = sent.email("email", missing: strings.emailMissing, fields)
        if let refusal = PasswordPolicy.refusal(of: sent["password"], for: email ?? .nobody) {
            sent.refuse("password", fields.password(refusal))
        }
        guard sent.isFine, let email else { return page.show(sent, status: 400) }
        let preferences = User.Preferences(locale: viewer.language.rawValue, timeZone: try await knownZone(sent["time_zone"]))
        let registration = Accounts.Registration(
            email: email, password: sent["password"], fullName: name, preferences: preferences)
        switch try await accounts.register(registration, as: await browserOrder(request), client: ClientInfo(request)) {
        case .registered(let grant): return enter(grant, page.next, request)
        case .emailTaken:
            sent.refuse("email", strings.emailTaken)
            return page.show(sent, status: 409)
        case .throttled(let wait):
            try await Self.slowDown()
            sent.refuse("email", strings.tooMany(wait: viewer.length(wait)))
            return page.show(sent, status: 429).retry(after: wait)
        }
    }

    /// Returns a zone of the database, or UTC: the browser sends it by itself, so no person can mend it.
    private func knownZone(_ text: String) async throws -> String {
        try await accounts.isTimeZone(text) ? text : User.Preferences().timeZone
    }

    // MARK: Sign-out

    /// Ends the session of the cookie → 303 to the sign-in. A cookie whose session has ended before is
    /// removed.
    func submitLogout(_ request: Request, caller: Result<Principal, Problem>) async throws -> Response {
        if let session = try signedIn(caller)?.sessionID { try await sessions.signOut(session, client: ClientInfo(request)) }
        var response = site.viewer(request).seeOther(Link("/login").with("done", "signed_out"))
        response.headers.add("set-cookie", sessionCookie.removal)
        return response
    }

    /// A form {language, next?} → 303 to `next`. The browser keeps the language, and so does the account
    /// of a user who is signed in.
    func submitLanguage(_ request: Request, caller: Result<Principal, Problem>) async throws -> Response {
        try authenticator.checkOrigin(request.headers)
        let sent = try FormInput(request)
        guard let language = Language(rawValue: sent["language"]) else {
            throw Problem.invalidRequest("`language` must be one of: en, th.", param: "language")
        }
        // The pages for people who are not signed in have no token, and a person who is signed in sees them too.
        if case .success(let principal) = caller {
            _ = try await accounts.changeProfile(of: principal.userID, client: ClientInfo(request)) {
                $0.preferences.locale = language.rawValue
            }
        }
        return remember(language, in: site.viewer(request).seeOther(Link(sent["next"]) ?? "/"))
    }

    /// The answer with the cookie in which the browser keeps a language.
    func remember(_ language: Language, in response: Response) -> Response {
        var response = response
        response.headers.add("set-cookie", languageCookie.setting(language.rawValue, life: BrowserCookie.life))
        return response
    }

    /// Returns the caller, or nil for a browser that is not signed in.
    /// - Throws: 403 for a form of another site, 503 if the cookie cannot be checked now.
    private func signedIn(_ caller: Result<Principal, Problem>) throws(Problem) -> Principal? {
        switch caller {
        case .success(let principal): return principal
        case .failure(let problem) where problem.status == 401: return nil
        case .failure(let problem): throw problem
        }
    }

    // MARK: Cookies

    /// The order of a browser's session, which replaces the one that the browser has.
    func browserOrder(_ request: Request) async -> Issuer.SessionOrder {
        var order = Accounts.browserOrder
        if authenticator.isByCookie(request.headers) {
            order.replaced = try? await authenticator.principal(request.headers, cookie: .accepted).sessionID
        }
        return order
    }

    /// Leads the browser of a session that has begun to a page.
    func enter(_ grant: Issuer.Grant, _ next: Link, _ request: Request) -> Response {
        var response = site.viewer(request).seeOther(next)
        response.headers.add(cookies(of: grant, ClientInfo(request)))
        // The pages follow the account, whatever the browser showed before.
        return remember(Language(rawValue: grant.user.preferences.locale) ?? .en, in: response)
    }

    /// Returns the headers that give a browser its cookies.
    func cookies(of grant: Issuer.Grant, _ client: ClientInfo) -> HeaderBlock {
        guard let cookie = grant.cookie else { preconditionFailure("the session of a browser has a cookie") }
        var headers: HeaderBlock = [:]
        headers.add("set-cookie", sessionCookie.setting(cookie, life: Session.absoluteLife))
        let browser = accounts.browserCookie(for: grant.user, client)
        headers.add("set-cookie", browserCookie.setting(browser.text, life: BrowserCookie.life))
        return headers
    }

    var sessionCookie: CookieAttributes { CookieAttributes(name: authenticator.cookieName, isSecure: isSecure) }
    private var browserCookie: CookieAttributes { CookieAttributes(name: BrowserCookie.name, isSecure: isSecure) }
    private var languageCookie: CookieAttributes { CookieAttributes(name: Language.cookieName, isSecure: isSecure) }
    var isSecure: Bool { publicURL.hasPrefix("https:") }
}

extension FormInput {
    /// Reads an email address, or notes its error.
    mutating func email(_ field: String, missing: String, _ strings: FieldStrings) -> EmailAddress? {
        let text = self[field].trimmed
        if text.isEmpty {
            refuse(field, missing)
            return nil
        }
        let email = EmailAddress(text)
        if email == nil { refuse(field, strings.malformedEmail) }
        return email
    }

    /// Reads a name of a person, or notes its error.
    mutating func fullName(_ field: String, _ strings: FieldStrings) -> String? {
        read(field, strings.malformedName, Routes.fullName) ?? nil
    }

    /// Reads a field, or notes the error with this message.
    mutating func read<Value>(_ field: String, _ message: String, _ body: (String) throws(Problem) -> Value) -> Value? {
        do throws(Problem) {
            return try body(self[field].trimmed)
        } catch {
            refuse(field, message)
            return nil
        }
    }

    /// Reads a field that may be empty, or notes the error with this message.
    mutating func readOptional<Value>(_ field: String, _ message: String, _ body: (String) throws(Problem) -> Value) -> Value? {
        self[field].trimmed.isEmpty ? nil : read(field, message, body)
    }
}

extension Response {
    /// The answer with the time after which a browser or a program may try again.
    func retry(after wait: Duration) -> Response {
        var response = self
        response.headers.add("retry-after", Int(wait.fractionalSeconds.rounded(.up)))
        return response
    }
}
