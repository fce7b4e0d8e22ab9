import HTTP
import Identity
import JSON
import Postgres
import Telemetry
import Values

// Stripe's events, for administrators.
extension Routes {
    /// `state` (all by default), `limit` (1…100, 20 by default) and `before`, the `received_at` of the last event of the page before.
    func listEvents(_ request: Request, caller: Principal) async throws -> Response {
        let state = try request.query.optionalString("state")
        guard state == nil || ListEvents.states.contains(state ?? "") else {
            throw Problem.invalidRequest("`state` must be one of \(ListEvents.states.joined(separator: ", ")).", param: "state")
        }
        let before = try request.query.optionalTime("before")
        let limit = try request.query.integer("limit", default: 20, in: 1...100)
        let events = try await billing.pool.query(ListEvents(state: state, before: before, limit: Int64(limit)))
        return .object(200) { json in
            json.array("events") { json in for event in events { json.object { event.encode(into: &$0) } } }
        }
    }

    /// Has a dead, ignored or done event worked on again.
    func replayEvent(_ request: Request, caller: Principal) async throws -> Response {
        let id = request.pathParameters["id"]
        guard try await billing.replay(id) else { throw Problem.notFound("An ended event with this id") }
        log.info("event replayed", ["event": .string(id), "admin": .describing(caller.userID)], trace: request.trace)
        return .object(202) { $0.field("id", id) }
    }
}

extension Query {
    func optionalTime(_ name: String) throws(Problem) -> Instant? {
        guard let text = try optionalString(name) else { return nil }
        guard let time = Instant(text) else {
            throw Problem.invalidRequest("`\(name)` must be a time like 2026-11-22T09:30:00Z.", param: name)
        }
        return time
    }
}

extension UseCases {
    /// - Returns: false if there is no such event, or it is in work.
    func replay(_ id: String) async throws -> Bool {
        guard try await pool.execute(ReplayEvent(id: id)) > 0 else { return false }
        worker.wake()
        return true
    }
}

extension ListEvents.Listed {
    fileprivate func encode(into json: inout JSONWriter) {
        json.field("id", id)
        json.field("type", type)
        json.field("object_id", objectID)
        json.field("state", state)
        json.field("attempts", attempts)
        json.field("deliveries", deliveries)
        json.field("found_by", foundBy)
        json.field("created_at", createdAt)
        json.field("received_at", receivedAt)
        json.field("last_error", lastError)
    }
}
