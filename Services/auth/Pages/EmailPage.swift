import HTTP
import Values
import Web

/// `/settings/email`: another address of a user.
struct EmailPage {
    let viewer: Viewer
    let user: User
    let hasPassword: Bool

    /// - Parameter failure: the reason why no mail was sent again.
    func show(_ sent: FormInput = FormInput(), failure: String? = nil, status: Int = 200) -> Response {
        let strings = ProfileStrings(language: viewer.language)
        let form = Form(viewer, sent)
        return viewer.show(.profile, strings.changeAddress, status: status) {
            if let failure { notice(.failure) { p { failure } } }
            div(.class("columns")) {
                panel {
                    p(.class("muted")) { strings.changeIntro }
                    facts([(strings.present, HTML(user.email))])
                    form("/settings/email", hidden: ["action": "change"]) {
                        form.field("email", strings.newAddress, .newEmail)
                        if hasPassword { form.field("password", strings.password, .currentPassword) }
                        div(.class("buttons")) {
                            submit(strings.sendLink)
                            linkButton(viewer.cancel, SettingsTab.profile.link)
                        }
                    }
                    if hasPassword { p(.class("small")) { a("/reset") { PasswordStrings(language: viewer.language).forgot } } }
                }
            }
        }
    }
}
