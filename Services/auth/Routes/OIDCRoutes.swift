import HTTP
import HTTPWire
import Identity
import JSON
import Values
import Web

/// Sign-in with OpenID providers. Browsers come here by links, so every answer but the list is a page or
/// leads to one.
extension Routes {
    /// The longest time since the sign-in of a session that links or unlinks an identity.
    static let linkFreshness: Duration = .seconds(12 * 3_600)

    /// `?next=`, `?link=1`, `?again=1` → 303 to the provider. With `link=1` the identity is for the user of
    /// the cookie. With `again=1` the provider must ask the person now. A visitor whom another site sends
    /// gets a page with the link: a sign-in ends the session of the browser, and may make an account.
    func beginOpenID(_ request: Request) async throws -> Response {
        let next = Link(try request.query.optionalString("next") ?? "") ?? "/"
        let isLink = try request.query.optionalString("link") == "1"
        let isAgain = try request.query.optionalString("again") == "1"
        if request.headers.string(for: "sec-fetch-site") == "cross-site" {
            return try askVisitor(request, next, isLink: isLink, isAgain: isAgain)
        }
        let linker = isLink ? try await linker(request) : nil
        let outcome = try await externalIdentities.begin(
            at: request.pathParameters["provider"], next: next.description, isAgain: isAgain, linker: linker,
            cookie: cookieOfAttempts(request), client: ClientInfo(request))
        switch outcome {
        case .begun(let url, let cookie):
            return Response(
                status: 303,
                headers: [
                    "cache-control": "no-store", "location": url,
                    "set-cookie": attemptCookie.setting(cookie, life: OpenIDAttempt.life),
                ])
        case .unknownProvider: throw Self.unknownProvider
        case .throttled(let wait): throw Problem.rateLimited("Too many sign-ins were begun; retry later.", retryAfter: wait)
        case .providerFailed(let provider):
            let pages = OpenIDPages(site.viewer(request))
            return pages.notSignedIn(pages.strings.providerFailed(provider.name), status: 502)
        }
    }

    private func askVisitor(_ request: Request, _ next: Link, isLink: Bool, isAgain: Bool) throws(Problem) -> Response {
        guard let provider = externalIdentities.providers[request.pathParameters["provider"]] else { throw Self.unknownProvider }
        var start = provider.start.with("next", next.description)
        if isLink { start = start.with("link", "1") }
        if isAgain { start = start.with("again", "1") }
        return OpenIDPages(site.viewer(request)).askVisitor(provider.name, start)
    }

    /// The provider's answer → 303 to `next` with the cookies of a session, or a page.
    func finishOpenID(_ request: Request) async throws -> Response {
        let query = request.query
        let answer = ExternalIdentities.Answer(
            state: try query.optionalString("state"), code: try query.optionalString("code"), error: try query.optionalString("error"),
            issuer: try query.optionalString("iss"))
        let caller =
            authenticator.isByCookie(request.headers) ? try? await authenticator.principal(request.headers, cookie: .accepted) : nil
        let outcome = try await externalIdentities.finish(
            at: request.pathParameters["provider"], answer, cookie: cookieOfAttempts(request), session: caller?.sessionID,
            locale: site.viewer(request).language.rawValue, client: ClientInfo(request))
        // The cookie stays: attempts of other tabs have it, too.
        return try self.answer(to: outcome, caller, request)
    }

    private func answer(
        to outcome: ExternalIdentities.FinishOutcome, _ caller: Principal?, _ request: Request
    ) throws(Problem) -> Response {
        let pages = OpenIDPages(site.viewer(request, caller))
        let strings = pages.strings
        switch outcome {
        case .signedIn(let grant, let next, _): return enter(grant, Link(next) ?? "/", request)
        case .confirmLink(let offer): return pages.askLink(offer)
        case .addressTaken(let provider): return pages.notSignedIn(strings.addressTaken(provider.name), status: 409)
        case .noAddress(let provider): return pages.notSignedIn(strings.noAddress(provider.name), status: 400)
        case .notAskedAgain(let provider, let next): return pages.notAskedAgain(provider.name, Link(next) ?? "/")
        case .refused(let provider): return pages.notSignedIn(strings.refused(provider.name), status: 400)
        case .providerFailed(let provider): return pages.notSignedIn(strings.providerFailed(provider.name), status: 502)
        case .deactivated: return pages.viewer.show(.userDeactivated)
        case .throttled(let wait): return pages.viewer.show(.rateLimited("Too many registrations; retry later.", retryAfter: wait))
        case .invalidAttempt: return pages.notSignedIn(strings.invalidAttempt, status: 400)
        case .unknownProvider: throw Self.unknownProvider
        }
    }

    /// → 200 with the user's identities at providers, the oldest first.
    func listIdentities(_ request: Request, caller: Principal) async throws -> Response {
        let waysIn = try await externalIdentities.waysIn(of: caller.userID)
        return .object(200) { json in
            json.field("object", "list")
            json.field("has_password", waysIn.hasPassword)
            json.array("data") { array in
                for identity in waysIn.identities {
                    array.object { json in
                        json.field("provider", identity.providerID)
                        json.field("issuer", identity.issuer)
                        json.field("subject", identity.subject)
                        json.field("email", identity.email)
                        json.field("created_at", identity.createdAt.description)
                        json.field("last_used_at", identity.lastUsedAt.description)
                    }
                }
            }
        }
    }

    /// Leads to the settings: a browser comes here from a sign-in that the form asked for.
    func showSettingsOfSignIn(_ request: Request, caller: Principal) async throws -> Response {
        site.viewer(request, caller).seeOther(SettingsTab.signIn.link)
    }

    /// A form {token} of the page that a callback answered → 303 to the settings, or a page that refuses.
    func linkIdentity(_ request: Request, caller: Principal) async throws -> Response {
        guard let session = caller.sessionID else { throw Problem.sessionRequired }
        let token = try FormInput(request)["token"]
        let linker = OpenIDAttempt.Linker(userID: caller.userID, sessionID: session)
        let pages = OpenIDPages(site.viewer(request, caller))
        let strings = pages.strings
        switch try await externalIdentities.link(token, for: linker, client: ClientInfo(request)) {
        case .linked, .alreadyLinkedToYou: return pages.viewer.seeOther(SettingsTab.signIn.link.with("done", "connected"))
        case .linkedToAnother: return pages.refuse(strings.notLinkedTitle, strings.linkedToAnother, status: 409)
        case .tooMany: return pages.refuse(strings.notLinkedTitle, strings.tooMany(ExternalIdentity.countMax), status: 409)
        case .expired: return pages.refuse(strings.notLinkedTitle, strings.linkExpired, status: 400)
        case .deactivated: throw Problem.userDeactivated
        case .sessionEnded: throw Problem.tokenRevoked
        }
    }

    /// `issuer`, `subject`. Leads to the settings if the user has no such identity.
    func askUnlink(_ request: Request, caller: Principal) async throws -> Response {
        let (issuer, subject) = try Self.identity(request)
        let viewer = await viewer(request, caller)
        let identities = try await externalIdentities.waysIn(of: caller.userID).identities
        guard let identity = identities.first(where: { ($0.issuer, $0.subject) == (issuer, subject) }) else {
            return viewer.seeOther(SettingsTab.signIn.link)
        }
        let page = ConnectedProviders(viewer: viewer, providers: externalIdentities.providers, identities: identities)
        return page.confirmUnlink(of: identity)
    }

    /// `issuer`, `subject`. A form without fields → 303 to the settings, or a page that refuses.
    func unlinkIdentity(_ request: Request, caller: Principal) async throws -> Response {
        let (issuer, subject) = try Self.identity(request)
        let pages = OpenIDPages(site.viewer(request, caller))
        let strings = pages.strings
        switch try await externalIdentities.unlink(
            issuer: issuer, subject: subject, of: caller.userID, client: ClientInfo(request))
        {
        case .unlinked: return pages.viewer.seeOther(SettingsTab.signIn.link.with("done", "disconnected"))
        case .lastWayIn: return pages.refuse(strings.notUnlinkedTitle, strings.lastWayIn, status: 409)
        case .unknown: return pages.refuse(strings.notUnlinkedTitle, strings.notConnected, status: 404)
        }
    }

    // MARK: Reading and writing

    /// Reads the identity that the address of a request names. An empty text names none.
    private static func identity(_ request: Request) throws(Problem) -> (issuer: String, subject: String) {
        (try request.query.optionalString("issuer") ?? "", try request.query.optionalString("subject") ?? "")
    }

    private static let unknownProvider = Problem.notFound("This sign-in provider")

    private var attemptCookie: CookieAttributes {
        CookieAttributes(name: OpenIDAttempt.cookieName(publicURL: publicURL), isSecure: isSecure)
    }

    private func cookieOfAttempts(_ request: Request) -> String? {
        request.headers.cookie(OpenIDAttempt.cookieName(publicURL: publicURL)).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Returns the user and the session of a recent sign-in by the cookie.
    private func linker(_ request: Request) async throws -> OpenIDAttempt.Linker {
        guard authenticator.isByCookie(request.headers) else { throw Problem.sessionRequired }
        let caller = try await authenticator.principal(request.headers, cookie: .accepted)
        try caller.check(.session(freshWithin: Self.linkFreshness), now: externalIdentities.clock())
        guard let session = caller.sessionID else { throw Problem.sessionRequired }
        return OpenIDAttempt.Linker(userID: caller.userID, sessionID: session)
    }
}
