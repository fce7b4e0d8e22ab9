import HTTP
import Identity
import JSON
import Values

/// The handlers of one-time links and of the requests for them, for programs.
extension Routes {
    /// {email} → 202, the same for every address.
    func forgotPassword(_ request: Request) async throws -> Response {
        let email = try Self.email(request.json())
        return try Self.accepted(await accounts.forgotPassword(email, client: ClientInfo(request)))
    }

    /// {token, new_password} → 204. All sessions end.
    func resetPassword(_ request: Request) async throws -> Response {
        let body = try request.json()
        let (token, password) = (try body.string("token"), try body.string("new_password"))
        switch try await accounts.resetPassword(token, to: password, client: ClientInfo(request)) {
        case .changed: return .noContent
        case .invalid: throw Self.wrongToken
        case .refused(let refusal): throw Problem.invalidRequest("`new_password`: \(refusal.message)", param: "new_password")
        }
    }

    /// {token} → 204.
    func verifyEmail(_ request: Request) async throws -> Response {
        switch try await accounts.verifyEmail(try request.json().string("token"), client: ClientInfo(request)) {
        case .done: return .noContent
        case .invalid: throw Self.wrongToken
        case .emailTaken: throw Problem.emailTaken
        }
    }

    /// → 202. A verified user gets no mail.
    func resendVerification(_ request: Request, caller: Principal) async throws -> Response {
        try Self.accepted(await accounts.resendVerification(to: caller.userID, client: ClientInfo(request)))
    }

    /// {email, password} → 202. The link in the mail changes the address.
    func changeEmail(_ request: Request, caller: Principal) async throws -> Response {
        let body = try request.json()
        let (email, password) = (try Self.email(body), try body.string("password"))
        guard password.utf8.count <= PasswordPolicy.bytesMax else { throw Self.wrongOwnPassword }
        switch try await accounts.changeEmail(
            to: email, proof: .password(password), of: caller.userID, client: ClientInfo(request))
        {
        case .accepted: return try Self.accepted(.accepted)
        case .wrongPassword: throw Self.wrongOwnPassword
        case .noPassword: throw Self.noPassword
        case .emailTaken: throw Problem.emailTaken
        case .throttled(let wait): return try Self.accepted(.throttled(wait))
        }
    }

    // MARK: Reading and writing

    private static let wrongToken = Problem.invalidRequest(
        "`token` is not valid, was used before or has expired; ask for a new mail.", param: "token")

    private static let wrongOwnPassword = Problem.invalidRequest("`password` is wrong.", param: "password")

    static func email(_ body: JSONObject) throws -> EmailAddress { try email(body.string("email")) }

    static func email(_ text: String) throws(Problem) -> EmailAddress {
        guard let email = EmailAddress(text) else {
            throw Problem.invalidRequest("`email` must be an address like name@example.com.", param: "email")
        }
        return email
    }

    private static func accepted(_ outcome: Accounts.MailOutcome) throws(Problem) -> Response {
        switch outcome {
        case .accepted: return Response(status: 202)
        case .throttled(let wait): throw .rateLimited("Too many mails; retry later.", retryAfter: wait)
        }
    }
}
