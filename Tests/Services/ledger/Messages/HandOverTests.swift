import Contracts
import EventLoop
import Postgres
import Synchronization
import TestSupport
import Testing
import Values

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
                    try await until("the second has settled") { try await posted() == credits(93) }
                    try await until("the first is deaf to all queues") { !first.isHearing }
                    #expect(try await peers.hold(10, account: account).status == .granted)

                    wire.isCut = false
                    try await until("the first stands by") { first.isConnected }
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

    /// The servers are stopped, not ended: TCP goes on, and no error says that the database is away.
    @Test(.timeLimit(.minutes(3)))
    func `a ledger whose database does not answer gives its queues to one that reaches the promoted standby`() async throws {
        try await PrivatePostgres.with { primary in
            let database = try await TestDatabase.create(
                on: primary.url, schema: "ledger", migrations: ["Shared/Outbox/Migrations", "Services/ledger/Migrations"])
            try await primary.withStandby { standby in
                try await TestBroker.withTopology { broker in
                    try await TestDatabase.onLoop { try await Self.failOver(database, primary, standby, broker) }
                }
            }
        }
    }

    private static func failOver(
        _ database: TestDatabase, _ primary: PrivatePostgres, _ standby: PrivatePostgres, _ broker: TestBroker
    ) async throws {
        func configure(_ configuration: inout PostgresPool.Configuration) {
            configuration.connectWithin = .seconds(2)
            configuration.acquireWithin = .seconds(5)
            configuration.statementTimeout = .seconds(2)
            configuration.answerMargin = .seconds(1)
        }
        let first = try LedgerUnderTest(database, broker, configure: configure)
        let second = try LedgerUnderTest(
            database, broker,
            configure: {
                configure(&$0)
                $0.url = $0.url.replacing(primary.address, with: "\(primary.address),\(standby.address)")
            })
        try await first.start()
        try await until("the first has the queues") { first.isConnected }
        try await second.start()
        try await until("the second stands by") { second.isConnected }
        try await withPeers(broker) { peers in
            let (account, charge) = (AccountID.make(), ChargeID.make())
            try await peers.grant(100, account: account)
            try await until("the grant is there") { try await first.ledger.store.standing(of: account)?.account.posted == credits(100) }
            #expect(try await peers.hold(10, on: charge, account: account).status == .granted)
            try await until("the standby has it") { try await first.ledger.pool.one(StandbyHasAll()) }

            primary.freeze()
            try standby.promote()
            async let late = first.ledger.runner.decide(Command(id: .make(), account: account, action: hold(1)), within: .seconds(1))
            await #expect(throws: PostgresError.self) { _ = try await first.ledger.store.standing(of: account) }
            try await peers.settle(7, on: charge, account: account)
            switch try await late {
            case .undecided, .unknown: break
            default: Issue.record("decided without a database")
            }
            try await until("the second has settled on the standby", within: .seconds(90)) {
                (try? await second.ledger.store.standing(of: account)?.account.posted) == credits(93)
            }
            try await until("the first is deaf to all queues") { !first.isHearing }
            #expect(try await peers.hold(10, account: account).status == .granted)
            #expect(try await Audit.run(on: second.ledger.pool, all: true).findings == [])
            await second.stop()
            // The first ends what it had begun.
            primary.thaw()
        }
        await first.stop()
    }

    @Test func `a single ledger subscribes again by itself, without a command to decide`() async throws {
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
                    try await until("it is deaf") { !ledger.isHearing }
                    wire.isCut = false
                    try await until("it hears again") { ledger.isConnected }
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

/// True if a standby has written everything that this server has.
private struct StandbyHasAll: Statement {
    typealias Output = Bool
    static let sql = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn())"
}
