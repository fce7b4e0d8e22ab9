import HTTP
import Identity
import Values
import Web

/// `/settings/sessions`: the sessions of a user, and their ends.
struct SessionPages {
    let viewer: Viewer
    let sessions: [LiveSessions.Output]
    let clients: OAuthClients
    private var strings: SessionStrings { SessionStrings(language: viewer.language) }

    func list(done: String?, balance: Credits?) -> Response {
        viewer.show(.sessions, balance: balance) {
            if done == "ended" { notice(.done) { p { strings.ended } } }
            if done == "others" { notice(.done) { p { strings.othersEnded } } }
            div(.class("split")) {
                p(.class("muted")) { others.isEmpty ? strings.only : strings.intro }
                if !others.isEmpty { linkButton(strings.endOthers, "/settings/sessions/others", .danger) }
            }
            panel { rows((sessions.filter(isCurrent) + others).map { (entry($0), act($0)) }) }
        }
    }

    private func isCurrent(_ session: LiveSessions.Output) -> Bool { session.id == viewer.principal?.sessionID }

    private var others: [LiveSessions.Output] { sessions.filter { !isCurrent($0) } }

    private func entry(_ session: LiveSessions.Output) -> HTML {
        let (name, detail) = names(session)
        return p {
            strong { span(session.userAgent.map { .title($0) } ?? .none) { name } }
            if isCurrent(session) { HTML(" ") + tag(strings.current) }
        }
            + p(.class("muted")) {
                if let detail { "\(detail) · " }
                "\(session.ip ?? strings.unknownAddress) · \(strings.lastUsed) "
                viewer.ago(session.lastUsedAt)
                " · \(strings.signedIn) "
                viewer.day(session.signedInAt)
            }
    }

    private func act(_ session: LiveSessions.Output) -> HTML {
        if isCurrent(session) { return .empty }
        return linkButton(strings.end, Link("/settings/sessions").segment(session.id.description), of: names(session).name)
    }

    func confirmEnd(of session: LiveSessions.Output) -> Response {
        let (name, detail) = names(session)
        let link = Link("/settings/sessions").segment(session.id.description)
        return viewer.confirm(strings.endTitle, place: .settings, act: strings.end, at: link, back: SettingsTab.sessions.link) {
            p { strong { name } }
            facts(
                (detail.map { [(strings.program, HTML($0))] } ?? []) + [
                    (strings.from, HTML(session.ip ?? strings.unknownAddress)), (strings.use, viewer.ago(session.lastUsedAt)),
                    (strings.signIn, viewer.moment(session.signedInAt)),
                ])
            p { strings.endIntro }
        }
    }

    func confirmEndOfOthers() -> Response {
        viewer.confirm(
            strings.endOthersTitle, place: .settings, act: strings.endOthers, at: "/settings/sessions/others",
            back: SettingsTab.sessions.link
        ) {
            ul { for session in others { li { names(session).name } } }
            p { strings.endOthersIntro }
        }
    }

    /// Returns the name of a session, and for a device the program that it sent.
    private func names(_ session: LiveSessions.Output) -> (name: String, detail: String?) {
        let program = session.userAgent.map(UserAgent.init).flatMap(text)
        if [Accounts.order.clientID, Accounts.browserOrder.clientID].contains(session.clientID) {
            return (program ?? strings.unknown, nil)
        }
        let client = clients[session.clientID]?.name ?? session.clientID
        return (session.deviceName.map { "\(client) · \($0)" } ?? client, program)
    }

    private func text(_ agent: UserAgent) -> String? {
        guard let program = agent.program, let system = agent.system else { return agent.program ?? agent.system }
        return strings.on(program, system)
    }
}
