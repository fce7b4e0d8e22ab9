import Contracts
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

/// The model's commands against real tables and two ledgers in turn: what the oracle says is what Postgres holds.
///
/// The database's clock is the only one that counts, so the test moves it: its connections find a `clock_timestamp()` of the test's
/// before the server's own.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"))
struct StoreModelTests {
    @Test func `Postgres and the oracle agree on every decision`() async throws {
        let seed = drawSeed()
        let start = Instant.now()
        try await TestDatabase.current.withPool { pool in
            try await pool.withConnection { try await $0.script(ownClock) }
        }
        try await withLedgers(2, limits: Model.limits, configure: { $0.searchPath = "ledger, pg_catalog" }) { ledgers in
            let pool = ledgers[0].pool
            var model = Model(seed: seed, now: start)
            try await pool.withConnection { _ = try await $0.execute(SetOverdraft(account: model.accounts[0], overdraft: credits(4))) }
            var told: [AccountID: [BalanceAlert]] = [:]
            for step in 0..<Int(modelSetting("LEDGER_MODEL_STEPS") ?? 300) {
                // No further than the journal has months for.
                model.passTime(until: .startOf(month: start.month + 3))
                let now = model.now
                try await pool.withConnection { _ = try await $0.execute(SetClock(now: now)) }
                if let account = model.changeSettings() {
                    let settings = model.oracle.settings[account]!
                    try await ledgers[0].store.changeSettings(of: account) {
                        ($0.limits, $0.lowBalanceLevel) = (settings.limits, settings.level)
                    }
                    model.oracle.levelSet(account, at: now)
                }
                // A batch decides expiries behind commands that came without a message.
                let drawn = model.draw()
                let commands = drawn.filter { !$0.isHousekeeping } + drawn.filter(\.isHousekeeping)
                let found = try await ledgers[step % 2].do(commands)
                let expected = model.answers(to: commands)
                for (account, alerts) in expected.alerts { told[account, default: []] += alerts }
                for (index, command) in commands.enumerated() where found[index] != expected.decisions[index] {
                    Issue.record("seed \(seed), batch \(step), \(command): \(found[index]), oracle \(expected.decisions[index])")
                    return
                }
                var touched = Set(commands.map(\.account))
                if step % 5 == 0 {
                    for (account, alerts) in model.sweep() { told[account, default: []] += alerts }
                    let ending = model.accounts.map { Command(id: .make(), account: $0, action: .expireLots) }
                    _ = try await ledgers[(step + 1) % 2].do(ending)
                    touched = Set(model.accounts)
                }
                for account in touched {
                    if let difference = try await difference(of: account, model, pool) {
                        Issue.record("seed \(seed), batch \(step), \(account): \(difference)")
                        return
                    }
                }
            }
            for row in try await pool.withConnection({ try await $0.query(ReadUsage()) }) {
                model.usage[row.key, default: UsageRow(key: row.key)].add(row)
            }
            #expect(model.differenceOfUsage() == nil, "seed \(seed)")
            for account in model.accounts {
                let sent = try await pool.withConnection { try await $0.query(ReadTold(account: account)) }
                #expect(sent == told[account] ?? [], "seed \(seed)")
                let mails = try await pool.withConnection { try await $0.query(ReadMailsAsked(account: account)) }
                #expect(mails == sent.map(\.mail), "seed \(seed)")
            }
        }
    }

    /// Between the oracle and one account's rows.
    private func difference(of id: AccountID, _ model: Model, _ pool: PostgresPool) async throws -> String? {
        let (rows, lots, keys) = try await pool.withConnection { connection in
            (
                try await connection.query(ReadAccounts(ids: [id])), try await connection.query(ReadAllLots(account: id)),
                try await connection.query(ReadKeysUsedLast(account: id))
            )
        }
        let row = rows.first ?? Account(id: id)
        var book = LotBook(lots: Dictionary(uniqueKeysWithValues: lots.map { ($0.id, $0) }))
        book.burn(to: row.posted)
        return model.oracle.memory(id).difference(
            from: row, lots: Array(book.lots.values), keys: keys, limits: model.oracle.keyLimits,
            overdraft: model.oracle.settings[id]?.overdraft, now: model.now)
    }
}

let ownClock = """
    CREATE TABLE ledger.own_clock (at timestamptz NOT NULL);
    INSERT INTO ledger.own_clock VALUES (pg_catalog.clock_timestamp());
    CREATE FUNCTION ledger.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT at FROM ledger.own_clock';
    CREATE FUNCTION ledger.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM ledger.own_clock';
    ALTER TABLE ledger.key_spending ALTER COLUMN counted_from SET DEFAULT ledger.clock_timestamp();
    """

struct SetClock: Statement {
    let now: Instant
    static let sql = "UPDATE own_clock SET at = $1"
    func bind(_ parameters: inout Parameters) { parameters.append(now) }
}

private struct SetOverdraft: Statement {
    let account: AccountID
    let overdraft: Credits
    static let sql = "INSERT INTO account (account_id, overdraft) VALUES ($1, $2)"

    func bind(_ parameters: inout Parameters) {
        parameters.append(account)
        parameters.append(overdraft)
    }
}

private struct ReadAllLots: Statement {
    let account: AccountID

    static let sql = """
        SELECT
            grant_id, account_id, kind, amount, remaining, expired, reversed, reversal_target, reversal_version, expires_at, granted_at
        FROM credit_grant
        WHERE account_id = $1
        """

    func bind(_ parameters: inout Parameters) { parameters.append(account) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Lot { try ReadLots.decode(&row) }
}

private struct ReadUsage: Statement {
    static let sql = """
        SELECT account_id, quarter, type, model, operation, entries, credits, overage, input, output, unit, quantity
        FROM usage_15m
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> UsageRow {
        let key = try UsageRow.Key(
            account: row.next(), quarter: row.next(), type: row.next(), model: row.next(), operation: row.next())
        var usage = try UsageRow(key: key, entries: row.next(), credits: row.next(), overage: row.next())
        let (input, output): (Int64, Int64) = try (row.next(), row.next())
        let (unit, quantity): (String, Int64) = try (row.next(), row.next())
        usage.units = [.input: input, .output: output].filter { $0.value > 0 }
        if let unit = MeteredUnit(rawValue: unit) { usage.units[unit] = quantity }
        return usage
    }
}

/// The alerts in the outbox for one account's owner.
struct ReadTold: Statement {
    typealias Output = BalanceAlert
    let account: AccountID
    static let sql = "SELECT type, body FROM outbox WHERE ordering_key = $1 ORDER BY seq"
    func bind(_ parameters: inout Parameters) { parameters.append(account.description) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> BalanceAlert {
        let (type, body): (String, [UInt8]) = (try row.next(), try row.next())
        do {
            if type == BalanceLow.name {
                let low = try BalanceLow(decoding: body)
                return BalanceAlert(account: low.accountID, what: .low(level: low.level), balance: low.balance, at: low.at)
            }
            let exhausted = try BalanceExhausted(decoding: body)
            return BalanceAlert(account: exhausted.accountID, what: .exhausted, balance: exhausted.balance, at: exhausted.at)
        } catch { throw PostgresError(.typeMismatch, "\(type): \(error)") }
    }
}

extension BalanceAlert {
    var mail: RequestedMail {
        switch what {
        case .low(let level): .lowBalance(balance: balance, level: level)
        case .exhausted: .balanceExhausted(balance: balance)
        }
    }
}

/// The mails that the ledger asks auth to send to the owner of an account.
struct ReadMailsAsked: Statement {
    typealias Output = RequestedMail
    let account: AccountID
    static let sql = """
        SELECT body
        FROM outbox
        WHERE type = '\(SendMail.name)' AND convert_from(body, 'UTF8') LIKE '%' || $1 || '%'
        ORDER BY seq
        """
    func bind(_ parameters: inout Parameters) { parameters.append(account.description) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> RequestedMail {
        let body: [UInt8] = try row.next()
        do { return try SendMail(decoding: body).mail } catch { throw PostgresError(.typeMismatch, "\(error)") }
    }
}

struct LetExpire: Statement {
    let charge: ChargeID
    static let sql = "UPDATE open_hold SET expires_at = clock_timestamp() WHERE charge_id = $1"
    func bind(_ parameters: inout Parameters) { parameters.append(charge) }
}
