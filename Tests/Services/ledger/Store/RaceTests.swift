import Contracts
import EventLoop
import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger

/// Two ledgers and everything at once.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct RaceTests {
    @Test func `settle, void, extend, report and expiry at once end a hold once and release it once`() async throws {
        try await withLedgers(2) { ledgers in
            let account = try await ledgers[0].account(10_000)
            var taken = Credits.zero
            for round in 0..<40 {
                let id = ChargeID.make()
                try await ledgers[0].do(hold(6), on: id, account: account)
                // Half of the holds become overdue, and some of them end, while the other commands
                // run.
                let actions: [Command.Action?] = [settle(4), .void, extend(1, by: 2), report(3), nil, settle(4), extend(1, by: 2), nil]
                let seen = try await concurrently(actions.count + 1) { index in
                    let ledger = ledgers[(index + round) % 2]
                    if index < actions.count, let action = actions[index] { return try await ledger.do(action, on: id, account: account) }
                    guard index == actions.count else {
                        try await ledger.expire(id, of: account)
                        return Seen.noted
                    }
                    if round % 2 == 0 {
                        for _ in 0..<2 {
                            try await ledger.pool.withConnection { _ = try await $0.execute(LetExpire(charge: id)) }
                            try await ledger.expire(id, of: account)
                        }
                    }
                    return Seen.noted
                }
                let ends = try await ledgers[0].pool.withConnection { try await $0.query(ReadEnds(charge: id)) }
                #expect(ends.count == 1, "round \(round): \(seen)")
                // Whatever came first, a settlement counts unless the void did.
                if ends.first != .void { taken += credits(4) }
                let row = try await ledgers[0].row(account)
                #expect(row?.held == .zero, "round \(round): \(seen)")
                #expect(row?.posted == credits(10_000) - taken, "round \(round): \(seen)")
            }
        }
    }

    @Test func `a reversal during spending takes its target, and no charge takes more than is available`() async throws {
        try await withLedgers(2) { ledgers in
            for _ in 0..<5 {
                let (account, grantID) = (AccountID.make(), ChargeID.make())
                try await ledgers[0].do(grant(.purchase, 100), on: grantID, account: account)
                let seen = try await concurrently(60) { index in
                    index == 30
                        ? try await ledgers[1].do(reverse(grantID, 60, version: 1), account: account)
                        : try await ledgers[index % 2].do(charge(2), account: account)
                }
                let charged = seen.count { $0 == .applied(2) }
                #expect(seen[30] == .applied(60))
                // Before the reversal there was enough for all; after it only for what the earlier ones left of forty.
                #expect(charged >= 20)
                let row = try await ledgers[0].row(account)
                #expect(row?.posted == credits(Int64(40 - 2 * charged)))
                #expect(row?.owed == max(.zero, credits(Int64(2 * charged - 40))))
            }
        }
    }

    @Test func `the highest version of many simultaneous reversals and their grant counts, in any order`() async throws {
        try await withLedgers(2) { ledgers in
            for round in 0..<10 {
                let (account, grantID) = (AccountID.make(), ChargeID.make())
                try await ledgers[0].do(grant(.bonus, 5), account: account)
                _ = try await concurrently(13) { index in
                    let ledger = ledgers[index % 2]
                    if index == round { return try await ledger.do(grant(.purchase, 50), on: grantID, account: account) }
                    return try await ledger.do(reverse(grantID, Int64(index * 4), version: Int64(index + 1)), account: account)
                }
                let row = try await ledgers[0].row(account)
                #expect(row?.posted == credits(5 + 50 - 12 * 4))
            }
        }
    }

    @Test func `sixty-four clients spend a thousand credits and not a nano-credit more`() async throws {
        let seed = drawSeed()
        try await withLedgers(2) { ledgers in
            let account = try await ledgers[0].account(1_000)
            let spent = try await concurrently(64) { client in
                var random = SplitMix64(seed: seed + UInt64(client))
                var spent = Credits.zero
                while true {
                    let ledger = ledgers[Int.random(in: 0..<2, using: &random)]
                    let amount = Credits(nano: Int64.random(in: 900_000_000...1_100_000_000, using: &random))
                    let id = ChargeID.make()
                    // A charge with a hold or without one; a hold settles below, at or above its
                    // amount.
                    let first: Command.Action =
                        client % 2 == 0
                        ? .charge(amount: amount) : .hold(HoldAmounts(most: amount, usual: amount, least: amount), timeToLive: .seconds(60))
                    guard let entry = try await ledger.entry(first, on: id, account: account), entry.status == .applied else {
                        return spent
                    }
                    if client % 2 == 0 {
                        spent += entry.amount
                    } else {
                        let cost = Credits(nano: Int64.random(in: 900_000_000...1_100_000_000, using: &random))
                        spent += try await ledger.entry(.settle(amount: cost), on: id, account: account)?.amount ?? .zero
                    }
                }
            }
            let total = spent.reduce(.zero, +)
            let row = try await ledgers[0].row(account)
            #expect(row?.posted == credits(1_000) - total, "seed \(seed)")
            #expect(row?.held == .zero, "seed \(seed)")
            // The last question was refused while at most 64 holds were open.
            #expect(total > credits(1_000) - Credits(nano: 65 * 1_100_000_000), "seed \(seed)")
            let lowest = try await ledgers[0].pool.withConnection { try await $0.one(LowestBalance(account: account)) }
            #expect(lowest >= .zero, "seed \(seed)")
        }
    }
}

extension StoreUnderTest {
    fileprivate func entry(_ action: Command.Action, on id: ChargeID, account: AccountID) async throws -> Entry? {
        guard case .decided(let decision) = try await runner.decide(Command(id: id, account: account, action: action)) else {
            return nil
        }
        return decision.entry
    }
}

/// The entries that ended a charge.
private struct ReadEnds: Statement {
    let charge: ChargeID
    static let sql = "SELECT kind FROM journal WHERE charge_id = $1 AND kind IN (3, 4, 5)"
    func bind(_ parameters: inout Parameters) { parameters.append(charge) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> Entry.Kind { try Entry.Kind(row: row.next()) }
}

/// At any entry.
private struct LowestBalance: Statement {
    typealias Output = Credits
    let account: AccountID
    static let sql = "SELECT min(posted_after - held_after) FROM journal WHERE account_id = $1 AND seq > 0"
    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}
