import HTTP
import Web

/// `/login`: sign-in by password or by a provider.
struct SignInPage {
    let viewer: Viewer
    /// The page that the browser gets afterwards.
    let next: Link
    /// True for a person who is signed in, and must show it again.
    var isAgain = false
    var isSignedOut = false

    func show(_ sent: FormInput = FormInput(), status: Int = 200) -> Response {
        let strings = SignInStrings(language: viewer.language)
        let title = isAgain ? strings.againTitle : strings.title
        let form = Form(viewer, sent)
        return viewer.show(Page(title, status: status)) {
            panel {
                h1 { title }
                p(.class("muted")) { isAgain ? strings.againIntro : strings.intro }
                if isSignedOut { notice(.done) { p { strings.signedOut } } }
                form("/login", hidden: ["next": next.description].merging(isAgain ? ["again": "1"] : [:]) { $1 }) {
                    form.field("email", strings.email, .email)
                    form.field("password", strings.password, .currentPassword)
                    submit(strings.title)
                }
                p(.class("small")) {
                    a("/reset") { strings.forgot }
                    " · \(strings.isNew) "
                    a(Link("/register").with("next", next.description)) { strings.register }
                }
            }
        }
    }
}
