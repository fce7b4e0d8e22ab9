import HTTP
import Web

/// The pages behind the links of mails.
extension Routes {
    /// `token` of a mail. Without one, the page says that the link is not valid.
    func showVerify(_ request: Request) async throws -> Response {
        let pages = LinkPages(viewer: site.viewer(request))
        guard let token = request.query["token"] else { return pages.invalid(again: Place.settings.link) }
        return pages.askVerify(token: token)
    }

    /// A form {token}.
    func submitVerify(_ request: Request) async throws -> Response {
        let pages = LinkPages(viewer: site.viewer(request))
        switch try await accounts.verifyEmail(try FormInput(request)["token"], client: ClientInfo(request)) {
        case .done: return pages.verified()
        case .invalid: return pages.invalid(again: Place.settings.link)
        case .emailTaken: return pages.addressTaken()
        }
    }

    /// `token` of a mail, to choose a password; without one, to ask for a mail. `done=sent`: it is on its way.
    func showReset(_ request: Request) async throws -> Response {
        let pages = LinkPages(viewer: site.viewer(request))
        if let token = request.query["token"] { return pages.askPassword(token: token) }
        return request.query["done"] == "sent" ? pages.mailSent() : pages.askAddress()
    }

    /// A form {token, new_password}, or {email}.
    func submitReset(_ request: Request) async throws -> Response {
        var sent = try FormInput(request)
        let viewer = site.viewer(request)
        let pages = LinkPages(viewer: viewer)
        let (strings, fields) = (LinkStrings(language: viewer.language), FieldStrings(language: viewer.language))
        guard !sent.isOn("token") else { return try await choosePassword(&sent, pages, fields, request) }
        guard let email = sent.email("email", missing: strings.emailMissing, fields) else { return pages.askAddress(sent, status: 400) }
        switch try await accounts.forgotPassword(email, client: ClientInfo(request)) {
        case .accepted: return viewer.seeOther(Link("/reset").with("done", "sent"))
        case .throttled(let wait):
            sent.refuse("email", strings.tooMany(wait: viewer.length(wait)))
            return pages.askAddress(sent, status: 429).retry(after: wait)
        }
    }

    private func choosePassword(
        _ sent: inout FormInput, _ pages: LinkPages, _ fields: FieldStrings, _ request: Request
    ) async throws -> Response {
        switch try await accounts.resetPassword(sent["token"], to: sent["new_password"], client: ClientInfo(request)) {
        case .changed: return pages.passwordChanged()
        case .invalid: return pages.invalid(again: "/reset")
        case .refused(let refusal):
            sent.refuse("new_password", fields.password(refusal))
            return pages.askPassword(token: sent["token"], sent, status: 400)
        }
    }
}
