import HTTP
import Identity
import Values
import Web

/// The pages by which a user sees its sessions, and ends them.
extension Routes {
    /// `done=ended|others`.
    func showSessions(_ request: Request, caller: Principal) async throws -> Response {
        let settings = try await settings(request, caller)
        return pages(settings).list(done: request.query["done"])
    }

    private func pages(_ settings: Settings) -> SessionPages {
        SessionPages(viewer: settings.viewer, sessions: settings.profile.sessions, clients: devices.clients)
    }

    func askEndOfSession(_ request: Request, caller: Principal) async throws -> Response {
        let pages = pages(try await settings(request, caller))
        guard let session = pages.sessions.first(where: { $0.id.description == request.pathParameters["id"] }) else {
            throw Problem.notFound("This session")
        }
        return pages.confirmEnd(of: session)
    }

    /// A form without fields → 303.
    func submitEndOfSession(_ request: Request, caller: Principal) async throws -> Response {
        try await endSession(of: caller, request)
        return site.viewer(request, caller).seeOther(SettingsTab.sessions.link.with("done", "ended"))
    }

    func askEndOfOthers(_ request: Request, caller: Principal) async throws -> Response {
        pages(try await settings(request, caller)).confirmEndOfOthers()
    }

    /// A form without fields → 303.
    func submitEndOfOthers(_ request: Request, caller: Principal) async throws -> Response {
        try await endOtherSessions(of: caller, request)
        return site.viewer(request, caller).seeOther(SettingsTab.sessions.link.with("done", "others"))
    }
}
