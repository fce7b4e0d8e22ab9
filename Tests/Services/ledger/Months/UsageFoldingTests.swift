import Contracts
import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct UsageFoldingTests {
    @Test func `folding leaves the days, models and operations of all zones but three, and the audit finds nothing`() async throws {
        let seed = drawSeed()
        let month = JournalMonth(of: Instant.now()) + 1
        let end = (month + 2).start + .days(12)
        try await withMovedClock(2, at: month.start) { ledgers in
            let ledger = ledgers[0]
            var random = SplitMix64(seed: seed)
            let account = try await ledger.use(from: month.start, to: end, &random)
            try await ledger.moveClock(to: end)
            #expect(try await UsageFolding(pool: ledger.pool).run() == 0, "before a checkpoint")
            try await Checkpoints(pool: ledger.pool).advance(at: end)

            let period = Period(from: month.start, to: end + .days(1))
            let before = try await ledger.sums(of: account, period)
            let rows = try await ledger.quarters()
            let boundary = end + .days(-40)
            #expect(try await ledger.findings() == [], "TEST_SEED=\(seed)")
            let folded = try await UsageFolding(pool: ledger.pool, rowsPerStep: 2).run()
            #expect(folded > 0)
            let left = try await ledger.quarters()
            #expect(left.count < rows.count)
            #expect(left.filter { $0 < boundary }.allSatisfy { $0.microseconds % 1_800_000_000 == 0 }, "TEST_SEED=\(seed)")
            #expect(left.filter { $0 >= boundary } == rows.filter { $0 >= boundary }, "TEST_SEED=\(seed)")
            #expect(try await ledger.sums(of: account, period) == before, "TEST_SEED=\(seed)")
            #expect(try await ledger.findings() == [], "TEST_SEED=\(seed)")
            #expect(try await UsageFolding(pool: ledger.pool).run() == 0, "a second time")

            let first = "type = 'usage' AND unit = '' AND quarter = (SELECT min(quarter) FROM usage_15m)"
            for change in ["credits = credits - 1", "input = input + 1", "output = output - 1"] {
                let damage = "UPDATE usage_15m SET \(change) WHERE \(first)"
                #expect(try await ledger.findings(after: damage) == [], "before the checkpoint")
                #expect(try await ledger.findings(after: damage, all: true).map(\.check) == ["usage"], "\(change)")
            }
        }
    }
}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct UsageFoldingRaceTests {
    @Test func `several foldings at once count nothing twice, and no batch waits for a step`() async throws {
        let month = JournalMonth(of: Instant.now()) + 1
        let end = (month + 2).start + .days(12)
        try await withMovedClock(3, at: month.start) { ledgers in
            let ledger = ledgers[0]
            var random = SplitMix64(seed: 7)
            let account = try await ledger.use(from: month.start, to: month.start + .days(9), &random)
            try await ledger.moveClock(to: end)
            try await Checkpoints(pool: ledger.pool).advance(at: end)
            let second = try #require(try await ledger.quarters().first { $0.microseconds % 1_800_000_000 != 0 })
            let (rows, charged) = try await ledger.pool.transaction { transaction in
                let rows = try await transaction.one(FoldQuarter(quarter: second, rowsMax: 1))
                // The folding step is not committed yet.
                let charge = Command(id: .made(at: month.start), account: account, action: .charge(amount: credits(1)))
                return (rows, try await ledgers[1].do([charge]))
            }
            #expect(rows == 1)
            #expect(charged == [.applied(1)])
            let odd = try await ledger.quarters().count { $0.microseconds % 1_800_000_000 != 0 && $0 < month.start + .days(10) }
            let folded = try await concurrently(6) { try await UsageFolding(pool: ledgers[$0 % 3].pool, rowsPerStep: 3).run() }
            #expect(folded.reduce(0, +) == Int64(odd))
            #expect(try await ledger.findings() == [])
        }
    }
}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct NightlyFoldingTests {
    @Test func `a night without findings folds, a night with findings does not`() async throws {
        let month = JournalMonth(of: Instant.now()) + 1
        let end = (month + 2).start + .days(12)
        try await withMovedClock(at: month.start) { ledgers in
            let ledger = ledgers[0]
            var random = SplitMix64(seed: 7)
            let account = try await ledger.use(from: month.start, to: month.start + .days(9), &random)
            let period = Period(from: month.start, to: end + .days(1))
            let before = try await ledger.sums(of: account, period)
            let rows = try await ledger.quarters()
            try await ledger.pool.withConnection { try await $0.script("UPDATE account SET posted = posted + 1") }
            #expect(try await ledger.night(end)?.count == 1)
            #expect(try await ledger.quarters() == rows)
            try await ledger.pool.withConnection { try await $0.script("UPDATE account SET posted = posted - 1") }
            #expect(try await ledger.night(end + .days(1)) == [])
            let left = try await ledger.quarters()
            #expect(left.count > 0)
            #expect(left.count < rows.count)
            #expect(left.allSatisfy { $0.microseconds % 1_800_000_000 == 0 })
            #expect(try await ledger.sums(of: account, period) == before)
        }
    }
}

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"))
struct FullSumsFoldingTests {
    @Test func `a folded sum stops at the end of 64 bits`() async throws {
        try await withLedgers { ledgers in
            let pool = ledgers[0].pool
            try await pool.script(
                """
                INSERT INTO usage_15m
                SELECT '\(AccountID.make())', quarter, 'usage', '', '', 1, least, greatest, greatest, greatest, 'image', greatest
                FROM (VALUES ('2025-10-20 10:00Z'::timestamptz), ('2025-10-20 10:15Z')) AS quarters (quarter),
                    (VALUES ('-9223372036854775808'::bigint, 9223372036854775807)) AS ends (least, greatest)
                """)
            let second = try #require(Instant("2025-10-20T10:15:00Z"))
            #expect(try await pool.one(FoldQuarter(quarter: second, rowsMax: 9)) == 1)
            #expect(try await pool.one(DeleteFullSums()) == 1)
        }
    }
}

extension UsageSums {
    /// The sums with their units in order.
    fileprivate var text: String { "\(entries) \(credits) \(overage) \(units.sorted { $0.key < $1.key })" }
}

extension StoreUnderTest {
    /// Makes charges of one account at random moments, more of them near the half-hours.
    fileprivate func use(from start: Instant, to end: Instant, _ random: inout SplitMix64) async throws -> AccountID {
        let account = try await account(1_000)
        var now = start
        while now < end {
            try await moveClock(to: now)
            let model = ["small", "large"].randomElement(using: &random)
            let (input, images) = (Int64.random(in: 0...9, using: &random), Int64.random(in: 0...1, using: &random))
            let usage = Usage(model: model, operation: "chat", units: [.input: input, .output: 1, .init(.image): images])
            let units = #"{"input":\#(input),"output":1,"image":\#(images)}"#
            let metadata = #"{"model":"\#(model ?? "")","operation":"chat","usage":\#(units)}"#
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                _ = try await self.do([
                    Command(
                        id: .made(at: now), account: account, action: .charge(amount: credits(Int64.random(in: 1...3, using: &random))),
                        context: Context(metadata: metadata, usage: usage))
                ])
                now = now + .seconds(Int64.random(in: 0...1_200, using: &random))
                try await moveClock(to: now)
            }
            now = now + .seconds(Int64.random(in: 0...100_000, using: &random))
        }
        return account
    }

    /// Returns the sums that pages show, in zones of whole and of half hours.
    fileprivate func sums(of account: AccountID, _ period: Period) async throws -> [String] {
        let scope = OfAccount(id: account)
        return try await reads.withConnection { connection in
            var shown: [String] = []
            for zone in ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kolkata", "Australia/Darwin", "Australia/Lord_Howe"] {
                shown += try await connection.query(UsageByDay(scope: scope, period: period, zone: zone)).map {
                    "\(zone) \($0.day) \($0.type ?? "") \($0.sums.text)"
                }
            }
            shown += try await connection.query(UsageByType(scope: scope, period: period)).map { "\($0.type) \($0.sums.text)" }
            shown += try await connection.query(UsageByName<_, ByModel>(scope: scope, period: period, limit: 9)).map {
                "\($0.name) \($0.sums.text)"
            }
            shown += try await connection.query(UsageByName<_, ByOperation>(scope: scope, period: period, limit: 9)).map {
                "\($0.name) \($0.sums.text)"
            }
            return shown
        }
    }

    fileprivate func quarters() async throws -> [Instant] { try await pool.withConnection { try await $0.query(ReadQuarters()) } }
}

private struct ReadQuarters: Statement {
    typealias Output = Instant
    static let sql = "SELECT quarter FROM usage_15m ORDER BY quarter, type, model"
}

private struct DeleteFullSums: Statement {
    typealias Output = Int64
    static let sql = """
        WITH
            deleted AS (
                DELETE FROM usage_15m
                WHERE credits = '-9223372036854775808' AND overage = 9223372036854775807 AND input = overage AND output = overage
                    AND quantity = overage
                RETURNING 1
            )
        SELECT count(*) FROM deleted
        """
}
