import EventLoop
import HTTP
import HTTPWire
import Identity
import JSON
import Values

extension Routes {
    /// {email, password, full_name?} → 201 with tokens. 409 for a taken address, after the same work.
    func register(_ request: Request) async throws -> Response {
        let body = try request.json()
        let (email, password) = (try Self.email(body), try body.string("password"))
        let fullName = try Self.fullName(body.optionalString("full_name"))
        if let refusal = PasswordPolicy.refusal(of: password, for: email) {
            throw Problem.invalidRequest(refusal.message, param: "password")
        }
        let registration = Accounts.Registration(email: email, password: password, fullName: fullName)
        switch try await accounts.register(registration, client: ClientInfo(request)) {
        case .registered(let grant): return Self.answer(201, try accounts.issuer.sign(grant))
        case .emailTaken: throw Problem.emailTaken
        case .throttled(let wait):
            try await Self.slowDown()
            throw Problem.rateLimited("Too many registrations; retry later.", retryAfter: wait)
        }
    }

    /// The wait before a registration is refused. Without it, a client with 64 connections keeps the loop
    /// busy with refusals, and each sign-in waits behind them several times.
    static let refusalDelay: Duration = .milliseconds(100)

    static func slowDown() async throws {
        guard let loop = EventLoop.current else { preconditionFailure("requests are handled on a loop") }
        try await loop.sleep(for: refusalDelay)
    }

    /// {email, password} → 200 with tokens.
    func login(_ request: Request) async throws -> Response {
        let body = try request.json()
        let (email, password) = (try body.string("email"), try body.string("password"))
        guard Self.mayBeCredentials(email, password) else { throw Problem.invalidCredentials }
        switch try await accounts.signIn(email: email, password: password, client: ClientInfo(request)) {
        case .signedIn(let grant): return Self.answer(200, try accounts.issuer.sign(grant))
        case .wrongCredentials: throw Problem.invalidCredentials
        case .deactivated: throw Problem.userDeactivated
        case .throttled(let wait): throw Problem.rateLimited("Too many failed attempts to sign in.", retryAfter: wait)
        }
    }

    /// False for texts that are too long for any account.
    static func mayBeCredentials(_ email: String, _ password: String) -> Bool {
        email.utf8.count <= 1_024 && password.utf8.count <= PasswordPolicy.bytesMax
    }

    /// {refresh_token} → 200 with new tokens. The old refresh token is good for another 30 seconds,
    /// with the same answer.
    func refresh(_ request: Request) async throws -> Response {
        let token = try request.json().string("refresh_token")
        switch try await sessions.refresh(token, client: ClientInfo(request)) {
        case .refreshed(let tokens): return Self.answer(200, tokens)
        case .invalid, .wideScope: throw Problem.invalidRefreshToken
        case .ended: throw Problem.tokenRevoked
        case .deactivated: throw Problem.userDeactivated
        }
    }

    /// Ends the session of the access token, which may have expired, of the cookie, or of
    /// {refresh_token}. Answers 204 also if the session has ended before.
    func logout(_ request: Request, caller: Result<Principal, Problem>) async throws -> Response {
        let body = request.body.isEmpty ? nil : try request.json()
        if let token = try body?.optionalString("refresh_token") {
            if let session = try await sessions.session(of: token) { try await sessions.signOut(session, client: ClientInfo(request)) }
            return .noContent
        }
        let isByCookie = authenticator.isByCookie(request.headers)
        switch caller {
        case .success(let principal):
            guard let session = principal.sessionID else { throw Problem.sessionRequired }
            try await sessions.signOut(session, client: ClientInfo(request))
        case .failure(let problem) where problem.code == .tokenRevoked: break
        case .failure(let problem) where isByCookie && (problem.code == .invalidAPIKey || problem.code == .tokenExpired): break
        case .failure(let problem):
            guard problem.code == .tokenExpired, let expired = authenticator.expiredSession(request.headers) else { throw problem }
            try await sessions.signOut(expired, client: ClientInfo(request))
        }
        var response = Response.noContent
        if isByCookie { response.headers.add("set-cookie", sessionCookie.removal) }
        return response
    }

    /// Reads a name of a person or a key: blanks are made single, none is nil.
    static func fullName(_ text: String?) throws(Problem) -> String? {
        guard let text else { return nil }
        guard let name = DisplayName(text, lengthMax: 200) else {
            throw .invalidRequest("`full_name` must have at most 200 characters, all of them visible.", param: "full_name")
        }
        return name.text.isEmpty ? nil : name.text
    }
}

extension ClientInfo {
    init(_ request: Request) {
        address = request.clientAddress?.description
        network = request.clientAddress?.clientPrefix
        browser = request.headers.cookie(BrowserCookie.name).flatMap { BrowserCookie($0) }
        userAgent = request.headers.string(for: "user-agent").flatMap { Self.isPrintable($0) ? String($0.prefix(256)) : nil }
    }

    private static func isPrintable(_ text: String) -> Bool { text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F } }
}
