import Contracts
import Crypto
import HTTP
import Identity
import JSON
import Values

extension Routes {
    /// {name, scopes?, expires_at?, limit?, daily_limit?} → 201 with the key, this once. From a
    /// session only: a key must not make keys.
    func createKey(_ request: Request, caller: Principal) async throws -> Response {
        guard let session = caller.sessionID else { throw Problem.sessionRequired }
        let order = try Self.order(request.json(), now: keys.clock())
        switch try await keys.create(order, for: caller.userID, from: session, client: ClientInfo(request)) {
        case .created(let record, let key):
            return .object(201) { json in
                Self.write(record, to: &json)
                json.field("key", key)
            }
        case .tooMany: throw Problem.conflict("The limit of \(APIKeys.perUserMax) keys is reached; revoke one first.")
        case .deactivated: throw Problem.userDeactivated
        case .sessionEnded: throw Problem.tokenRevoked
        }
    }

    func listKeys(_ request: Request, caller: Principal) async throws -> Response {
        let records = try await keys.list(of: caller.userID)
        return .object(200) { json in
            json.field("object", "list")
            json.array("data") { array in for record in records { array.object { Self.write(record, to: &$0) } } }
        }
    }

    /// 204; 404 for a key that is not the caller's, as for one that never was.
    func revokeKey(_ request: Request, caller: Principal) async throws -> Response {
        let id = APIKeyID(rawValue: request.pathParameters["id"])
        guard id.rawValue.utf8.count == 10, id.rawValue.utf8.allSatisfy(Base62.isDigit),
            try await keys.revoke(id, of: caller.userID, client: ClientInfo(request))
        else { throw Problem.notFound("This key") }
        return .noContent
    }

    private static func order(_ body: JSONObject, now: Instant) throws -> APIKeys.Order {
        guard let name = try fullName(try body.string("name")), name.unicodeScalars.count <= 64 else {
            throw Problem.invalidRequest("`name` must have 1 to 64 characters.", param: "name")
        }
        let expiresAt = try body.optionalString("expires_at").map { text in
            guard let instant = Instant(text), instant > now else {
                throw Problem.invalidRequest("`expires_at` must be a time in the future, like 2030-01-31T12:00:00Z.", param: "expires_at")
            }
            return instant
        }
        let limits = SpendingLimits(daily: try limit("daily_limit", in: body), monthly: try limit("limit", in: body))
        return APIKeys.Order(name: name, scopes: try scopes(in: body), expiresAt: expiresAt, limits: limits)
    }

    /// The scopes of a key stand in its row: a scope that is added later does not widen it.
    private static func scopes(in body: JSONObject) throws -> [String] {
        guard let asked = try body.optionalArray("scopes") else { return APIKeys.knownScopes.sorted() }
        let scopes = asked.map { $0.string.flatMap { APIKeys.knownScopes.contains($0) ? $0 : nil } }
        guard !scopes.isEmpty, !scopes.contains(nil) else {
            throw Problem.invalidRequest(
                "`scopes` must have at least one of: \(APIKeys.knownScopes.sorted().joined(separator: ", ")). Leave it out for all.",
                param: "scopes")
        }
        return Set(scopes.compactMap { $0 }).sorted()
    }

    private static func limit(_ name: String, in body: JSONObject) throws -> Credits? {
        guard let text = try body.optionalDecimalText(name) else { return nil }
        guard let credits = Credits(decimal: text), credits > .zero else {
            throw Problem.invalidRequest("`\(name)` must be a positive number of credits with at most 9 fraction digits.", param: name)
        }
        return credits
    }
}
