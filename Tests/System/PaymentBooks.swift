import HTTPClient
import JSON
import Postgres
import TestSupport
import Testing
import Values

/// Compares what Stripe, billing and the ledger have of payments, by the superuser, past every service.
extension Gateway {
    /// Waits until everything that was paid has arrived, and compares the three.
    func expectPaymentsAgree(of payers: [Payer], _ comment: Comment? = nil) async throws {
        try await workOffEvents()
        try await until("the ledger has every effect", within: .seconds(60)) { try await self.database.query(UndeliveredEffects()).isEmpty }
        #expect(try await database.query(WrongEffects()).isEmpty, comment)
        #expect(try await database.query(EntriesWithoutEffect()).isEmpty, comment)
        #expect(try await database.query(DeadEvents()).isEmpty, comment)
        let bonuses = try await bonuses()
        let oracle = try await oracle()
        for payer in payers {
            let account = payer.account
            let atStripe = try await stripeObjects(of: account, bonuses)
            let rows = try await database.query(RowsOfUser(account: account.id))
            #expect(Set(rows).symmetricDifference(atStripe).sorted() == [], comment)
            #expect(atStripe.count { $0.hasPrefix("customer ") } <= 1, comment)
            let running = atStripe.filter { $0.hasPrefix("subscription ") && !$0.contains(" canceled ") }
            #expect(running.count <= 1, comment)
            // A user who never got to the checkout is no customer of Stripe's.
            let expected = try oracle.optionalObject("\(account.id)")
            let books = try await books(of: account)
            #expect(books.posted == Credits(whole: 10) + Credits(nano: try expected?.integer("nano") ?? 0), comment)
            #expect(books.journal == books.posted, comment)
            #expect(books.held == .zero, comment)
            #expect(try await subscription(of: payer).string("plan") == (try expected?.string("plan") ?? "free"), comment)
        }
    }

    /// Returns what each user should have, worked out by a program of its own from Stripe's objects alone.
    private func oracle() async throws -> JSONObject {
        let run = try await ChildProcess.run(
            "/usr/bin/python3", ["-B", PythonEnvironment.path(of: "../Services/billing/Stripe/oracle.py"), try stack.stripeSimulator])
        guard run.status == 0 else { throw Stack.Failure(description: run.output) }
        return try JSONObject(Array(run.output.utf8))
    }

    /// Returns the credits and the bonus of each package, as `100+5`, by its price in cents.
    private func bonuses() async throws -> [Int64: String] {
        Dictionary(uniqueKeysWithValues: try await database.query(PackagePrices()).map { ($0.cents, $0.grants) })
    }

    /// Describes what Stripe has of a user, a line for each object, sorted. ``RowsOfUser`` has the same lines of billing.
    private func stripeObjects(of account: Account, _ bonuses: [Int64: String]) async throws -> [String] {
        var lines: [String] = []
        for customer in try await stripeList("/v1/customers?limit=100&email=\(account.email)") {
            let id = try customer.string("id")
            lines.append("customer \(id)")
            for session in try await stripeList("/v1/checkout/sessions?limit=100&customer=\(id)") {
                let (status, cents) = (try session.string("status"), try session.integer("amount_subtotal"))
                let grants = try session.string("mode") == "payment" && status == "complete" ? bonuses[cents] ?? "no package" : "nothing"
                lines.append("session \(try session.string("id")) \(status == "complete" ? "paid" : status) \(cents) \(grants)")
            }
            for subscription in try await stripeList("/v1/subscriptions?limit=100&status=all&customer=\(id)") {
                let items = try subscription.object("items").array("data").compactMap(\.object)
                let item = try #require(items.first)
                let end = try subscription.optionalInteger("cancel_at").map { "\($0)" } ?? "none"
                lines.append(
                    """
                    subscription \(try subscription.string("id")) \(try subscription.string("status")) \(try item.object("price").string("id")) \
                    \(try item.integer("current_period_end")) \(end)
                    """)
            }
            for invoice in try await stripeList("/v1/invoices?limit=100&status=paid&customer=\(id)") {
                lines.append("invoice \(try invoice.string("id")) \(try invoice.integer("total"))")
            }
        }
        return lines.sorted()
    }
}

/// The rows of a user in billing's tables, a line for each object of Stripe's. A paid order has the credits that it gave.
private struct RowsOfUser: Statement {
    static let sql = """
        SELECT 'customer ' || stripe_customer_id FROM billing.customer WHERE user_id = $1 AND stripe_customer_id IS NOT NULL
        UNION ALL
        SELECT concat_ws(' ', 'session', coalesce(session_id, 'none'), status, amount_cents, coalesce((
            SELECT string_agg(trim_scale(amount_nano / 1e9)::text, '+' ORDER BY effect.kind DESC)
            FROM billing.effect
            WHERE source = 'purchase:' || purchase.id), 'nothing'))
        FROM billing.purchase
        WHERE user_id = $1 AND (session_id IS NOT NULL OR status <> 'expired')
        UNION ALL
        SELECT concat_ws(' ', 'subscription', id, status, price_id, extract(epoch FROM period_end)::bigint,
            coalesce(extract(epoch FROM cancel_at)::bigint::text, 'none'))
        FROM billing.subscription
        WHERE user_id = $1
        UNION ALL
        SELECT concat_ws(' ', 'invoice', id, total_cents, review)
        FROM billing.invoice
        WHERE user_id = $1
        """
    typealias Output = String
    var account: AccountID

    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}

private struct PackagePrices: Statement {
    static let sql = "SELECT price_cents, concat_ws('+', credits, nullif(bonus, 0)) FROM billing.package"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> (cents: Int64, grants: String) { (try row.next(), try row.next()) }
}

/// The effects without an entry in the journal, and the reversals that the ledger has not decided.
private struct UndeliveredEffects: Statement {
    static let sql = """
        SELECT effect_key
        FROM billing.effect
        WHERE NOT EXISTS (SELECT FROM ledger.journal WHERE journal.charge_id = effect.charge_id AND status = 0 AND seq > 0)
        UNION ALL
        SELECT DISTINCT effect_key || ' reversed'
        FROM billing.reversal
        WHERE NOT EXISTS (SELECT FROM ledger.journal WHERE journal.charge_id = reversal.charge_id AND seq > 0)
        """
    typealias Output = String
}

/// The effects that the ledger has not granted exactly once, or whose credits it has not taken back as the last reversal says.
private struct WrongEffects: Statement {
    static let sql = """
        SELECT concat_ws(' ', effect_key, 'has', amount_nano, 'granted', count(journal.charge_id), 'times:', sum(posted_delta))
        FROM billing.effect
        LEFT JOIN ledger.journal ON journal.charge_id = effect.charge_id AND journal.account_id = effect.account_id
            AND journal.kind IN (20, 21, 22) AND journal.status = 0 AND journal.seq > 0
        GROUP BY effect_key, amount_nano
        HAVING count(journal.charge_id) <> 1 OR sum(posted_delta) <> amount_nano
        UNION ALL
        SELECT concat_ws(' ', effect_key, 'should lose', target, 'and lost', taken)
        FROM (
            SELECT effect_key,
                coalesce((
                    SELECT target_nano FROM billing.reversal
                    WHERE reversal.effect_key = effect.effect_key
                    ORDER BY version DESC
                    LIMIT 1), 0) AS target,
                coalesce((
                    SELECT -sum(posted_delta) FROM ledger.journal
                    WHERE grant_id = effect.charge_id AND account_id = effect.account_id AND kind = 26 AND seq > 0), 0) AS taken
            FROM billing.effect) AS reversed
        WHERE target <> taken
        """
    typealias Output = String
}

/// The grants of the ledger that neither billing nor an administrator ordered.
private struct EntriesWithoutEffect: Statement {
    static let sql = """
        SELECT charge_id::text
        FROM ledger.journal
        WHERE kind IN (20, 21, 22) AND seq > 0 AND (metadata ->> 'admin_id') IS NULL
            AND NOT EXISTS (SELECT FROM billing.effect WHERE effect.charge_id = journal.charge_id)
        """
    typealias Output = String
}

private struct DeadEvents: Statement {
    static let sql = "SELECT concat_ws(' ', id, type, last_error) FROM billing.stripe_event WHERE state = 'dead'"
    typealias Output = String
}
