import HTTP
import Values
import Web

/// `/settings/password`: the ways in which a user signs in. Another password, or the first one of an account without, and providers.
struct PasswordPage {
    let viewer: Viewer
    let user: User
    let waysIn: ExternalIdentities.WaysIn
    let providers: OpenIDProviders
    private var strings: PasswordStrings { PasswordStrings(language: viewer.language) }

    /// - Parameter failure: the reason why no mail was sent.
    func show(_ sent: FormInput = FormInput(), done: String? = nil, failure: String? = nil, status: Int = 200) -> Response {
        viewer.show(.signIn, status: status) {
            if done == "changed" { notice(.done) { p { strings.changed } } }
            if done == "mail" { notice(.done) { p { strings.mailSent(to: user.email) } } }
            if done == "connected" { notice(.done) { p { OpenIDStrings(language: viewer.language).linked } } }
            if done == "disconnected" { notice(.done) { p { OpenIDStrings(language: viewer.language).unlinked } } }
            if let failure { notice(.failure) { p { failure } } }
            div(.class("columns")) {
                panel(strings.title) { if waysIn.hasPassword { change(sent) } else { first } }
                ConnectedProviders(viewer: viewer, providers: providers, identities: waysIn.identities).html
            }
        }
    }

    @HTMLBuilder private func change(_ sent: FormInput) -> HTML {
        let form = Form(viewer, sent)
        p(.class("muted")) { strings.intro }
        form("/settings/password") {
            form.field("current_password", strings.current, .currentPassword)
            form.field("new_password", strings.new, .newPassword, hint: FieldStrings(language: viewer.language).passwordHint)
            submit(strings.change)
        }
        p(.class("small")) { a("/reset") { strings.forgot } }
    }

    @HTMLBuilder private var first: HTML {
        p { strings.none }
        if user.isEmailVerified {
            p { strings.choose }
            Form(viewer).button(strings.send, "/settings/password", .primary, hidden: ["action": "mail"])
        } else {
            p { strings.confirmFirst }
            linkButton(strings.toProfile, SettingsTab.profile.link, .primary)
        }
    }
}
