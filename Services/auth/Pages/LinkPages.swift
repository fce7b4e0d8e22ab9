import HTTP
import Web

/// `/verify` and `/reset`: the pages behind the links of mails. A GET uses no link, because programs that
/// read mails follow links too. Their address is a secret, so no other site gets it as a referrer.
struct LinkPages {
    let viewer: Viewer
    private var strings: LinkStrings { LinkStrings(language: viewer.language) }

    // MARK: Confirming an address

    func askVerify(_ offer: Accounts.LinkOffer, token: String) -> Response {
        page(strings.verifyTitle, offer.isNewAddress ? strings.changeIntro : strings.verifyIntro) {
            facts([(strings.email, HTML(offer.email)), (strings.registered, viewer.day(offer.registeredAt))])
            Form(viewer)("/verify", hidden: ["token": token]) {
                submit(strings.verify, choice: ("action", "confirm"))
                submit(strings.refuse, .secondary, choice: ("action", "refuse"))
            }
        }
    }

    func refused() -> Response {
        page(strings.refusedTitle, strings.refused) { linkButton(strings.signIn, "/login") }
    }

    func verified() -> Response {
        page(strings.verifiedTitle, strings.verified) { linkButton(strings.next, "/", .primary) }
    }

    func addressTaken() -> Response {
        page(strings.takenTitle, strings.taken, status: 409) { linkButton(strings.next, "/", .primary) }
    }

    /// - Parameter again: the page that mails another link.
    func invalid(again: Link) -> Response {
        page(strings.invalidTitle, strings.invalid, status: 400) { linkButton(strings.askAgain, again, .primary) }
    }

    // MARK: Choosing a new password

    func askAddress(_ sent: FormInput = FormInput(), status: Int = 200) -> Response {
        let form = Form(viewer, sent)
        return page(strings.forgotTitle, strings.forgotIntro, status: status) {
            form("/reset") {
                form.field("email", strings.email, .email)
                submit(strings.send)
            }
        }
    }

    func mailSent() -> Response {
        page(strings.sentTitle, strings.sent) { linkButton(strings.signIn, "/login") }
    }

    func askPassword(token: String, _ sent: FormInput = FormInput(), status: Int = 200) -> Response {
        let form = Form(viewer, sent)
        return page(strings.resetTitle, strings.resetIntro, status: status) {
            form("/reset", hidden: ["token": token]) {
                form.field("new_password", strings.newPassword, .newPassword, hint: FieldStrings(language: viewer.language).passwordHint)
                submit(strings.reset)
            }
        }
    }

    func passwordChanged() -> Response {
        page(strings.changedTitle, strings.changed) { linkButton(strings.signIn, "/login", .primary) }
    }

    private func page(_ title: String, _ text: String, status: Int = 200, @HTMLBuilder content: () -> HTML) -> Response {
        viewer.show(Page(title, status: status, sendsNoReferrer: true)) {
            panel {
                h1 { title }
                p(.class("muted")) { text }
                content()
            }
        }
    }
}
