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
    var providers: [OpenIDProvider] = []

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
                    if !isAgain {
                        " · \(strings.isNew) "
                        a(Link("/register").with("next", next.description)) { strings.register }
                    }
                }
                ProviderLinks(viewer: viewer, providers: providers, next: next, isAgain: isAgain).content
            }
        }
    }
}

/// The ways to sign in with a provider, below a form.
struct ProviderLinks {
    let viewer: Viewer
    let providers: [OpenIDProvider]
    let next: Link
    /// True for a person who is signed in, and must show it again.
    var isAgain = false

    var content: HTML {
        let strings = OpenIDStrings(language: viewer.language)
        return providers.isEmpty
            ? .empty
            : div(.class("or")) {
                for provider in providers {
                    let start = provider.start.with("next", next.description)
                    linkButton(strings.proceed(provider.name), isAgain ? start.with("again", "1") : start)
                }
            }
    }
}
