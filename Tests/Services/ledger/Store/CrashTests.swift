import Contracts
import EventLoop
import Postgres
import Synchronization
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

/// A process that dies at any moment of a batch, and the messages coming again to another one.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct CrashTests {
    struct Killed: Error {}

    @Test(arguments: FaultPoints.Point.allCases)
    func `nothing is lost or doubled when a ledger dies`(at point: FaultPoints.Point) async throws {
        let database = TestDatabase.current
        try await withLedgers { ledgers in
            let survivor = ledgers[0]
            let account = try await survivor.account(10)
            let (settled, voided, purchase) = (ChargeID.make(), ChargeID.make(), ChargeID.make())
            try await survivor.do(hold(3), on: settled, account: account)
            try await survivor.do(hold(3), on: voided, account: account)
            let commands = [
                Command(id: settled, account: account, action: settle(2)),
                Command(id: voided, account: account, action: .void),
                Command(id: purchase, account: account, action: .grant(.purchase, amount: credits(5))),
                Command(id: .make(), account: account, action: hold(1)),
            ]

            let mortal = StoreUnderTest(
                database, faults: FaultPoints { reached in if reached == point { throw Killed() } })
            try await mortal.start()
            guard case .givenBack = try await mortal.decide(commands)[0] else {
                Issue.record("decided by a ledger that died")
                return
            }
            #expect(await mortal.stop() is Killed)

            // Not acknowledged, so everything is delivered again, some of it twice.
            let seen = try await survivor.do(commands + commands)
            let first: [Seen] =
                point == .afterCommit
                ? [.duplicate(2), .duplicate(0), .duplicate(5), .duplicate(1)]
                : [.applied(2), .applied(0), .applied(5), .applied(1)]
            #expect(seen == first + [.duplicate(2), .duplicate(0), .duplicate(5), .duplicate(1)])
            let row = try await survivor.store.standing(of: account)?.account
            #expect(row?.posted == credits(10 - 2 + 5))
            #expect(row?.held == credits(1))
        }
    }

    @Test(arguments: FaultPoints.Point.allCases)
    func `extensions, lots, reversals, limits and alerts are written with their batch or not at all`(
        at point: FaultPoints.Point
    ) async throws {
        let database = TestDatabase.current
        var limits = Limits()
        limits.lowBalanceLevel = credits(10)
        let low = limits
        try await withLedgers(limits: low) { ledgers in
            let survivor = ledgers[0]
            let account = try await survivor.account(10)
            let (call, bought, key) = (ChargeID.make(), ChargeID.make(), APIKeyID(rawValue: "key-1"))
            try await survivor.do(grant(.purchase, 20), on: bought, account: account)
            try await survivor.do(grant(.planGrant, 30, until: Instant.now() + .seconds(600)), account: account)
            try await survivor.do(hold(3), on: call, account: account)
            // The plan's time is over: the next batch ends its lot.
            try await survivor.endLots(of: account)
            let limited = hold(2, keyLimits: SpendingLimits(daily: credits(5)))
            let commands = [
                Command(id: call, account: account, action: extend(1, by: 4)),
                Command(id: .make(), account: account, action: reverse(bought, 15, version: 1)),
                Command(id: .make(), account: account, action: limited, key: key),
                Command(id: .make(), account: account, action: charge(6)),
            ]
            let mortal = StoreUnderTest(
                database, limits: low, faults: FaultPoints { reached in if reached == point { throw Killed() } })
            try await mortal.start()
            guard case .givenBack = try await mortal.decide(commands)[0] else {
                Issue.record("decided by a ledger that died")
                return
            }
            #expect(await mortal.stop() is Killed)
            _ = try await survivor.do(commands + commands)

            let standing = try await survivor.store.standing(of: account, lots: true)
            // The plan's thirty are gone, fifteen are taken back, six spent.
            #expect(standing?.account.posted == credits(10 + 20 - 15 - 6))
            #expect(standing?.account.held == credits(3 + 4 + 2))
            #expect(standing?.lots.map(\.remaining) == [4, 5].map(credits))
            let told = try await survivor.pool.withConnection { try await $0.query(ReadTold(account: account)) }
            #expect(told.map(\.what) == [.low(level: credits(10))])
            let mails = try await survivor.pool.withConnection { try await $0.query(ReadMailsAsked(account: account)) }
            #expect(mails == told.map(\.mail))
            let keys = try await survivor.pool.withConnection { try await $0.query(ReadKeysUsedLast(account: account)) }
            #expect(keys.map(\.held) == [credits(2)])
        }
    }

    @Test func `a ledger that dies again and again in the middle of its work loses and doubles nothing`() async throws {
        let database = TestDatabase.current
        let seed = drawSeed()
        try await withLedgers { ledgers in
            let account = try await ledgers[0].account(1_000)
            let random = Mutex(SplitMix64(seed: seed))
            let faults = FaultPoints { _ in
                if random.withLock({ Int.random(in: 0..<4, using: &$0) }) == 0 { throw Killed() }
            }
            var commands: [Command] = []
            for index in 0..<60 {
                let id = ChargeID.make()
                commands.append(Command(id: id, account: account, action: hold(2)))
                commands.append(Command(id: id, account: account, action: index % 3 == 0 ? .void : settle(1)))
            }
            var deaths = 0
            var rest = commands[...]
            while !rest.isEmpty {
                let mortal = StoreUnderTest(database, faults: faults)
                try await mortal.start()
                // The prefetch is seven. A group that is answered is acknowledged; another group is
                // redelivered.
                while !rest.isEmpty {
                    let results = try await mortal.decide(Array(rest.prefix(7)))
                    if results.contains(where: { if case .givenBack = $0 { true } else { false } }) { break }
                    rest = rest.dropFirst(7)
                }
                if await mortal.stop() is Killed { deaths += 1 }
            }
            #expect(deaths > 0, "seed \(seed)")
            let row = try await ledgers[0].store.standing(of: account)?.account
            #expect(row?.posted == credits(1_000 - 40), "seed \(seed)")
            #expect(row?.held == .zero, "seed \(seed)")
        }
    }
}
