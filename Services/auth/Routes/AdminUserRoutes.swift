import HTTP
import Identity
import JSON
import Text
import Values

/// The users, for administrators.
extension Routes {
    /// `q` (the beginning of an address, or an id), `limit` and `cursor` → a page.
    func listUsers(_ request: Request, caller: Principal) async throws -> Response {
        let search = try AdminUsers.Search(request.query)
        let users = try await admin.list(search, limit: Self.limit(request))
        return Self.answer(users, cursor: search.cursor) { user, json in Self.writeAdmin(user, to: &json) }
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
        let rows = try await admin.audit(of: user, before: Self.auditCursor(request), limit: Self.limit(request))
        return Self.answer(rows, cursor: \.id.description) { row, json in
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

    static func user(_ request: Request) throws(Problem) -> UserID {
        guard let id = UserID(request.pathParameters["id"]) else { throw .notFound("This user") }
        return id
    }

    static func auditCursor(_ request: Request) throws(Problem) -> AuditID? {
        try request.query.cursor { AuditID($0) }
    }

    private static func limit(_ request: Request) throws(Problem) -> Int {
        try request.query.integer("limit", default: 50, in: 1...100)
    }

    private static func answer<Row>(
        _ page: ListPage<Row>, cursor: (Row) -> String, _ write: (Row, inout JSONWriter) -> Void
    ) -> Response {
        .object(200) { json in
            json.field("object", "list")
            json.array("data") { array in for row in page.rows { array.object { write(row, &$0) } } }
            json.field("next_cursor", page.last.map(cursor))
        }
    }

    private static func writeAdmin(_ user: User, to json: inout JSONWriter) {
        write(user, to: &json)
        json.field("active", user.isActive)
        json.field("created_at", user.createdAt.description)
    }
}

extension AdminUsers.Search {
    /// Reads `q` and `cursor`.
    init(_ query: Query) throws(Problem) {
        let text = (try query.optionalString("q") ?? "").trimmed
        guard text.unicodeScalars.count <= 254 else { throw Problem.invalidRequest("`q` must have at most 254 characters.", param: "q") }
        if text.isEmpty {
            self = .all(before: try query.cursor { UserID($0) })
        } else if let id = UserID(text) {
            // One user has one page.
            _ = try query.cursor { _ in UserID?.none }
            self = .id(id)
        } else {
            self = .address(beginning: text.lowercased(), after: try query.cursor { EmailAddress($0) })
        }
    }

    /// The cursor of the page after a user.
    func cursor(_ last: User) -> String {
        if case .address = self { last.email } else { last.id.description }
    }
}

extension Query {
    /// Reads `cursor`, if there is one.
    fileprivate func cursor<Cursor>(_ read: (String) -> Cursor?) throws(Problem) -> Cursor? {
        guard let text = try optionalString("cursor") else { return nil }
        guard let cursor = read(text) else {
            throw .invalidRequest("`cursor` is not valid; use `next_cursor` of the previous page.", param: "cursor")
        }
        return cursor
    }
}
