import HTTP
import Identity
import Values
import Web

/// `/admin/users/{id}` and below: a user, the audit trail, and the acts of an administrator on the user.
struct AdminUserPages {
    let viewer: Viewer
    let profile: Accounts.Profile
    let clients: OAuthClients
    private var user: User { profile.user }
    private var strings: AdminUserStrings { AdminUserStrings(language: viewer.language) }

    static func link(_ id: UserID) -> Link { Place.adminUsers.link.segment(id.description) }
    var link: Link { Self.link(user.id) }
    private var auditLink: Link { link.segment("audit") }

    // MARK: The user

    /// - Parameters:
    ///   - done: the act that led here.
    ///   - recent: the newest audit rows.
    func show(done: AdminAct?, recent: ListPage<AuditRow>) -> Response {
        page(user.email) {
            if let done, !done.fits(profile) { notice(.done) { p { strings.done(done) } } }
            panel {
                facts(description)
                p { a(Place.adminCredits.link.segment(user.id.description)) { strings.credits } }
                acts
            }
            panel(strings.sessions) { sessions }
            panel(strings.audit) {
                AuditTable(viewer: viewer, rows: recent.rows).html
                if recent.last != nil { p(.class("pager")) { a(auditLink) { strings.wholeAudit } } }
            }
        }
    }

    private var description: [(name: String, value: HTML)] {
        [
            (strings.name, HTML(user.fullName ?? strings.none)),
            (strings.address, HTML("\(user.email) ") + tag(user.isEmailVerified ? strings.confirmed : strings.unconfirmed)),
            (strings.state, strings.tag(isActive: user.isActive)), (strings.role, strings.tag(user.role)),
            (strings.plan, bdi { user.plan }),
            (strings.registered, viewer.moment(user.createdAt)),
            (strings.pages, HTML("\(Language(rawValue: user.preferences.locale)?.name ?? "") · \(user.preferences.timeZone)")),
            (strings.id, code { user.id.description }),
        ]
    }

    @HTMLBuilder private var acts: HTML {
        if viewer.principal?.userID == user.id {
            p(.class("muted")) { strings.own }
        } else {
            div(.class("buttons")) {
                for act in AdminAct.allCases where act.fits(profile) {
                    linkButton(strings.name(of: act), link.segment(act.rawValue), act.kind == .danger ? .danger : .secondary)
                }
            }
        }
    }

    @HTMLBuilder private var sessions: HTML {
        if profile.sessions.isEmpty {
            emptyState(strings.noSessions)
        } else {
            rows(profile.sessions.map { (SessionEntry(viewer: viewer, clients: clients, session: $0).html, .empty) })
        }
    }

    // MARK: The audit trail

    /// - Parameter isFirst: true for the page with the newest rows.
    func showAudit(_ rows: ListPage<AuditRow>, isFirst: Bool) -> Response {
        page(strings.audit) {
            p(.class("muted")) { a(link) { user.email } }
            panel {
                AuditTable(viewer: viewer, rows: rows.rows).html
                pager(viewer, first: isFirst ? nil : auditLink, next: rows.last.map { auditLink.with("cursor", $0.id.description) })
            }
        }
    }

    private func page(_ title: String, @HTMLBuilder content: () -> HTML) -> Response {
        viewer.show(Page(title, place: .adminUsers, isWide: true)) {
            h1 { title }
            content()
        }
    }

    // MARK: Acts

    func ask(_ act: AdminAct) -> Response {
        viewer.confirm(
            strings.title(of: act), place: .adminUsers, act: strings.name(of: act), act.kind, at: link.segment(act.rawValue), back: link
        ) {
            facts([
                (strings.address, HTML(user.email)), (strings.name, HTML(user.fullName ?? strings.none)),
                (strings.id, code { user.id.description }),
            ])
            p { strings.consequence(of: act) }
        }
    }

    /// An administrator cannot act on the own account.
    func refuseOwn() -> Response {
        viewer.show(Page(strings.ownTitle, status: 409, place: .adminUsers)) {
            panel {
                h1 { strings.ownTitle }
                p { strings.own }
                linkButton(strings.back, link, .primary)
            }
        }
    }
}
