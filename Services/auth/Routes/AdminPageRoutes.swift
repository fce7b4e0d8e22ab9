import HTTP
import Identity
import Text
import Values
import Web

/// The pages of users, for administrators.
extension Routes {
    private static let rowsOnPage = 50
    /// The newest audit rows on the page of a user.
    private static let recentRows = 10

    /// `q` (the beginning of an address, or an id) and `cursor`.
    func showUsers(_ request: Request, caller: Principal) async throws -> Response {
        let search = try AdminUsers.Search(request.query)
        let users = try await admin.list(search, limit: Self.rowsOnPage)
        return AdminUsersPage(
            viewer: site.viewer(request, caller), text: (request.query["q"] ?? "").trimmed, isFirst: request.query["cursor"] == nil,
            users: users, next: users.last.map(search.cursor)
        ).show()
    }

    /// `done`: the act that led here.
    func showUserPage(_ request: Request, caller: Principal) async throws -> Response {
        let pages = try await pages(request, caller)
        let recent = try await admin.audit(of: pages.profile.user.id, before: nil, limit: Self.recentRows)
        return pages.show(done: request.query["done"].flatMap(AdminAct.init), recent: recent)
    }

    /// `cursor`
    func showAudit(_ request: Request, caller: Principal) async throws -> Response {
        let before = try Self.auditCursor(request)
        let pages = try await pages(request, caller)
        let rows = try await admin.audit(of: pages.profile.user.id, before: before, limit: Self.rowsOnPage)
        return pages.showAudit(rows, isFirst: before == nil)
    }

    /// Asks once. Leads back to the user where the act would change nothing.
    func askAct(_ request: Request, caller: Principal) async throws -> Response {
        let act = try Self.act(request)
        let pages = try await pages(request, caller)
        guard pages.profile.user.id != caller.userID else { return pages.refuseOwn() }
        guard act.fits(pages.profile) else { return pages.viewer.seeOther(pages.link) }
        return pages.ask(act)
    }

    /// A form without fields → 303 to the user. The same act again changes nothing.
    func submitAct(_ request: Request, caller: Principal) async throws -> Response {
        let act = try Self.act(request)
        let pages = try await pages(request, caller)
        switch try await admin.change(pages.profile.user.id, act.change, by: caller.userID, client: ClientInfo(request)) {
        case .changed: return pages.viewer.seeOther(pages.link.with("done", act.rawValue))
        case .unknown: throw Problem.notFound("This user")
        case .own: return pages.refuseOwn()
        }
    }

    private static func act(_ request: Request) throws(Problem) -> AdminAct {
        guard let act = AdminAct(rawValue: request.pathParameters["act"]) else { throw .notFound("This act") }
        return act
    }

    private func pages(_ request: Request, _ caller: Principal) async throws -> AdminUserPages {
        guard let profile = try await admin.find(try Self.user(request)) else { throw Problem.notFound("This user") }
        return AdminUserPages(viewer: site.viewer(request, caller), profile: profile, clients: devices.clients)
    }
}
