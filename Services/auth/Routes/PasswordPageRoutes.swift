import HTTP
import HTTPWire
import Identity
import Values
import Web

/// The page of the ways in which a user signs in, by which it changes its password.
extension Routes {
    /// `done=changed|mail|connected|disconnected`.
    func showPassword(_ request: Request, caller: Principal) async throws -> Response {
        try await passwordPage(request, caller).show(done: request.query["done"])
    }

    private func passwordPage(_ request: Request, _ caller: Principal) async throws -> PasswordPage {
        async let waysIn = externalIdentities.waysIn(of: caller.userID)
        let settings = try await settings(request, caller)
        return PasswordPage(
            viewer: settings.viewer, user: settings.profile.user, waysIn: try await waysIn, providers: externalIdentities.providers)
    }

    /// A form {current_password, new_password} → 303 with new cookies. {action: mail} → 303: a link is
    /// on its way by which an account without a password gets one.
    func submitPassword(_ request: Request, caller: Principal) async throws -> Response {
        var sent = try FormInput(request)
        let page = try await passwordPage(request, caller)
        let viewer = page.viewer
        let strings = PasswordStrings(language: viewer.language)
        if sent["action"] == "mail" { return try await mailLink(page, request) }
        if sent["current_password"].isEmpty { sent.refuse("current_password", strings.missing) }
        if let refusal = PasswordPolicy.refusal(of: sent["new_password"], for: EmailAddress(page.user.email) ?? .nobody) {
            sent.refuse("new_password", FieldStrings(language: viewer.language).password(refusal))
        }
        guard sent.isFine else { return page.show(sent, status: 400) }
        let outcome = try await changePassword(sent["current_password"], to: sent["new_password"], of: caller, request)
        switch outcome {
        case .changed(let grant):
            var response = viewer.seeOther(SettingsTab.signIn.link.with("done", "changed"))
            if grant.cookie != nil { response.headers.add(cookies(of: grant, ClientInfo(request))) }
            return response
        case .wrongPassword:
            sent.refuse("current_password", strings.wrong)
            return page.show(sent, status: 400)
        // The page asks for a first password.
        case .noPassword: return viewer.seeOther(SettingsTab.signIn.link)
        case .throttled(let wait):
            sent.refuse("current_password", strings.tooMany(wait: viewer.length(wait)))
            return page.show(sent, status: 429).retry(after: wait)
        case .deactivated: throw Problem.userDeactivated
        case .sessionEnded: throw Problem.tokenRevoked
        }
    }

    private func mailLink(_ page: PasswordPage, _ request: Request) async throws -> Response {
        guard let email = EmailAddress(page.user.email) else { throw Problem.invalidAPIKey }
        switch try await accounts.forgotPassword(email, client: ClientInfo(request)) {
        case .accepted: return page.viewer.seeOther(SettingsTab.signIn.link.with("done", "mail"))
        case .throttled(let wait):
            let failure = FieldStrings(language: page.viewer.language).tooManyMails(wait: page.viewer.length(wait))
            return page.show(failure: failure, status: 429).retry(after: wait)
        }
    }
}
