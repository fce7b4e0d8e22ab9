import HTTP
import Values
import Web

/// `/settings`: what a user may change about itself, and its address.
struct ProfilePage {
    let viewer: Viewer
    let user: User
    let zones: [TimeZoneRegion]
    private var strings: ProfileStrings { ProfileStrings(language: viewer.language) }

    /// - Parameter sent: nil for the profile as it is stored.
    func show(_ sent: FormInput? = nil, done: String? = nil, status: Int = 200) -> Response {
        viewer.show(.profile, status: status) {
            if let text = done.flatMap(text(ofDone:)) { notice(.done) { p { text } } }
            div(.class("columns")) {
                profile(sent ?? stored)
                address
            }
        }
    }

    private func text(ofDone word: String) -> String? {
        switch word {
        case "saved": strings.saved
        case "mail": user.isEmailVerified ? nil : strings.mailSent
        case "address": strings.linkSent
        default: nil
        }
    }

    private var stored: FormInput {
        var fields = [
            "full_name": user.fullName ?? "", "language": user.preferences.locale, "time_zone": user.preferences.timeZone,
        ]
        if user.preferences.lowBalanceMail { fields["low_balance_mail"] = "on" }
        return FormInput(fields)
    }

    private func profile(_ sent: FormInput) -> HTML {
        let form = Form(viewer, sent)
        let zone = TimeZoneChoice(language: viewer.language).groups(zones, chosen: user.preferences.timeZone)
        return panel(strings.about) {
            form("/settings") {
                form.field("full_name", strings.name, .name, isOptional: true)
                form.choice(
                    "language", strings.locale, Language.allCases.map { Form.Option($0.rawValue, $0.name, in: $0) },
                    hint: strings.localeHint)
                form.choice("time_zone", strings.timeZone, groups: zone, hint: strings.timeZoneHint)
                form.box("low_balance_mail", strings.lowBalanceMail, hint: strings.lowBalanceMailHint)
                submit(strings.save)
            }
        }
    }

    private var address: HTML {
        panel(strings.address) {
            p {
                strong { user.email }
                " "
                tag(user.isEmailVerified ? strings.confirmed : strings.unconfirmed, isWarning: !user.isEmailVerified)
            }
            if user.isEmailVerified {
                p(.class("muted")) { strings.addressUse }
            } else {
                p { strings.lookIntoMailbox }
            }
            div(.class("buttons")) {
                if !user.isEmailVerified {
                    Form(viewer).button(strings.sendAgain, "/settings/email", hidden: ["action": "resend"])
                }
                linkButton(strings.changeAddress, "/settings/email")
            }
        }
    }
}
