import HTTP
import Web

extension OpenIDProvider {
    /// The address at which a browser begins.
    var start: Link { Link("/api/auth/oidc").segment(id).segment("start") }
}

/// The pages of sign-in with a provider: how it ended, and the question before an identity is connected.
struct OpenIDPages {
    let viewer: Viewer

    /// - Parameter viewer: the address of a callback carries words of the provider, so the page leads to the
    ///   sign-in instead.
    init(_ viewer: Viewer) { self.viewer = viewer.at(viewer.principal == nil ? "/login" : SettingsTab.signIn.link) }

    var strings: OpenIDStrings { OpenIDStrings(language: viewer.language) }

    /// Shows the reason why no session begins.
    func notSignedIn(_ text: String, status: Int) -> Response {
        page(strings.failedTitle, text, status: status) { linkButton(strings.signIn, "/login", .primary) }
    }

    /// Asks a visitor whom another site has sent.
    func askVisitor(_ provider: String, _ start: Link) -> Response {
        page(strings.visitorTitle(provider), strings.visitorQuestion) { linkButton(strings.proceed(provider), start, .primary) }
    }

    /// Asks for the password instead of the provider.
    func notAskedAgain(_ provider: String, _ next: Link) -> Response {
        page(strings.againTitle, strings.notAskedAgain(provider), status: 403) {
            linkButton(strings.signInByPassword, Link("/login").with("again", "1").with("next", next.description), .primary)
            p(.class("small")) { a("/reset") { strings.setPassword } }
        }
    }

    func askLink(_ offer: ExternalIdentities.LinkOffer) -> Response {
        let name = offer.provider.name
        let account = offer.email.map { "\(name) (\($0))" } ?? name
        return page(strings.linkTitle(name), strings.linkQuestion(account)) {
            Form(viewer)("/settings/sign-in/link", hidden: ["token": offer.token]) { submit(strings.link) }
            linkButton(strings.settings, SettingsTab.signIn.link)
        }
    }

    /// Shows the reason why an identity stays as it is.
    func refuse(_ title: String, _ text: String, status: Int) -> Response {
        page(title, text, status: status) { linkButton(strings.settings, SettingsTab.signIn.link, .primary) }
    }

    private func page(_ title: String, _ text: String, status: Int = 200, @HTMLBuilder content: () -> HTML) -> Response {
        viewer.show(Page(title, status: status, sendsNoReferrer: true)) {
            panel {
                h1 { title }
                p { text }
                content()
            }
        }
    }
}
