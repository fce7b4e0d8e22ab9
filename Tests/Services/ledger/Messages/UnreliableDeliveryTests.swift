import AMQP
import Contracts
import EventLoop
import Postgres
import Synchronization
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

/// Deliveries as a broker may make them while ledgers die: each one to three times, late, in
/// another order, from several senders.
///
/// The accounts are rich, so that no outcome depends on the order. Settlements are taken whole,
/// running holds stay held, each purchase counts once, and the highest version of a reversal
/// counts. `TEST_SEED` repeats a run.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct UnreliableDeliveryTests {
    @Test func `messages that come twice, late, in any order and while ledgers die have one effect each`() async throws {
        let database = TestDatabase.current
        let seed = drawSeed()
        var random = SplitMix64(seed: seed)
        let accounts = (0..<8).map { _ in AccountID.make() }
        let said = Said(accounts, &random)
        let pile = Pile(said.deliveries(&random))
        let senders = (0..<4).map { _ in SplitMix64(seed: random.next()) }
        try await TestBroker.withTopology { broker in
            try await TestDatabase.onLoop {
                let ledgers = Succession(database, broker)
                for _ in 0..<2 { try await ledgers.add() }
                try await withPeers(broker) { peers in
                    for account in accounts { try await peers.grant(Said.start, account: account) }
                    try await until("everybody is rich") {
                        try await ledgers.reader.store.standings(of: accounts).count == accounts.count
                    }
                }

                async let sending: [Void] = concurrently(senders.count) { index in
                    var random = senders[index]
                    try await withPeers(broker) { peers in
                        while let next = pile.next() {
                            try await TestDatabase.loop.sleep(for: .microseconds(Int64.random(in: 0..<3_000, using: &random)))
                            try await next.send(by: peers)
                        }
                    }
                }
                // The working ledger dies in the middle of its work; in between the broker drops
                // all connections.
                for (part, death) in [(1, .afterLock), (2, .afterWrite), (3, nil), (4, .afterCommit)] as [(Int, FaultPoints.Point?)] {
                    try await until("part \(part) is sent", within: .seconds(120)) { pile.taken >= Double(part) / 5 }
                    if let death {
                        try await ledgers.die(at: death)
                    } else {
                        try await broker.closeConnections(until: { ledgers.isAnyDisconnected })
                    }
                }
                _ = try await sending

                // Behind everything else in each queue.
                try await withPeers(broker) { peers in
                    for last in said.last { try await last.send(by: peers) }
                }
                try await until("the last of each queue is decided") {
                    let found = try await ledgers.reader.pool.withConnection {
                        try await $0.one(CountCharges(ids: said.last.map(\.charge)))
                    }
                    return found == Int64(said.last.count)
                }
                let balances = try await ledgers.reader.store.standings(of: accounts)
                for account in accounts {
                    let balance = try #require(balances[account]?.account)
                    #expect(balance.posted == said.posted[account], "seed \(seed), account \(account)")
                    #expect(balance.held == said.held[account], "seed \(seed), account \(account)")
                }
                let entries = try await ledgers.reader.pool.withConnection { try await $0.query(ReadEnds(accounts: accounts)) }
                #expect(Dictionary(uniqueKeysWithValues: entries.map { ($0.charge, $0.amount) }) == said.taken, "seed \(seed)")
                await ledgers.end()
            }
        }
        try await withLedgers { _ in }
    }

    @Test func `the same purchase a thousand times from eight publishers is one grant; with another amount it is a conflict`() async throws
    {
        try await withBrokeredLedgers(2) { _, broker, _ in
            let (account, id) = (AccountID.make(), ChargeID.make())
            let conflicts = outcome("conflict", of: Topology.ledgerPurchases)
            let duplicates = outcome("duplicate", of: Topology.ledgerPurchases)
            _ = try await concurrently(8) { index in
                try await withPeers(broker) { peers in
                    for round in 0..<125 {
                        // Each publisher also sends one purchase with another amount.
                        if round == 60 { try await peers.grant(51 + Int64(index), on: id, account: account) }
                        try await peers.grant(50, on: id, account: account)
                    }
                }
            }
            try await withPeers(broker) { peers in
                try await peers.grant(1, account: account)
                try await until("the last purchase is there") { try await peers.balance(of: account).posted == credits(51) }
            }
            let dead = try await broker.deadLetters(of: Topology.ledgerPurchases, count: 8)
            #expect(try dead.map { try PurchaseFulfilled(decoding: $0.body).amount }.sorted() == (51...58).map { credits($0) })
            #expect(outcome("conflict", of: Topology.ledgerPurchases) - conflicts == 8)
            #expect(outcome("duplicate", of: Topology.ledgerPurchases) - duplicates == 999)
        }
    }
}

/// One message and how it is sent until it has arrived for sure.
private enum Saying: Sendable {
    case hold(PlaceHold)
    case report(ReportUsage)
    case settle(SettleCharges)
    case void(VoidHold)
    case purchase(PurchaseFulfilled)
    case reversal(PurchaseReversed)

    var charge: ChargeID {
        switch self {
        case .hold(let message): message.chargeID
        case .report(let message): message.chargeID
        case .settle(let message): message.items[0].chargeID
        case .void(let message): message.chargeID
        case .purchase(let message): message.chargeID
        case .reversal(let message): message.chargeID
        }
    }

    /// Sends like proxies and billing: again until it is answered or confirmed. A ledger or a
    /// connection may be unavailable for a moment.
    func send(by peers: Peers) async throws {
        for _ in 0..<300 {
            let areConnected = await peers.publisher.connected(within: .seconds(10))
            let canAsk = await peers.rpc.connected(within: .seconds(10))
            guard areConnected, canAsk else { break }
            do {
                switch self {
                case .hold(let message):
                    let reply = try await peers.ask(message, HoldReply.self, id: message.chargeID.description, within: .seconds(2))
                    if reply.status == .busy { continue }
                    #expect(reply.status == .granted || reply.status == .alreadyResolved, "\(reply)")
                case .report(let message): try await peers.send(message)
                case .settle(let message): try await peers.send(message)
                case .void(let message): try await peers.send(message)
                case .purchase(let message): try await peers.send(message)
                case .reversal(let message): try await peers.send(message)
                }
                return
            } catch is RPCError {
            } catch let error as PublishError {
                if case .unroutable = error { throw error }
            }
        }
        throw NotSent()
    }

    private struct NotSent: Error {}
}

/// A random set of charges and purchases, and its sums, which are the same in every order.
private struct Said: Sendable {
    static let start: Int64 = 10_000

    var sayings: [Saying] = []
    /// One for each queue an account's messages take, to be sent when all else is.
    var last: [Saying] = []
    var posted: [AccountID: Credits]
    var held: [AccountID: Credits]
    /// The credits that each ended charge took.
    var taken: [ChargeID: Credits] = [:]

    init(_ accounts: [AccountID], _ random: inout SplitMix64) {
        posted = Dictionary(uniqueKeysWithValues: accounts.map { ($0, credits(Self.start)) })
        held = Dictionary(uniqueKeysWithValues: accounts.map { ($0, .zero) })
        for _ in 0..<160 { charge(on: accounts.randomElement(using: &random)!, &random) }
        for _ in 0..<40 { buy(for: accounts.randomElement(using: &random)!, &random) }
        for account in accounts {
            let id = ChargeID.make()
            last.append(.settle(SettleCharges([SettleCharge(chargeID: id, accountID: account, amount: credits(1), call: .sample)])))
            take(credits(1), for: id, from: account)
        }
        let gift = PurchaseFulfilled(
            chargeID: .make(), accountID: accounts[0], kind: .bonus, amount: credits(1), description: "the last", expiresAt: nil)
        last.append(.purchase(gift))
        posted[accounts[0]]! += gift.amount
    }

    private mutating func charge(on account: AccountID, _ random: inout SplitMix64) {
        let id = ChargeID.make()
        let estimate = credits(.random(in: 1...40, using: &random))
        let end = Int.random(in: 0..<10, using: &random)
        // Some were never held: their hold was lost, or their proxy charges what it had on a lease.
        if end != 9 {
            sayings.append(
                .hold(
                    PlaceHold(
                        chargeID: id, accountID: account, amounts: HoldAmounts(most: estimate, usual: credits(1), least: credits(1)),
                        timeToLiveMilliseconds: 600_000,
                        replica: "llm-proxy-1", apiKeyID: nil)))
        }
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            let used = credits(.random(in: 0...40, using: &random))
            sayings.append(
                .report(ReportUsage(chargeID: id, accountID: account, usedSoFar: used, timeToLiveMilliseconds: 600_000)))
        }
        switch end {
        case 0, 1: held[account]! += estimate
        case 2, 3, 4:
            sayings.append(.void(VoidHold(chargeID: id, accountID: account, reason: "failed before its first token")))
            taken[id] = .zero
        default:
            // Above its estimate too.
            let cost = credits(.random(in: 0...60, using: &random))
            sayings.append(.settle(SettleCharges([SettleCharge(chargeID: id, accountID: account, amount: cost, call: .sample)])))
            take(cost, for: id, from: account)
        }
    }

    /// Adds a purchase. Some are partly reversed by several messages, of which the highest version
    /// counts in any order.
    private mutating func buy(for account: AccountID, _ random: inout SplitMix64) {
        let purchase = PurchaseFulfilled(
            chargeID: .make(), accountID: account, kind: .purchase, amount: credits(.random(in: 1...500, using: &random)),
            description: "credits", expiresAt: nil)
        sayings.append(.purchase(purchase))
        posted[account]! += purchase.amount
        var target = Credits.zero
        for version in 0..<max(0, Int64.random(in: -3...3, using: &random)) {
            target = Credits(nano: .random(in: 0...purchase.amount.nano, using: &random))
            sayings.append(
                .reversal(
                    PurchaseReversed(
                        chargeID: .make(), accountID: account, grantID: purchase.chargeID, target: target, version: version + 1,
                        reason: .refund, description: "refunded")))
        }
        posted[account]! -= target
    }

    private mutating func take(_ amount: Credits, for id: ChargeID, from account: AccountID) {
        taken[id] = amount
        posted[account]! -= amount
    }

    /// Each saying one to three times, shuffled within a window; one in ten comes much later.
    func deliveries(_ random: inout SplitMix64) -> [Saying] {
        var timed: [(at: Int, saying: Saying)] = []
        for (index, saying) in sayings.enumerated() {
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let isLate = Int.random(in: 0..<10, using: &random) == 0
                timed.append((index + Int.random(in: 0..<(isLate ? sayings.count : 40), using: &random), saying))
            }
        }
        return timed.sorted { $0.at < $1.at }.map(\.saying)
    }
}

/// Which several senders take from.
private final class Pile: Sendable {
    private let sayings: [Saying]
    private let count = Mutex(0)

    init(_ sayings: [Saying]) { self.sayings = sayings }

    /// The part of it.
    var taken: Double { Double(count.withLock { $0 }) / Double(sayings.count) }

    func next() -> Saying? {
        count.withLock { count in
            guard count < sayings.count else { return nil }
            defer { count += 1 }
            return sayings[count]
        }
    }
}

/// Ledgers that come and go on one broker and one database.
private final class Succession: @unchecked Sendable {
    // @unchecked Sendable: used on the test loop only.
    private struct Killed: Error {}

    private let database: TestDatabase
    private let broker: TestBroker
    private var living: [(ledger: LedgerUnderTest, isDead: Flag)] = []
    /// The right to crash, for the first ledger that reaches the point.
    private let warrant = Warrant()
    let reader: StoreUnderTest

    init(_ database: TestDatabase, _ broker: TestBroker) {
        (self.database, self.broker) = (database, broker)
        reader = StoreUnderTest(database)
    }

    var isAnyDisconnected: Bool { living.contains { !$0.ledger.isConnected } }

    func add() async throws {
        let (warrant, isDead) = (warrant, Flag())
        let faults = FaultPoints { point in
            guard warrant.takes(point) else { return }
            isDead.raise()
            throw Killed()
        }
        let ledger = try LedgerUnderTest(database, broker, faults: faults)
        try await ledger.start()
        living.append((ledger, isDead))
    }

    /// One dies at its next batch, and another begins.
    func die(at point: FaultPoints.Point) async throws {
        warrant.issue(point)
        try await until("one is dead") { living.contains { $0.isDead.isRaised } }
        let index = try #require(living.firstIndex { $0.isDead.isRaised })
        await living.remove(at: index).ledger.kill()
        try await add()
    }

    func end() async {
        for (ledger, _) in living { await ledger.stop() }
        await reader.pool.close()
    }
}

private final class Warrant: Sendable {
    private let point = Mutex<FaultPoints.Point?>(nil)

    func issue(_ point: FaultPoints.Point) { self.point.withLock { $0 = point } }

    func takes(_ reached: FaultPoints.Point) -> Bool {
        point.withLock { point in
            guard point == reached else { return false }
            point = nil
            return true
        }
    }
}

private struct CountCharges: Statement {
    typealias Output = Int64
    let ids: [ChargeID]
    static let sql = "SELECT count(*) FROM journal WHERE charge_id = ANY($1)"
    func bind(_ parameters: inout Parameters) { parameters.append(ids) }
}

private struct ReadEnds: Statement {
    let accounts: [AccountID]
    static let sql = "SELECT charge_id, amount FROM journal WHERE account_id = ANY($1) AND kind IN (3, 4, 5, 6)"
    func bind(_ parameters: inout Parameters) { parameters.append(accounts) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> (charge: ChargeID, amount: Credits) {
        try (row.next(), row.next())
    }
}
