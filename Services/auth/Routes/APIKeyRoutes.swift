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
        case .createdBefore: throw Problem.conflict("The form has made a key before.")
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
        try await revokeKey(of: caller, request)
        return .noContent
    }

    /// Revokes the key that the path names.
    func revokeKey(of caller: Principal, _ request: Request) async throws {
        let id = APIKeyID(rawValue: request.pathParameters["id"])
        guard id.rawValue.utf8.count == 10, id.rawValue.utf8.allSatisfy(Base62.isDigit),
            try await keys.revoke(id, of: caller.userID, client: ClientInfo(request))
        else { throw Problem.notFound("This key") }
    }

    private static func order(_ body: JSONObject, now: Instant) throws -> APIKeys.Order {
        let expiresAt = try body.optionalString("expires_at").map { try expiry(Instant($0), now: now) }
        let daily = try body.optionalDecimalText("daily_limit").map { try limit("daily_limit", $0) }
        let monthly = try body.optionalDecimalText("limit").map { try limit("limit", $0) }
        let scopes = try body.optionalArray("scopes").map { try Self.scopes($0.map { $0.string ?? "" }) }
        return APIKeys.Order(
            name: try keyName(body.string("name")), scopes: scopes ?? APIKeys.knownScopes.sorted(), expiresAt: expiresAt,
            limits: SpendingLimits(daily: daily, monthly: monthly))
    }

    // MARK: Reading, for programs and for forms

    static func keyName(_ text: String) throws(Problem) -> String {
        guard let name = DisplayName(text, lengthMax: 64), !name.text.isEmpty else {
            throw .invalidRequest("`name` must have 1 to 64 characters, all of them visible.", param: "name")
        }
        return name.text
    }

    /// The scopes of a key stand in its row: a scope that is added later does not widen it.
    static func scopes(_ asked: [String]) throws(Problem) -> [String] {
        guard !asked.isEmpty, APIKeys.knownScopes.isSuperset(of: asked) else {
            throw .invalidRequest(
                "`scopes` must have at least one of: \(APIKeys.knownScopes.sorted().joined(separator: ", ")). Leave it out for all.",
                param: "scopes")
        }
        return Set(asked).sorted()
    }

    /// - Parameter instant: nil for a text that is no time.
    static func expiry(_ instant: Instant?, now: Instant) throws(Problem) -> Instant {
        guard let instant, instant > now else {
            throw .invalidRequest("`expires_at` must be a time in the future, like 2030-01-31T12:00:00Z.", param: "expires_at")
        }
        return instant
    }

    static func limit(_ name: String, _ text: String) throws(Problem) -> Credits {
        guard let credits = Credits(decimal: text), credits > .zero else {
            throw .invalidRequest("`\(name)` must be a positive number of credits with at most 9 fraction digits.", param: name)
        }
        return credits
    }
}
