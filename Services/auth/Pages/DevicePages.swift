import HTTP
import Values
import Web

/// `/auth/device`: a person enters the code of a device, sees what it asks for, and decides (RFC 8628 §3.3).
struct DevicePages {
    let viewer: Viewer
    private var strings: DeviceStrings { DeviceStrings(language: viewer.language) }

    func askCode(_ sent: FormInput = FormInput(), status: Int = 200) -> Response {
        let form = Form(viewer, sent)
        return page(strings.enterTitle, status: status) {
            p(.class("muted")) { strings.enterIntro }
            form("/auth/device", hidden: ["action": "find"]) {
                form.field("user_code", strings.code, .code, hint: strings.codeHint)
                submit(strings.proceed)
            }
        }
    }

    func confirm(_ device: Devices.Device) -> Response {
        let grant = device.grant
        let form = Form(viewer)
        return page(strings.title) {
            p { strings.check }
            p(.class("user-code")) { device.userCode.shown }
            facts([
                (strings.app, HTML(device.client?.name ?? strings.unknownApp)),
                (strings.callsItself, bdi { grant.deviceName ?? strings.noName }),
                (
                    strings.from,
                    HTML("\(grant.requestedBy.address ?? strings.unknownAddress) ")
                        + (device.isSameNetwork ? tag(strings.thisNetwork) : tag(strings.otherNetwork, isWarning: true))
                ),
                (strings.asked, viewer.ago(grant.createdAt) + HTML(" · \(strings.expires(in: viewer.length(device.expiresIn)))")),
                (strings.may, HTML(ScopeStrings(language: viewer.language).list(grant.scope.split(separator: " ").map(String.init)))),
                (strings.mayNot, HTML(strings.forbidden)),
            ])
            p(.class("small")) { strings.warning }
            form("/auth/device", hidden: ["user_code": device.userCode.shown]) {
                submit(strings.connect, choice: ("action", "approve"))
                submit(strings.refuse, .secondary, choice: ("action", "deny"))
            }
        }
    }

    func connected() -> Response {
        page(strings.connectedTitle) {
            p { strings.connected }
            linkButton(strings.sessions, "/settings/sessions")
        }
    }

    func refused() -> Response {
        page(strings.refusedTitle) {
            p { strings.refused }
            linkButton(strings.sessions, "/settings/sessions")
        }
    }

    func conflict() -> Response {
        page(strings.conflictTitle, status: 409) {
            p { strings.conflict }
            linkButton(strings.enterTitle, "/auth/device")
        }
    }

    private func page(_ title: String, status: Int = 200, @HTMLBuilder content: () -> HTML) -> Response {
        viewer.show(Page(title, status: status)) {
            panel {
                h1 { title }
                content()
            }
        }
    }
}
