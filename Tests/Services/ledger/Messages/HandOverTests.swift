import Contracts
import EventLoop
import Postgres
import Synchronization
import TestSupport
import Testing

@testable import Ledger

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct HandOverTests {
    @Test func `a ledger that cannot reach the database gives its queues to one that can, and stands by when it is back`() async throws {
        let database = TestDatabase.current
        let wire = try Wire(to: database)
        try await TestBroker.withTopology { broker in
            try await TestDatabase.onLoop {
                let batches = Mutex(0)
                let first = try LedgerUnderTest(
                    database, broker, faults: FaultPoints { _ in batches.withLock { $0 += 1 } }, configure: { wire.carry(&$0) })
                let second = try LedgerUnderTest(database, broker)
                try await first.start()
                try await until("the first has the queues") { first.isConnected }
                try await second.start()
                try await until("the second stands by") { second.isConnected }
                try await withPeers(broker) { peers in
                    let account = AccountID.make()
                    let charge = ChargeID.make()
                    func posted() async throws -> Credits? { try await second.ledger.store.standing(of: account)?.account.posted }

                    try await peers.grant(100, account: account)
                    try await until("the grant is there") { try await posted() == credits(100) }
                    #expect(try await peers.hold(10, on: charge, account: account).status == .granted)
                    #expect(batches.withLock { $0 } > 0)

                    wire.isCut = true
                    try await peers.settle(7, on: charge, account: account)
                    try await until("the second has settled", within: .seconds(30)) { try await posted() == credits(93) }
                    try await until("the first is deaf to all queues") { !first.isHearing }
                    #expect(try await peers.hold(10, account: account).status == .granted)

                    wire.isCut = false
                    try await until("the first stands by", within: .seconds(30)) { first.isConnected }
                    let before = batches.withLock { $0 }
                    try await peers.settle(1, on: .make(), account: account)
                    try await until("the second still has the queues") { try await posted() == credits(92) }
                    #expect(batches.withLock { $0 } == before)

                    await second.stop()
                    try await peers.settle(1, on: .make(), account: account)
                    try await until("the first goes on") {
                        try await first.ledger.store.standing(of: account)?.account.posted == credits(91)
                    }
                }
                await first.stop()
            }
        }
        try await withLedgers { _ in }
    }

    @Test func `a ledger that has not found its database yet leaves the queues to another ledger`() async throws {
        let database = TestDatabase.current
        try await TestBroker.withTopology { broker in
            try await TestDatabase.onLoop {
                let first = try LedgerUnderTest(database, broker)
                let second = try LedgerUnderTest(database, broker)
                try await first.listen()
                try await second.start()
                try await withPeers(broker) { peers in
                    let account = AccountID.make()
                    func posted() async throws -> Credits? { try await second.ledger.store.standing(of: account)?.account.posted }
                    try await peers.grant(100, account: account)
                    try await until("the second has the grant") { try await posted() == credits(100) }
                    #expect(!first.isHearing)

                    try await first.ledger.start()
                    try await until("the first stands by") { first.isConnected }
                    await second.stop()
                    try await peers.settle(1, on: .make(), account: account)
                    try await until("the first goes on") {
                        try await first.ledger.store.standing(of: account)?.account.posted == credits(99)
                    }
                }
                await first.stop()
            }
        }
        try await withLedgers { _ in }
    }

    @Test func `a ledger that is alone subscribes again by itself, with nothing to decide`() async throws {
        let database = TestDatabase.current
        let wire = try Wire(to: database)
        try await TestBroker.withTopology { broker in
            try await TestDatabase.onLoop {
                let ledger = try LedgerUnderTest(database, broker, configure: { wire.carry(&$0) })
                try await ledger.start()
                try await until("it is connected") { ledger.isConnected }
                try await withPeers(broker) { peers in
                    let account = AccountID.make()
                    wire.isCut = true
                    // Its asker gives up first: of what the ledger has to decide nothing is left.
                    await #expect(throws: (any Error).self) { try await peers.hold(10, account: account, within: .seconds(2)) }
                    try await until("it is deaf", within: .seconds(30)) { !ledger.isHearing }
                    wire.isCut = false
                    try await until("it hears again", within: .seconds(30)) { ledger.isConnected }
                    try await peers.grant(100, account: account)
                    try await until("it decides") { try await ledger.ledger.store.standing(of: account)?.account.posted == credits(100) }
                }
                await ledger.stop()
            }
        }
        try await withLedgers { _ in }
    }
}

/// A database as one ledger reaches it, which the others do not notice being cut.
private final class Wire: Sendable {
    private let server: ScriptedServer
    private let serverPort: Int
    private let state: State

    private final class State: Sendable {
        let isCut = Mutex(false)
    }

    init(to database: TestDatabase) throws {
        let host = database.url.split(separator: "@").last?.prefix { $0 != "/" }
        let (port, state) = (try #require(host?.split(separator: ":").last.flatMap { Int($0) }), State())
        (serverPort, self.state) = (port, state)
        server = ScriptedServer { peer in
            peer.forward(to: port, isCut: { state.isCut.withLock { $0 } })
        }
    }

    var isCut: Bool {
        get { state.isCut.withLock { $0 } }
        set { state.isCut.withLock { $0 = newValue } }
    }

    func carry(_ configuration: inout PostgresPool.Configuration) {
        configuration.url = configuration.url.replacing(":\(serverPort)/", with: ":\(server.port)/")
        configuration.acquireWithin = .seconds(1)
        configuration.connectWithin = .seconds(1)
    }
}
