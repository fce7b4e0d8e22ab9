import HTTP
import Identity
import JSON
import Postgres
import Telemetry
import Values

// Payments that wait for an administrator.
extension Routes {
    /// `limit` (1…100, 20 by default) and `before`, the `since` of the last row of the page before.
    func listReviews(_ request: Request, caller: Principal) async throws -> Response {
        let before = try request.query.optionalTime("before")
        let limit = try request.query.integer("limit", default: 20, in: 1...100)
        let reviews = try await billing.pool.query(ListReviews(before: before, limit: Int64(limit)))
        return .object(200) { json in
            json.array("reviews") { json in for review in reviews { json.object { review.encode(into: &$0) } } }
        }
    }

    /// Decides a payment again, after its cause was mended. Answers with the reason if it must still wait.
    func decideReview(_ request: Request, caller: Principal) async throws -> Response {
        let id = request.pathParameters["id"]
        guard let review = try await billing.pool.first(FindReview(id: id)) else {
            throw Problem.notFound("A payment with this id that waits for an administrator")
        }
        let remaining = try await decide(review, caller, request.trace)
        return .object(200) { json in
            json.field("id", id)
            json.field("review", remaining?.reason)
        }
    }

    /// Ends a review without credits: the administrator has refunded the payment or granted by hand.
    func closeReview(_ request: Request, caller: Principal) async throws -> Response {
        let id = request.pathParameters["id"]
        guard let review = try await pool.first(FindReview(id: id)), try await close(review, caller, request.trace) else {
            throw Problem.notFound("A purchase or an invoice with this id that waits for an administrator")
        }
        return .object(200) { $0.field("id", id) }
    }

    /// - Returns: nil if it waits no more.
    func decide(_ review: Review, _ caller: Principal, _ trace: TraceContext) async throws -> Review? {
        log.info(
            "review decided again", ["id": .string(review.id), "reason": .string(review.reason), "admin": .describing(caller.userID)],
            trace: trace)
        return try await billing.decideAgain(review)
    }

    /// - Returns: false for a subscription, which waits until its price is known or it ends.
    func close(_ review: Review, _ caller: Principal, _ trace: TraceContext) async throws -> Bool {
        guard try await pool.one(CloseReview(id: review.id)) else { return false }
        log.info("review closed", ["id": .string(review.id), "admin": .describing(caller.userID)], trace: trace)
        return true
    }
}

extension UseCases {
    /// Settles what waits for an administrator, and what was refunded or disputed of it since.
    /// - Returns: nil if it waits no more.
    func decideAgain(_ review: Review) async throws -> Review? {
        switch review.kind {
        case .purchase:
            if let id = PurchaseID(review.id) { _ = try await settlement.settlePurchase(id, decidesAgain: true) }
        case .invoice: try await settlement.settleInvoice(review.id, decidesAgain: true)
        case .subscription: try await settlement.syncSubscription(review.id)
        }
        return try await pool.first(FindReview(id: review.id))
    }
}

extension Review {
    fileprivate func encode(into json: inout JSONWriter) {
        json.field("kind", kind.rawValue)
        json.field("id", id)
        json.field("user_id", userID.description)
        json.field("reason", reason)
        json.field("since", since)
    }
}
