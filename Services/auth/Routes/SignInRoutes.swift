import HTTP
import HTTPWire
import Identity
import JSON
import Values

extension Routes {
    /// {email, password, full_name?} → 201 with tokens. 409 for a taken address, after the same work.
    func register(_ request: Request) async throws -> Response {
        let body = try request.json()
        let email = try Self.email(body)
        let password = try body.string("password")
        if let refusal = PasswordPolicy.refusal(of: password, for: email) {
            throw Problem.invalidRequest(refusal.message, param: "password")
        }
        let fullName = try Self.fullName(try body.optionalString("full_name"))
        let registration = Accounts.Registration(email: email, password: password, fullName: fullName)
        switch try await accounts.register(registration, client: ClientInfo(request)) {
        case .registered(let tokens): return Self.answer(201, tokens)
        case .emailTaken: throw Problem.emailTaken
        case .throttled(let wait): throw Problem.rateLimited("Too many registrations; retry later.", retryAfter: wait)
        }
    }

    /// {email, password} → 200 with tokens.
    func login(_ request: Request) async throws -> Response {
        let body = try request.json()
        let email = try body.string("email")
        let password = try body.string("password")
        guard email.utf8.count <= 1_024, password.utf8.count <= PasswordPolicy.bytesMax else {
            throw Problem.invalidCredentials
        }
        switch try await accounts.signIn(email: email, password: password, client: ClientInfo(request)) {
        case .signedIn(let tokens): return Self.answer(200, tokens)
        case .wrongCredentials: throw Problem.invalidCredentials
        case .deactivated: throw Problem.userDeactivated
        case .throttled(let wait): throw Problem.rateLimited("Too many failed attempts to sign in.", retryAfter: wait)
        }
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

    /// Ends the session of the access token, which may have expired, or of {refresh_token}. Answers
    /// 204 also if the session has ended before.
    func logout(_ request: Request, caller: Result<Principal, Problem>) async throws -> Response {
        let body = request.body.isEmpty ? nil : try request.json()
        if let token = try body?.optionalString("refresh_token") {
            guard let session = try await sessions.session(of: token) else { return .noContent }
            try await sessions.signOut(session, client: ClientInfo(request))
            return .noContent
        }
        let session: SessionID?
        switch caller {
        case .success(let principal): session = principal.sessionID
        case .failure(let problem) where problem.code == .tokenRevoked: return .noContent
        case .failure(let problem):
            guard problem.code == .tokenExpired, let expired = authenticator.expiredSession(request.headers) else { throw problem }
            session = expired
        }
        guard let session else { throw Problem.sessionRequired }
        try await sessions.signOut(session, client: ClientInfo(request))
        return .noContent
    }

    /// Reads a name of a person or a key: blanks are made single, none is nil.
    static func fullName(_ text: String?) throws(Problem) -> String? {
        guard let text else { return nil }
        let name = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        guard name.unicodeScalars.count <= 200, name.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
            throw .invalidRequest("`full_name` must have at most 200 characters and no control characters.", param: "full_name")
        }
        return name.isEmpty ? nil : name
    }
}

extension ClientInfo {
    init(_ request: Request) {
        address = request.clientAddress?.description
        network = request.clientAddress?.clientPrefix
        userAgent = request.headers.string(for: "user-agent").flatMap { Self.isPrintable($0) ? String($0.prefix(256)) : nil }
    }

    private static func isPrintable(_ text: String) -> Bool { text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F } }
}
