import AMQP
import Contracts
import EventLoop
import Postgres
import Synchronization
import TestSupport
import Testing
import Values

@testable import Ledger

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct RedeliveryTests {
    struct Killed: Error {}

    @Test(arguments: FaultPoints.Point.allCases)
    func `a ledger that dies on its batch leaves the work to the next one`(at point: FaultPoints.Point) async throws {
        let database = TestDatabase.current
        try await TestBroker.withTopology { broker in
            try await TestDatabase.onLoop {
                let account = AccountID.make()
                let charges = (0..<40).map { _ in ChargeID.make() }
                try await withPeers(broker) { peers in
                    for id in charges { try await peers.settle(1, on: id, account: account) }
                    try await peers.grant(100, on: .make(), account: account)
                }
                let deaths = Mutex(0)
                let mortal = try LedgerUnderTest(
                    database, broker,
                    faults: FaultPoints { reached in
                        guard reached == point else { return }
                        deaths.withLock { $0 += 1 }
                        throw Killed()
                    })
                try await mortal.start()
                try await until("the ledger is dead") { deaths.withLock { $0 } > 0 }
                await mortal.kill()

                let survivor = try LedgerUnderTest(database, broker)
                try await survivor.start()
                // Commands and grant come by different queues: how much of the 40 found credits is open, what was taken is not.
                try await until("the work is done") {
                    let entries = try await survivor.ledger.pool.withConnection { try await $0.one(CountEntries(account: account)) }
                    return entries == 41
                }
                let row = try #require(try await survivor.ledger.store.standing(of: account)?.account)
                let taken = try await survivor.ledger.pool.withConnection { try await $0.one(SumTaken(account: account)) }
                #expect(row.posted == credits(100) - taken)
                await survivor.stop()
            }
        }
        try await withLedgers { _ in }
    }

    @Test func `a decision just before a ledger's death counts once, with or without its acknowledgement`() async throws {
        let database = TestDatabase.current
        try await TestBroker.withTopology { broker in
            try await TestDatabase.onLoop {
                let account = AccountID.make()
                try await withPeers(broker) { peers in
                    let mortal = try LedgerUnderTest(database, broker)
                    try await mortal.start()
                    try await peers.grant(100, account: account)
                    let reader = StoreUnderTest(database)
                    func entries() async throws -> Int64 {
                        try await reader.pool.withConnection { try await $0.one(CountEntries(account: account)) }
                    }
                    try await until("the grant is there") { try await entries() == 1 }
                    for _ in 0..<40 { try await peers.settle(1, on: .make(), account: account) }
                    // Written, and at this moment acknowledged, on the way, or neither.
                    try await until("all is decided") { try await entries() == 41 }
                    await mortal.kill()

                    let survivor = try LedgerUnderTest(database, broker)
                    try await survivor.start()
                    // Behind in the queue whatever comes again.
                    try await peers.settle(1, on: .make(), account: account)
                    try await until("the survivor is at work") { try await entries() > 41 }
                    #expect(try await entries() == 42)
                    #expect(try await reader.row(account)?.posted == credits(59))
                    await survivor.stop()
                    await reader.stop()
                }
            }
        }
        try await withLedgers { _ in }
    }

    @Test func `ledgers that die again and again in the middle of a stream of commands lose and double nothing`() async throws {
        let database = TestDatabase.current
        let seed = drawSeed()
        try await TestBroker.withTopology { broker in
            try await TestDatabase.onLoop {
                let account = AccountID.make()
                let random = Mutex(SplitMix64(seed: seed))
                let deaths = Mutex(0)
                let faults = FaultPoints { _ in
                    guard random.withLock({ Int.random(in: 0..<10, using: &$0) }) == 0 else { return }
                    deaths.withLock { $0 += 1 }
                    throw Killed()
                }
                let setUp = try LedgerUnderTest(database, broker)
                try await setUp.start()
                try await withPeers(broker) { peers in
                    try await peers.grant(1_000, account: account)
                    try await until("the grant is there") { try await peers.balance(of: account).posted == credits(1_000) }
                    await setUp.stop()

                    // Two mortal ledgers; each that dies is started again.
                    let finished = Flag()
                    async let first: Void = live(database, broker, faults, until: finished)
                    async let second: Void = live(database, broker, faults, until: finished)
                    for index in 0..<150 {
                        let id = ChargeID.make()
                        // Each twice: senders repeat what they are not sure of.
                        for _ in 0..<2 {
                            if index % 3 == 0 {
                                try await peers.send(VoidHold(chargeID: id, accountID: account, reason: "failed before its first token"))
                            } else {
                                try await peers.settle(2, on: id, account: account)
                            }
                        }
                    }
                    let reader = StoreUnderTest(database)
                    try await until("everything is settled") {
                        try await reader.store.standing(of: account)?.account.posted == credits(1_000 - 200)
                    }
                    finished.raise()
                    _ = try await (first, second)
                    await reader.stop()
                }
                #expect(deaths.withLock { $0 } > 0, "seed \(seed)")
            }
        }
        try await withLedgers { _ in }
    }

    /// Starts one ledger after the other, until it is said to be enough.
    private func live(
        _ database: TestDatabase, _ broker: TestBroker, _ faults: FaultPoints, until isEnough: Flag
    ) async throws {
        while !isEnough.isRaised {
            let died = Flag()
            let own = FaultPoints { point in
                do { try faults.hit(point) } catch {
                    died.raise()
                    throw error
                }
            }
            let mortal = try LedgerUnderTest(database, broker, faults: own)
            try await mortal.start()
            while !isEnough.isRaised, !died.isRaised { try await TestDatabase.loop.sleep(for: .milliseconds(2)) }
            await mortal.kill()
        }
    }
}

final class Flag: Sendable {
    private let state = Mutex(false)
    var isRaised: Bool { state.withLock { $0 } }
    func raise() { state.withLock { $0 = true } }
}

/// A proxy's and a billing service's side of `broker` on the test loop.
func withPeers(_ broker: TestBroker, _ body: (Peers) async throws -> Void) async throws {
    let peers = try Peers(broker)
    async let answering: Void = peers.rpc.run()
    async let publishing: Void = peers.publisher.run()
    let isConnected = await peers.rpc.connected(within: .seconds(30))
    let isPublishing = await peers.publisher.connected(within: .seconds(30))
    #expect(isConnected && isPublishing)
    let result: Result<Void, any Error>
    do { result = .success(try await body(peers)) } catch { result = .failure(error) }
    await peers.rpc.stop()
    await peers.publisher.stop()
    await answering
    await publishing
    try result.get()
}

private struct CountEntries: Statement {
    typealias Output = Int64
    let account: AccountID
    static let sql = "SELECT count(*) FROM journal WHERE account_id = $1"
    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}

private struct SumTaken: Statement {
    typealias Output = Credits
    let account: AccountID
    static let sql = "SELECT coalesce(sum(amount), 0)::bigint FROM journal WHERE account_id = $1 AND kind = 3"
    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}
