import JSON
import Postgres
import Telemetry
import Values

/// A walk over one of Stripe's lists by the time of creation, in slices. A slice that was seen to its end is never seen again, so a run
/// that breaks off goes on where it was, after an outage of any length.
struct ListWalk: Sendable {
    /// The name of the row that keeps how far the walk has come.
    let name: String
    let path: String
    let query: StripeForm
    /// The age that objects have when they are seen.
    var age = Duration.zero

    /// The first slice of a run. A slice that fits one page makes the next twice as long.
    static let slice = Duration.seconds(3_600)
    /// Times of Stripe have seconds only, and an object may be listed late.
    static let overlap = Duration.seconds(3_600)
    /// Objects change after their creation: a session is paid within hours or weeks, an invoice within a month, and a dispute ends within
    /// months.
    static let ages: [Duration] = [.seconds(3 * 3_600), .seconds(3 * 86_400), .seconds(35 * 86_400), .seconds(120 * 86_400)]
}

extension Sweeps {
    /// Walks from where the last run came to. The first run of all begins now.
    private func walk(_ list: ListWalk, _ take: (JSONObject) async throws -> Void) async throws {
        let end = clock() - list.age
        var seen = min(try await pool.first(FindSweep(name: list.name)) ?? end, end)
        var from = seen - ListWalk.overlap
        var length = ListWalk.slice
        repeat {
            seen = min(seen + length, end)
            var pages = 0
            let slice = list.query.appending("created[gte]", "\(from.seconds)").appending("created[lte]", "\(seen.seconds)")
            try await stripe.list(list.path, slice) { page in
                pages += 1
                for json in page { try await take(json) }
            }
            try await pool.execute(AdvanceSweep(name: list.name, seenUntil: seen))
            (from, length) = (seen, pages == 1 ? length * 2 : ListWalk.slice)
        } while seen < end
    }

    func sweepEvents() async throws {
        // Stripe takes at most 20 types a call.
        for first in stride(from: 0, to: EventTask.types.count, by: 20) {
            var query: StripeForm = [:]
            for type in EventTask.types[first..<min(first + 20, EventTask.types.count)] { query.append("types[]", type) }
            var found = 0
            try await walk(ListWalk(name: "events+\(first)", path: "/v1/events", query: query)) { event in
                do {
                    if try await intake.take(event) { found += 1 }
                } catch let error as StripeError {
                    log.error("event not read", error: error)
                }
            }
            if found > 0 { log.warning("events found by sweep", ["count": .integer(found)]) }
        }
    }

    /// Asks for nothing that billing has settled already.
    func sweepObjects() async throws {
        for age in ListWalk.ages {
            func list(_ name: String, _ query: StripeForm = [:], _ take: (JSONObject) async throws -> Void) async throws {
                try await walk(
                    ListWalk(name: "\(name)+\(age.components.seconds / 3_600)h", path: "/v1/\(name)", query: query, age: age), take)
            }
            try await list("checkout/sessions", ["status": "complete"]) { json in
                guard case .session(let id) = try EventTask(type: "checkout.session.completed", object: json) else { return }
                guard try await pool.first(PurchaseOfSession(sessionID: id))?.status != .paid else { return }
                try await settle("session", id) { try await settlement.settleSession(id) }
            }
            try await list("subscriptions", ["status": "all"]) { json in
                let id = try json.stripeString("id")
                try await settle("subscription", id) { try await settlement.syncSubscription(id) }
            }
            try await list("invoices", ["status": "paid"]) { json in
                let id = try json.stripeString("id")
                guard try await pool.first(FindInvoice(id: id)) == nil else { return }
                try await settle("invoice", id) { try await settlement.settleInvoice(id) }
            }
            for returns in ["refunds", "disputes"] {
                try await list(returns) { json in
                    guard let payment = try json.stripeID("payment_intent") else { return }
                    try await settle("payment", payment) { try await settlement.settleReturns(ofPayment: payment) }
                }
            }
        }
    }
}
