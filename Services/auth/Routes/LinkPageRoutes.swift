import HTTP
import Identity
import Web

/// The pages behind the links of mails.
extension Routes {
    /// `token` of a mail, or `done=confirmed|refused`.
    func showVerify(_ request: Request) async throws -> Response {
        let pages = LinkPages(viewer: site.viewer(request))
        switch request.query["done"] {
        case "confirmed": return pages.verified()
        case "refused": return pages.refused()
        default: break
        }
        guard let token = request.query["token"], let offer = try await accounts.linkOffer(token) else {
            return pages.invalid(again: Place.settings.link)
        }
        return pages.askVerify(offer, token: token)
    }

    /// A form {token, action?: confirm | refuse} → 303.
    func submitVerify(_ request: Request) async throws -> Response {
        let sent = try FormInput(request)
        let viewer = site.viewer(request)
        let pages = LinkPages(viewer: viewer)
        if sent["action"] == "refuse" {
            let isRefused = try await accounts.refuseLink(sent["token"], client: ClientInfo(request))
            return isRefused ? viewer.seeOther(Link("/verify").with("done", "refused")) : pages.invalid(again: Place.settings.link)
        }
        switch try await accounts.verifyEmail(sent["token"], client: ClientInfo(request)) {
        case .done: return viewer.seeOther(Link("/verify").with("done", "confirmed"))
        case .invalid: return pages.invalid(again: Place.settings.link)
        case .emailTaken: return pages.addressTaken()
        }
    }

    /// `token` of a mail, to choose a password; without one, to ask for a mail. `done=sent|changed`.
    func showReset(_ request: Request) async throws -> Response {
        let pages = LinkPages(viewer: site.viewer(request))
        if let token = request.query["token"] { return pages.askPassword(token: token) }
        switch request.query["done"] {
        case "sent": return pages.mailSent()
        case "changed": return pages.passwordChanged()
        default: return pages.askAddress()
        }
    }

    /// A form {token, new_password}, or {email}.
    func submitReset(_ request: Request) async throws -> Response {
        var sent = try FormInput(request)
        let viewer = site.viewer(request)
        let pages = LinkPages(viewer: viewer)
        guard !sent.isOn("token") else { return try await choosePassword(&sent, viewer, request) }
        // The person who reads the mails is not always the one who asks for them.
        try authenticator.checkOrigin(request.headers)
        let (strings, fields) = (LinkStrings(language: viewer.language), FieldStrings(language: viewer.language))
        guard let email = sent.email("email", missing: strings.emailMissing, fields) else { return pages.askAddress(sent, status: 400) }
        switch try await accounts.forgotPassword(email, client: ClientInfo(request)) {
        case .accepted: return viewer.seeOther(Link("/reset").with("done", "sent"))
        case .throttled(let wait):
            sent.refuse("email", fields.tooManyMails(wait: viewer.length(wait)))
            return pages.askAddress(sent, status: 429).retry(after: wait)
        }
    }

    private func choosePassword(_ sent: inout FormInput, _ viewer: Viewer, _ request: Request) async throws -> Response {
        switch try await accounts.resetPassword(sent["token"], to: sent["new_password"], client: ClientInfo(request)) {
        case .changed: return viewer.seeOther(Link("/reset").with("done", "changed"))
        case .invalid: return LinkPages(viewer: viewer).invalid(again: "/reset")
        case .refused(let refusal):
            sent.refuse("new_password", FieldStrings(language: viewer.language).password(refusal))
            let pages = LinkPages(viewer: viewer.at(Link("/reset").with("token", sent["token"])))
            return pages.askPassword(token: sent["token"], sent, status: 400)
        }
    }
}
