import Contracts
import EventLoop
import Postgres
import Synchronization
import Telemetry
import Values

/// Finds out whether the credits of a paid order are in the account, for the page that a user sees after the payment.
///
/// The ledger has the last word: an order is complete when the ledger has the charge of each grant.
final class Arrivals: Sendable {
    typealias Ask = @Sendable (QueryCharge) async throws -> ChargeReply

    private let pool: PostgresPool
    private let ask: Ask
    private let log: Logger
    private let waiters = Mutex(0)

    /// The longest time that a page waits before it shows that it waits.
    static let patience = Duration.seconds(3)
    private static let pause = Duration.milliseconds(100)
    /// Further pages do not wait. They ask once, and show that they wait.
    private static let waitersMax = 64

    init(pool: PostgresPool, log: Logger, ask: @escaping Ask) { (self.pool, self.ask, self.log) = (pool, ask, log) }

    /// Waits for the credits of a paid order.
    /// - Returns: the credits that were granted; nil if they have not all arrived within ``patience``.
    func credits(of purchase: Purchase) async throws -> Credits? {
        let waits = waiters.withLock { count in
            count += 1
            return count <= Self.waitersMax
        }
        defer { waiters.withLock { $0 -= 1 } }
        let deadline = MonotonicInstant.current() + Self.patience
        while true {
            if let credits = try await granted(purchase) { return credits }
            guard waits, MonotonicInstant.current() + Self.pause < deadline else { return nil }
            try await pool.loop.sleep(for: Self.pause)
        }
    }

    private func granted(_ purchase: Purchase) async throws -> Credits? {
        let grants = try await pool.query(FirstGrants(purchase: purchase))
        guard !grants.isEmpty else { return nil }
        for grant in grants {
            do {
                guard try await ask(QueryCharge(chargeID: grant.chargeID, accountID: grant.accountID)).state == .granted else { return nil }
            } catch {
                log.warning("charge lookup failed", ["charge.id": .describing(grant.chargeID)], error: error)
                return nil
            }
        }
        return grants.reduce(.zero) { $0 + $1.amount }
    }
}

/// Finds the grants that an order has made: all of bought credits, those of the first month of a subscription.
private struct FirstGrants: Statement {
    struct Grant: Sendable {
        var chargeID: ChargeID
        var accountID: AccountID
        var amount: Credits
    }

    static let sql = """
        SELECT charge_id, account_id, amount_nano
        FROM effect
        WHERE source = $1
        UNION ALL (
            SELECT effect.charge_id, effect.account_id, effect.amount_nano
            FROM invoice
            JOIN effect ON effect.source = 'invoice:' || invoice.id
            WHERE invoice.user_id = $2 AND invoice.plan = $3 AND invoice.billing_reason = 'subscription_create' AND invoice.paid_at >= $4
            ORDER BY invoice.paid_at, effect.created_at
            LIMIT 1)
        """
    var purchase: Purchase

    func bind(_ parameters: inout Parameters) {
        parameters.append(purchase.source)
        parameters.append(purchase.userID)
        parameters.append(purchase.plan)
        parameters.append(purchase.createdAt - Settlement.clockDifference)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Grant {
        Grant(chargeID: try row.next(), accountID: try row.next(), amount: Credits(nano: try row.next(Int64.self)))
    }
}
