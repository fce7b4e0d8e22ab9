import AMQP
import Contracts
import EventLoop
import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger

/// Tests expiries as messages in the queue of settlements and reports, from the sweep of any
/// ledger.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct ExpiryTests {
    /// Runs `body` with two ledgers. Their grace is 1 ms, and their lines become rows after
    /// `keepAfter`.
    private func withTwoLedgers(
        keepAfter: Duration = .seconds(30), _ body: @escaping @Sendable (Peers, [LedgerUnderTest]) async throws -> Void
    ) async throws {
        var limits = Limits()
        limits.expiryGrace = .milliseconds(1)
        try await withBrokeredLedgers(2, limits: limits, keepAfter: keepAfter) { peers, _, ledgers in try await body(peers, ledgers) }
    }

    private func overdueHold(_ peers: Peers, _ ledger: LedgerUnderTest, of amount: Int64, reported: Int64) async throws -> (
        AccountID, ChargeID
    ) {
        let (account, charge) = (AccountID.make(), ChargeID.make())
        try await peers.grant(10, account: account)
        try await until("the grant is there") { try await peers.balance(of: account).posted == credits(10) }
        #expect(try await peers.hold(amount, on: charge, account: account).status == .granted)
        try await peers.send(
            ReportUsage(chargeID: charge, accountID: account, usedSoFar: credits(reported), timeToLiveMilliseconds: 60_000))
        try await until("the report is there") {
            try await ledger.ledger.pool.query(ReadReported(charge: charge)) == [credits(reported)]
        }
        try await ledger.ledger.pool.withConnection { _ = try await $0.execute(LetExpire(charge: charge)) }
        return (account, charge)
    }

    @Test func `two sweeps of any ledger end an overdue hold at its report`() async throws {
        try await withTwoLedgers { peers, ledgers in
            let (account, _) = try await overdueHold(peers, ledgers[0], of: 8, reported: 3)
            // A sweep names a hold at most once in ten seconds, so each pass uses another sweep.
            try await ledgers[0].sweeper().sweepHolds()
            try await until("the hold is marked") { try await ledgers[0].ledger.pool.query(ReadOverdueMarks(account: account)) == [true] }
            try await until("the grace has passed") {
                let sweeper = ledgers[1].sweeper()
                try await sweeper.sweepHolds()
                return try await peers.balance(of: account).held == .zero
            }
            #expect(try await peers.balance(of: account).posted == credits(7))
        }
    }

    /// While the row is locked, neither a sweep nor a deduction over another ledger can end the
    /// hold before its settlement is decided.
    @Test(arguments: [Duration.seconds(30), .zero])
    func `a settlement that waits for its locked account is decided before the expiry, in memory or as a row`(keepAfter: Duration)
        async throws
    {
        try await withTwoLedgers(keepAfter: keepAfter) { peers, ledgers in
            let (account, id) = try await overdueHold(peers, ledgers[0], of: 8, reported: 1)
            try await withLock(on: account) {
                try await peers.settle(7, on: id, account: account)
                try await until("the settlement waits") { ledgers.contains { $0.ledger.runner.hasLines } }
                for ledger in ledgers { for _ in 0..<3 { try await ledger.sweeper().sweepHolds() } }
                if keepAfter == .zero {
                    try await until("the settlement is a row") {
                        try await ledgers[0].ledger.pool.query(ReadSomeAccountsKept(after: "")) == [account.description]
                    }
                }
            }
            let other = ledgers.first { !$0.ledger.runner.hasLines } ?? ledgers[1]
            let deducted = try await other.ledger.do(charge(9), account: account)
            #expect(deducted == .awaiting(2) || deducted == .refused(.insufficientFunds))
            try await until("the hold has ended") { try await peers.balance(of: account).held == .zero }
            #expect(try await peers.balance(of: account).posted == credits(3))
            let ends = try await ledgers[0].ledger.pool.query(ReadEndsOf(charge: id))
            #expect(ends == [Entry.Kind.capture.rawValue])
        }
    }

    @Test func `commands of an account that stays locked become rows, later ones follow them, and all are decided in order`() async throws {
        try await withTwoLedgers(keepAfter: .zero) { peers, ledgers in
            let (account, other) = (AccountID.make(), AccountID.make())
            for id in [account, other] { try await peers.grant(100, account: id) }
            try await until("the grants are there") { try await peers.balance(of: other).posted == credits(100) }
            try await until("the grants are there") { try await peers.balance(of: account).posted == credits(100) }
            let charges = (0..<40).map { _ in ChargeID.make() }
            let pool = ledgers[0].ledger.pool
            try await withLock(on: account) {
                for (index, id) in charges.enumerated() {
                    try await peers.settle(1, on: id, account: account)
                    if index == 20 {
                        try await until("the first are rows") { try await pool.one(CountKept()) > 0 }
                    }
                }
                try await until("all are rows") { try await pool.one(CountKept()) == 40 }
                // The queue is not blocked.
                try await peers.settle(1, on: .make(), account: other)
                try await until("the other account is settled") { try await peers.balance(of: other).posted == credits(99) }
            }
            try await until("all are decided") { try await peers.balance(of: account).posted == credits(60) }
            try await until("no row is left") { try await pool.one(CountKept()) == 0 }
            #expect(try await pool.query(ReadChargesInOrder(account: account)) == charges)
            // Commands that were delivered, kept and decided once are not decided again.
            try await peers.settle(1, on: charges[0], account: account)
            try await peers.settle(1, on: .make(), account: account)
            try await until("the last is decided") { try await peers.balance(of: account).posted == credits(59) }
        }
    }

    @Test func `a command that cannot become a row does not stop other accounts' commands from becoming rows`() async throws {
        try await withTwoLedgers(keepAfter: .zero) { peers, ledgers in
            let (account, other) = (AccountID.make(), AccountID.make())
            for id in [account, other] { try await peers.grant(100, account: id) }
            for id in [account, other] {
                try await until("the grant is there") { try await peers.balance(of: id).posted == credits(100) }
            }
            let pool = ledgers[0].ledger.pool
            try await withLock(on: account) {
                try await withLock(on: other) {
                    try await pool.script("ALTER TABLE dead_letter ADD CONSTRAINT refuses CHECK (ordering_key <> '\(account)')")
                    // The ledger keeps the longest line first.
                    for _ in 0..<3 { try await peers.settle(1, on: .make(), account: account) }
                    try await peers.settle(1, on: .make(), account: other)
                    try await until("the other account's settlement is a row") { try await pool.one(CountKept()) == 1 }
                    try await pool.script("ALTER TABLE dead_letter DROP CONSTRAINT refuses")
                }
            }
            try await until("the first account is settled") { try await peers.balance(of: account).posted == credits(97) }
            try await until("the other account is settled") { try await peers.balance(of: other).posted == credits(99) }
        }
    }

    @Test func `a stored command that conflicts with a decision waits for an operator and delays no other`() async throws {
        try await withTwoLedgers(keepAfter: .zero) { peers, ledgers in
            let (account, charge) = (AccountID.make(), ChargeID.make())
            try await peers.grant(100, account: account)
            try await until("the grant is there") { try await peers.balance(of: account).posted == credits(100) }
            try await peers.settle(5, on: charge, account: account)
            try await until("it is settled") { try await peers.balance(of: account).posted == credits(95) }
            try await withLock(on: account) {
                try await peers.settle(6, on: charge, account: account)
                try await peers.settle(7, on: .make(), account: account)
                try await until("both are rows") { try await ledgers[0].ledger.pool.one(CountKept()) == 2 }
            }
            try await until("the other is settled") { try await peers.balance(of: account).posted == credits(88) }
            #expect(try await ledgers[0].ledger.pool.one(CountParked()) == 1)
        }
    }
}

private struct ReadReported: Statement {
    typealias Output = Credits
    let charge: ChargeID
    static let sql = "SELECT reported FROM open_hold WHERE charge_id = $1"
    func bind(_ parameters: inout Parameters) { parameters.append(charge) }
}

private struct ReadOverdueMarks: Statement {
    typealias Output = Bool
    let account: AccountID
    static let sql = "SELECT is_overdue FROM open_hold WHERE account_id = $1"
    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}

private struct ReadEndsOf: Statement {
    typealias Output = Int16
    let charge: ChargeID
    static let sql = "SELECT kind FROM journal WHERE charge_id = $1 AND kind IN (3, 4, 5, 6)"
    func bind(_ parameters: inout Parameters) { parameters.append(charge) }
}

private struct ReadChargesInOrder: Statement {
    let account: AccountID
    static let sql = "SELECT charge_id FROM journal WHERE account_id = $1 AND kind = 3 ORDER BY seq"
    func bind(_ parameters: inout Parameters) { parameters.append(account) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> ChargeID { try row.next() }
}

private struct CountKept: Statement {
    typealias Output = Int64
    static let sql = "SELECT count(*) FROM dead_letter WHERE state = 'replay' AND type = 'charge.settle.v1'"
}

private struct CountParked: Statement {
    typealias Output = Int64
    static let sql = "SELECT count(*) FROM dead_letter WHERE state = 'parked'"
}
