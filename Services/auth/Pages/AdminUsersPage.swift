import HTTP
import Values
import Web

/// `/admin/users`: the users, page by page, and the search for one.
struct AdminUsersPage {
    let viewer: Viewer
    /// The beginning of an address, or an id; empty for all users.
    let text: String
    let isFirst: Bool
    let users: ListPage<User>
    /// The `cursor` of the next page; nil on the last one.
    let next: String?
    private var strings: AdminUserStrings { AdminUserStrings(language: viewer.language) }

    private static let all = Place.adminUsers.link

    func show() -> Response {
        let form = Form(viewer, FormInput(["q": text]))
        return viewer.show(Page(strings.title, place: .adminUsers, isWide: true)) {
            h1 { strings.title }
            form.search(Self.all) {
                form.field("q", strings.search, .search, hint: strings.searchHint)
                submit(strings.find, .secondary)
            }
            panel {
                if users.rows.isEmpty {
                    emptyState(text.isEmpty ? strings.noMore : strings.noMatch(text)) { linkButton(strings.showAll, Self.all) }
                } else {
                    table
                    pager(viewer, first: isFirst ? nil : found, next: next.map { found.with("cursor", $0) })
                }
            }
        }
    }

    /// The first page of the search.
    private var found: Link { text.isEmpty ? Self.all : Self.all.with("q", text) }

    private var table: HTML {
        dataTable(
            strings.title,
            [
                Column(strings.address, isLong: true), Column(strings.name, isMinor: true, isLong: true),
                Column(strings.plan, isMinor: true),
                Column(strings.role, isMinor: true),
                Column(strings.state), Column(strings.registered, isMinor: true),
            ],
            users.rows.map { user in
                [
                    a(AdminUserPages.link(user.id)) { user.email }, bdi { user.fullName ?? "" }, bdi { user.plan }, strings.tag(user.role),
                    strings.tag(isActive: user.isActive), viewer.day(user.createdAt),
                ]
            })
    }
}
