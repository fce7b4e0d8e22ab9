import HTTP
import Identity
import JSON
import Values

/// The users, for administrators.
extension Routes {
    /// `q` (the beginning of an address, or an id), `limit` and `cursor` → a page, the newest first.
    func listUsers(_ request: Request, caller: Principal) async throws -> Response {
        let search = try request.query.optionalString("q")
        if let search, search.utf8.count > 254 || search.utf8.contains(0) {
            throw Problem.invalidRequest("`q` must have at most 254 bytes.", param: "q")
        }
        let (limit, before): (Int, UserID?) = try Self.page(request)
        let users = try await admin.list(search, before: before, limit: limit)
        return Self.page(users, limit: limit, cursor: \.id.description) { user, json in Self.writeAdmin(user, to: &json) }
    }

    func showUser(_ request: Request, caller: Principal) async throws -> Response {
        guard let profile = try await admin.find(try Self.user(request)) else { throw Problem.notFound("This user") }
        return .object(200) { json in
            Self.writeAdmin(profile.user, to: &json)
            json.array("sessions") { array in
                for session in profile.sessions { array.object { Self.write(session, current: nil, to: &$0) } }
            }
        }
    }

    func auditOfUser(_ request: Request, caller: Principal) async throws -> Response {
        let user = try Self.user(request)
        let (limit, before): (Int, AuditID?) = try Self.page(request)
        let rows = try await admin.audit(of: user, before: before, limit: limit)
        return Self.page(rows, limit: limit, cursor: \.id.description) { row, json in
            json.field("id", row.id.description)
            json.field("at", row.at.description)
            json.field("event", row.event)
            json.field("outcome", row.outcome)
            json.field("subject", row.subject)
            json.field("ip", row.ip)
            json.field("user_agent", row.userAgent)
        }
    }

    func deactivateUser(_ request: Request, caller: Principal) async throws -> Response {
        try await change(.deactivate, request, caller)
    }

    func reactivateUser(_ request: Request, caller: Principal) async throws -> Response {
        try await change(.reactivate, request, caller)
    }

    /// {role: user | admin}
    func setRole(_ request: Request, caller: Principal) async throws -> Response {
        guard let role = User.Role(rawValue: try request.json().string("role")) else {
            throw Problem.invalidRequest("`role` must be user or admin.", param: "role")
        }
        return try await change(.role(role), request, caller)
    }

    func endSessionsOfUser(_ request: Request, caller: Principal) async throws -> Response {
        try await change(.endSessions, request, caller)
    }

    private func change(_ change: AdminUsers.Change, _ request: Request, _ caller: Principal) async throws -> Response {
        switch try await admin.change(try Self.user(request), change, by: caller.userID, client: ClientInfo(request)) {
        case .changed(let user): return .object(200) { Self.writeAdmin(user, to: &$0) }
        case .unknown: throw Problem.notFound("This user")
        case .own: throw Problem.conflict("An administrator cannot change the own account; another administrator can.")
        }
    }

    private static func user(_ request: Request) throws(Problem) -> UserID {
        guard let id = UserID(request.pathParameters["id"]) else { throw .notFound("This user") }
        return id
    }

    private static func page<Cursor: TypedID>(_ request: Request) throws(Problem) -> (limit: Int, before: Cursor?) {
        let limit = try request.query.integer("limit", default: 50, in: 1...100)
        guard let text = try request.query.optionalString("cursor") else { return (limit, nil) }
        guard let cursor = Cursor(text) else {
            throw .invalidRequest("`cursor` is not valid; use `next_cursor` of the previous page.", param: "cursor")
        }
        return (limit, cursor)
    }

    private static func page<Row>(
        _ rows: [Row], limit: Int, cursor: (Row) -> String, _ write: (Row, inout JSONWriter) -> Void
    ) -> Response {
        .object(200) { json in
            json.field("object", "list")
            json.array("data") { array in for row in rows { array.object { write(row, &$0) } } }
            json.field("next_cursor", rows.count == limit ? rows.last.map(cursor) : nil)
        }
    }

    private static func writeAdmin(_ user: User, to json: inout JSONWriter) {
        write(user, to: &json)
        json.field("active", user.isActive)
        json.field("created_at", user.createdAt.description)
    }
}
