import HTTP
import Identity
import JSON
import Telemetry

/// `/api/admin/providers`: the providers and their switch, for administrators.
struct AdminProviders: Sendable {
    let providers: ProviderAdministration
    let log: Logger

    func list(_ request: Request, administrator: Principal) async throws -> Response {
        let all = try await providers.list()
        return .object(200) { json in
            json.array("providers") { list in for provider in all { list.object { write(provider, to: &$0) } } }
        }
    }

    /// Calls go to the provider again.
    func enable(_ request: Request, administrator: Principal) async throws -> Response {
        try await put(request, isEnabled: true, by: administrator)
    }

    /// No new call goes to the provider. Running calls end as they would.
    func disable(_ request: Request, administrator: Principal) async throws -> Response {
        try await put(request, isEnabled: false, by: administrator)
    }

    private func put(_ request: Request, isEnabled: Bool, by administrator: Principal) async throws -> Response {
        let name = request.pathParameters["name"]
        guard let (provider, isChanged) = try await providers.put(name, isEnabled: isEnabled) else {
            throw Problem.notFound("This provider")
        }
        if isChanged {
            log.info(
                "provider changed",
                ["provider": .string(name), "is_enabled": .string("\(isEnabled)"), "admin.id": .describing(administrator.userID)],
                trace: request.trace)
        }
        return .object(200) { write(provider, to: &$0) }
    }

    private func write(_ provider: ListedProvider, to json: inout JSONWriter) {
        json.field("name", provider.name)
        json.field("kind", provider.kind)
        json.field("base_url", provider.baseURL)
        json.field("is_enabled", provider.isEnabled)
        json.field("has_key", providers.configured.contains(provider.name))
        json.array("models") { list in for model in provider.models { list.string(model) } }
    }
}
