import Contracts
import HTTP
import Identity
import Values
import Web

/// The pages by which a user makes API keys, and revokes them.
extension Routes {
    /// `done=revoked`.
    func showKeys(_ request: Request, caller: Principal) async throws -> Response {
        async let records = keys.list(of: caller.userID)
        let settings = try await settings(request, caller)
        return KeyPages(viewer: settings.viewer).list(try await records, done: request.query["done"])
    }

    // MARK: A new key

    func showNewKey(_ request: Request, caller: Principal) async throws -> Response {
        let settings = try await settings(request, caller)
        return KeyPages(viewer: settings.viewer).create(KeyPages.blank())
    }

    /// A form {form_id, name, scope_…?, last_day?, limit?, daily_limit?} → 200 with the key, this once. The
    /// same form again makes no second key.
    func submitNewKey(_ request: Request, caller: Principal) async throws -> Response {
        guard let session = caller.sessionID else { throw Problem.sessionRequired }
        var sent = try FormInput(request)
        let settings = try await settings(request, caller)
        let pages = KeyPages(viewer: settings.viewer)
        guard let order = try order(&sent, settings.viewer) else { return pages.create(sent, status: 400) }
        switch try await keys.create(order, for: caller.userID, from: session, client: ClientInfo(request)) {
        case .created(let record, let key):
            return pages.created(record, key: key, publicURL: publicURL)
        case .createdBefore(let record): return pages.createdBefore(record)
        case .tooMany:
            sent.refuse("name", KeyStrings(language: settings.viewer.language).tooMany(APIKeys.perUserMax))
            return pages.create(sent, status: 409)
        case .deactivated: throw Problem.userDeactivated
        case .sessionEnded: throw Problem.tokenRevoked
        }
    }

    /// Reads a form, or notes its errors.
    private func order(_ sent: inout FormInput, _ viewer: Viewer) throws(Problem) -> APIKeys.Order? {
        guard let form = KeyFormID(sent["form_id"]) else {
            throw .invalidRequest("`form_id` must be that of a form; open the page again.", param: "form_id")
        }
        let (strings, now) = (KeyStrings(language: viewer.language), keys.clock())
        let name = sent.read("name", strings.wrongName, Self.keyName)
        let boxes = APIKeys.knownScopes.filter { [sent] in sent.isOn(KeyPages.field(of: $0)) }
        let scopes = sent.read("scopes", strings.noScope) { _ throws(Problem) in try Self.scopes(Array(boxes)) }
        let end = sent.readOptional("last_day", strings.wrongDay) { text throws(Problem) in
            try Self.expiry(viewer.end(ofDay: text), now: now)
        }
        let monthly = sent.readOptional("limit", strings.wrongLimit) { text throws(Problem) in try Self.limit("limit", text) }
        let daily = sent.readOptional("daily_limit", strings.wrongLimit) { text throws(Problem) in try Self.limit("daily_limit", text) }
        guard sent.isFine, let name, let scopes else { return nil }
        return APIKeys.Order(
            name: name, scopes: scopes, expiresAt: end, limits: SpendingLimits(daily: daily, monthly: monthly), formID: form)
    }

    // MARK: The end of a key

    func askRevocation(_ request: Request, caller: Principal) async throws -> Response {
        let found = try await keys.list(of: caller.userID).first { $0.id.rawValue == request.pathParameters["id"] }
        guard let key = found else { throw Problem.notFound("This key") }
        return KeyPages(viewer: await viewer(request, caller)).confirmRevocation(of: key)
    }

    /// A form without fields → 303.
    func submitRevocation(_ request: Request, caller: Principal) async throws -> Response {
        try await revokeKey(of: caller, request)
        return site.viewer(request, caller).seeOther(SettingsTab.keys.link.with("done", "revoked"))
    }
}
