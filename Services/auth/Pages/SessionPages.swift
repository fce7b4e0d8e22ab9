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

    func list(done: String?) -> Response {
        viewer.show(.sessions) {
            if done == "ended" { notice(.done) { p { strings.ended } } }
            if done == "others" { notice(.done) { p { strings.othersEnded } } }
            div(.class("split")) {
                p(.class("muted")) { others.isEmpty ? strings.only : strings.intro }
                if !others.isEmpty { linkButton(strings.endOthers, "/settings/sessions/others", .danger) }
            }
            panel { rows((entries.filter(\.isCurrent) + others).map { ($0.html, act($0)) }) }
            if sessions.count == LiveSessions.countMax { p(.class("muted")) { strings.newest(LiveSessions.countMax) } }
        }
    }

    private var entries: [SessionEntry] { sessions.map { SessionEntry(viewer: viewer, clients: clients, session: $0) } }

    private var others: [SessionEntry] { entries.filter { !$0.isCurrent } }

    private func act(_ entry: SessionEntry) -> HTML {
        if entry.isCurrent { return .empty }
        return linkButton(strings.end, Link("/settings/sessions").segment(entry.session.id.description), of: entry.name)
    }

    func confirmEnd(of session: LiveSessions.Output) -> Response {
        let entry = SessionEntry(viewer: viewer, clients: clients, session: session)
        let link = Link("/settings/sessions").segment(session.id.description)
        return viewer.confirm(strings.endTitle, place: .settings, act: strings.end, at: link, back: SettingsTab.sessions.link) {
            p { strong { entry.name } }
            facts(
                (entry.program.map { [(strings.program, HTML($0))] } ?? []) + [
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
            ul { for session in others { li { session.name } } }
            p { strings.endOthersIntro }
        }
    }
}
