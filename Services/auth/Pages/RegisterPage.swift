import HTTP
import Web

/// `/register`: a new account.
struct RegisterPage {
    let viewer: Viewer
    /// The page that the browser gets afterwards.
    let next: Link
    var providers: [OpenIDProvider] = []

    func show(_ sent: FormInput = FormInput(), status: Int = 200) -> Response {
        let strings = RegisterStrings(language: viewer.language)
        let form = Form(viewer, sent)
        return viewer.show(Page(strings.title, status: status)) {
            panel {
                h1 { strings.title }
                p(.class("muted")) { strings.intro }
                form("/register", hidden: ["next": next.description, "time_zone": sent["time_zone"]]) {
                    form.field("full_name", strings.name, .name, isOptional: true)
                    form.field("email", strings.email, .email, hint: strings.emailHint)
                    form.field("password", strings.password, .newPassword, hint: FieldStrings(language: viewer.language).passwordHint)
                    submit(strings.submit)
                }
                p(.class("small")) {
                    "\(strings.hasAccount) "
                    a(Link("/login").with("next", next.description)) { strings.signIn }
                }
                ProviderLinks(viewer: viewer, providers: providers, next: next).content
            }
        }
    }
}
