import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

/// Every kind of row is damaged once, inside a transaction that is taken back: the auditor must name that row, and nothing that was
/// not damaged with it.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct AuditTests {
    @Test func `a ledger with every kind of entry is consistent`() async throws {
        try await withLedgers { ledgers in
            _ = try await People(in: ledgers[0])
            let audit = try await Audit.run(on: ledgers[0].pool)
            #expect(audit.findings == [])
            #expect(audit.entries > 30)
            #expect(audit.holds >= 2)
        }
    }

    @Test(arguments: Damage.all)
    func `the audit names one damaged row`(damage: Damage) async throws {
        try await withLedgers { ledgers in
            let people = try await People(in: ledgers[0])
            let found = try await ledgers[0].findings(after: damage.sql(people))
            #expect(found.map(Named.init) == damage.expected(people), "\(found.map(\.detail))")
        }
    }
}

extension StoreUnderTest {
    /// Returns the findings of an audit after `sql`, and rolls `sql` back.
    func findings(after sql: String, all: Bool = false) async throws -> [AuditFinding] {
        try await pool.transaction(isolation: .repeatableRead) { transaction in
            try await transaction.script(sql)
            let audit = try await Audit.run(in: transaction, all: all)
            await transaction.rollback()
            return audit.findings
        }
    }
}

/// A finding without its words.
struct Named: Equatable, Sendable {
    let check: String
    let account: AccountID?
    let charge: ChargeID?
    let seq: Int64?

    init(_ check: String, _ account: AccountID?, _ charge: ChargeID? = nil, seq: Int64? = nil) {
        (self.check, self.account, self.charge, self.seq) = (check, account, charge, seq)
    }

    init(_ finding: AuditFinding) { self.init(finding.check, finding.account, finding.charge, seq: finding.seq) }
}

struct Damage: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let sql: @Sendable (People) -> String
    let expected: @Sendable (People) -> [Named]

    init(_ name: String, _ sql: @escaping @Sendable (People) -> String, _ expected: @escaping @Sendable (People) -> [Named]) {
        (testDescription, self.sql, self.expected) = (name, sql, expected)
    }

    static let all = chains + holds + stepZero + lots + lotsInTheJournal + sums + keys
}

extension Damage {
    static let chains = [
        Damage(
            "an entry's balance", { "UPDATE journal SET held_after = held_after + 1 WHERE charge_id = '\($0.call)' AND step = 10000" }
        ) {
            [Named("chain", $0.caller, $0.call, seq: 3)]
        },
        Damage("a missing entry", { "DELETE FROM journal WHERE charge_id = '\($0.bonus)'" }) {
            [
                Named("chain", $0.caller, $0.running, seq: 6), Named("account", $0.caller, seq: 8), Named("usage", $0.caller),
                Named("lot_entry", $0.caller, $0.running, seq: 6), Named("lot", $0.caller, $0.bonus),
            ]
        },
        Damage("an account's balance", { "UPDATE account SET posted = posted + 1 WHERE account_id = '\($0.caller)'" }) {
            [Named("account", $0.caller, seq: 8)]
        },
        Damage("an account's place", { "UPDATE account SET seq = seq + 1 WHERE account_id = '\($0.caller)'" }) {
            [Named("account", $0.caller, seq: 9)]
        },
        Damage("an account without an entry", { "INSERT INTO account (account_id, posted) VALUES ('\($0.stranger)', 1)" }) {
            [Named("account", $0.stranger, seq: 0)]
        },
        Damage(
            "a charge of more than was used",
            { "UPDATE journal SET requested = amount - 1 WHERE charge_id = '\($0.call)' AND step = 10000" }
        ) {
            [Named("overcharged", $0.caller, $0.call, seq: 3)]
        },
        Damage("an account that has gone", { "DELETE FROM account WHERE account_id = '\($0.receiver)'" }) {
            [Named("account", $0.receiver)]
        },
        Damage(
            "a debt that is not told",
            {
                "UPDATE account SET overdraft = debt, debt = 0 WHERE account_id = '\($0.debtor)'; "
                    + "UPDATE account SET overdraft = overdraft - 1, debt = 2 WHERE account_id = '\($0.debtor)'"
            }
        ) {
            [Named("debt", $0.debtor, seq: 3)]
        },
        Damage("a debt of an account that owes nothing", { "UPDATE account SET debt = 1 WHERE account_id = '\($0.caller)'" }) {
            [Named("debt", $0.caller, seq: 8)]
        },
        Damage("a debt made by an adjustment", { "UPDATE journal SET kind = 24 WHERE charge_id = '\($0.debt)'" }) {
            [Named("overspent", $0.debtor, $0.debt, seq: 3), Named("usage", $0.debtor), Named("lot", $0.debtor, $0.disputed)]
        },
    ]

    static let holds = [
        Damage("an open hold's amount", { "UPDATE open_hold SET amount = amount + 1 WHERE charge_id = '\($0.running)'" }) {
            [Named("held", $0.caller, seq: 8), Named("hold", $0.caller, $0.running)]
        },
        Damage("an open hold that has gone", { "DELETE FROM open_hold WHERE charge_id = '\($0.running)'" }) {
            [Named("held", $0.caller, seq: 8), Named("hold_missing", $0.caller, $0.running, seq: 6)]
        },
        Damage(
            "an open hold that has ended",
            {
                "INSERT INTO open_hold (charge_id, account_id, amount, expires_at) VALUES ('\($0.call)', '\($0.caller)', 10, 'epoch')"
            }
        ) {
            [Named("held", $0.caller, seq: 8), Named("hold", $0.caller, $0.call)]
        },
        Damage(
            "a hold given back in part",
            {
                "UPDATE journal SET held_delta = held_delta + 1 WHERE charge_id = '\($0.call)' AND step = 10000"
            }
        ) {
            [Named("chain", $0.caller, $0.call, seq: 3), Named("account", $0.caller, seq: 8), Named("release", $0.caller, $0.call, seq: 3)]
        },
        Damage("a late settlement without an expiry", { "DELETE FROM journal WHERE charge_id = '\($0.lateCall)' AND step = 10000" }) {
            [
                Named("chain", $0.late, $0.lateCall, seq: 4), Named("account", $0.late, seq: 4),
                Named("hold_missing", $0.late, $0.lateCall, seq: 2), Named("release", $0.late, $0.lateCall, seq: 4),
                Named("usage", $0.late), Named("spent", $0.late, seq: 4),
            ]
        },
    ]

    static let stepZero = [
        Damage(
            "an end at step 0 that releases credits",
            { "UPDATE journal SET held_delta = -1 WHERE charge_id = '\($0.charge)' AND step = 0" }
        ) {
            [
                Named("chain", $0.caller, $0.charge, seq: 8), Named("account", $0.caller, seq: 8),
                Named("release", $0.caller, $0.charge, seq: 8),
            ]
        },
        Damage(
            "a charge that ended at step 0 and once more",
            {
                """
                INSERT INTO journal
                SELECT charge_id, 10000, account_id, 0, 4, 0, 0, 0, 0, 0, posted_after, held_after, fingerprint, decided_at
                FROM journal WHERE charge_id = '\($0.charge)'
                """
            }
        ) {
            [Named("release", $0.caller, $0.charge, seq: 8)]
        },
    ]

    // MARK: Lots

    private static func lot(
        _ change: String, of lot: @escaping @Sendable (People) -> ChargeID, _ account: @escaping @Sendable (People) -> AccountID
    ) -> Damage {
        Damage("a lot: \(change)", { "UPDATE credit_grant SET \(change) WHERE grant_id = '\(lot($0))'" }) {
            [Named("lot", account($0), lot($0))]
        }
    }

    static let lots = [
        lot("remaining = remaining - 1", of: \.bonus, \.caller),
        lot("remaining = remaining + 1", of: \.purchase, \.caller),
        lot("remaining = remaining - 10000000000", of: \.plan, \.caller),
        lot("amount = amount + 1", of: \.plan, \.caller),
        lot("kind = 22", of: \.plan, \.caller),
        lot("expires_at = expires_at + interval '1 day'", of: \.plan, \.caller),
        lot("expires_at = NULL", of: \.plan, \.caller),
        lot("granted_at = granted_at - interval '1 second'", of: \.plan, \.caller),
        lot("expired = expired - 1", of: \.over, \.tardy),
        lot("remaining = 1", of: \.over, \.tardy),
        lot("reversed = reversed - 1", of: \.disputed, \.debtor),
        lot("reversal_target = reversal_target + 1", of: \.disputed, \.debtor),
        lot("reversal_version = 0", of: \.disputed, \.debtor),
        lot("reversed = reversed - 1", of: \.partly, \.awaiting),
        lot("remaining = 1", of: \.wholly, \.awaiting),
        lot("reversal_target = 7000000000", of: \.never, \.awaiting),
        lot("amount = amount + 1", of: \.receivedCall, \.receiver),
        Damage("a lot that has gone", { "DELETE FROM credit_grant WHERE grant_id = '\($0.bonus)'" }) {
            [Named("lot", $0.caller, $0.bonus)]
        },
        Damage(
            "a lot without an entry",
            {
                "INSERT INTO credit_grant (account_id, grant_id, kind, amount, remaining, granted_at) VALUES ('\($0.stranger)', '\($0.call)', 20, 1, 0, now())"
            }
        ) {
            [Named("lot", $0.stranger, $0.call)]
        },
        Damage(
            "an account that misses the expiry of its lots",
            { "UPDATE account SET lots_expire_at = NULL WHERE account_id = '\($0.caller)'" }
        ) {
            [Named("lots_due", $0.caller, seq: 8)]
        },
        Damage(
            "an account that looks for them too late",
            {
                "UPDATE account SET lots_expire_at = lots_expire_at + interval '1 second' WHERE account_id = '\($0.caller)'"
            }
        ) {
            [Named("lots_due", $0.caller, seq: 8)]
        },
    ]

    static let lotsInTheJournal = [
        Damage(
            "credits spent after their end",
            {
                """
                UPDATE journal SET expires_at = decided_at + interval '1 microsecond' WHERE charge_id = '\($0.plan)';
                UPDATE credit_grant SET expires_at = granted_at + interval '1 microsecond' WHERE grant_id = '\($0.plan)';
                UPDATE account SET lots_expire_at = 'epoch' WHERE account_id = '\($0.caller)'
                """
            }
        ) {
            [Named("lot_entry", $0.caller, $0.bonus, seq: 5), Named("lot", $0.caller, $0.plan)]
        },
        Damage("more taken back than was asked", { "UPDATE journal SET requested = 9000000000 WHERE charge_id = '\($0.debt)'" }) {
            [Named("lot_entry", $0.debtor, $0.debt, seq: 3), Named("lot", $0.debtor, $0.disputed)]
        },
        Damage("a grant taken back that is another's", { "UPDATE journal SET grant_id = '\($0.call)' WHERE charge_id = '\($0.debt)'" }) {
            [Named("lot_entry", $0.debtor, $0.debt, seq: 3), Named("lot", $0.debtor, $0.disputed)]
        },
    ]

    // MARK: Sums

    private static func usage(_ change: String, unit: String = "") -> Damage {
        Damage(
            "a quarter: \(change)",
            { "UPDATE usage_15m SET \(change) WHERE account_id = '\($0.caller)' AND operation = 'chat' AND unit = '\(unit)'" }
        ) {
            [Named("usage", $0.caller)]
        }
    }

    private static func spent(_ change: String) -> Damage {
        Damage("a window: \(change)", { "UPDATE account SET \(change) WHERE account_id = '\($0.caller)'" }) {
            [Named("spent", $0.caller, seq: 8)]
        }
    }

    static let sums = [
        usage("entries = entries + 1"), usage("credits = credits - 1"), usage("overage = overage + 1"),
        usage("input = input + 1"), usage("output = output - 1"), usage("input = output, output = input"), usage("quantity = 1"),
        usage("quantity = quantity + 1", unit: "cached_input"), usage("entries = 1", unit: "cached_input"),
        usage("input = 1", unit: "cached_input"), usage("unit = 'image'", unit: "cached_input"), usage("model = 'other'"),
        usage("quarter = quarter + interval '15 minutes'"),
        usage("unit = 'input', quantity = 12", unit: "cached_input"),
        Damage("a unit that has gone", { "DELETE FROM usage_15m WHERE account_id = '\($0.caller)' AND unit = 'cached_input'" }) {
            [Named("usage", $0.caller)]
        },
        Damage("a quarter that has gone", { "DELETE FROM usage_15m WHERE account_id = '\($0.caller)' AND type = 'bonus'" }) {
            [Named("usage", $0.caller)]
        },
        Damage(
            "a quarter of an hour without an entry",
            {
                "INSERT INTO usage_15m VALUES ('\($0.stranger)', '2026-11-20', 'usage', '', '', 1, 0, 0)"
            }
        ) {
            [Named("usage", $0.stranger)]
        },
        spent("spent_day = spent_day + 1"), spent("spent_month = spent_month - 1"), spent("spent_at = spent_at - interval '40 days'"),
        spent("spent_at = spent_at + interval '40 days', spent_day = 0, spent_month = 0"),
    ]

    private static func key(_ change: String, _ check: String) -> Damage {
        Damage("a key: \(change)", { "UPDATE key_spending SET \(change) WHERE account_id = '\($0.keyOwner)'" }) {
            [Named(check, $0.keyOwner)]
        }
    }

    static let keys = [
        key("held = held + 1", "key_held"), key("spent_day = spent_day + 1", "key_spent"),
        key("spent_month = spent_month - 1", "key_spent"),
        key("spent_at = spent_at - interval '40 days'", "key_spent"),
        Damage("a key that has gone", { "DELETE FROM key_spending WHERE account_id = '\($0.keyOwner)'" }) {
            [Named("key_held", $0.keyOwner)]
        },
        Damage("an account that counts no keys", { "UPDATE account SET counts_keys = false WHERE account_id = '\($0.keyOwner)'" }) {
            [Named("key_held", $0.keyOwner)]
        },
    ]
}
