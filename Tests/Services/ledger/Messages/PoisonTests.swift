import AMQP
import Contracts
import EventLoop
import Postgres
import Synchronization
import Telemetry
import TestSupport
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct PoisonTests {
    @Test(arguments: [1, 26])
    func `a charge that kills every ledger is rejected alone, and the hundred charges around it are decided`(perMessage: Int) async throws {
        let database = TestDatabase.current
        try await TestBroker.withTopology { broker in
            try await TestDatabase.onLoop {
                let account = AccountID.make()
                let charges = (0..<101).map { _ in ChargeID.make() }
                let poison = charges[50]
                try await withPeers(broker) { peers in
                    for start in stride(from: 0, to: charges.count, by: perMessage) {
                        let items = charges[start...].prefix(perMessage)
                        try await peers.send(
                            SettleCharges(
                                items.map { SettleCharge(chargeID: $0, accountID: account, amount: credits(1), call: .sample) }))
                    }
                }
                let setAside = Flag()
                let dead = Task {
                    let dead = try await broker.deadLetters(of: Topology.ledgerCharges, count: 1)
                    setAside.raise()
                    return dead
                }
                var deaths = 0
                while !setAside.isRaised {
                    let mortal = try MortalLedger(database, broker, poison: poison)
                    try await mortal.start()
                    try await until("it dies, or what kills is gone") { mortal.isDying || setAside.isRaised }
                    if mortal.isDying { deaths += 1 }
                    await mortal.kill()
                }
                let rejected = try await dead.value.map { try SettleCharges(decoding: $0.body).items.map(\.chargeID) }
                #expect(rejected.count == 1 && rejected[0].contains(poison) && rejected[0].count == perMessage, "\(rejected)")
                #expect(Int64(deaths) == Topology.ledgerCharges.deliveryLimit! + 1)

                let reader = StoreUnderTest(database)
                let decided = try await reader.pool.withConnection { try await $0.query(ReadCharges(account: account)) }
                #expect(Set(decided) == Set(charges).subtracting([poison]))
                await reader.pool.close()
            }
        }
        try await withLedgers { _ in }
    }
}

/// A ledger that listens to charges alone, and dies in the middle of the batch with `poison`.
private final class MortalLedger: @unchecked Sendable {
    // @unchecked Sendable: used on the test loop only.
    private struct Killed: Error {}

    private let ledger: StoreUnderTest
    private let connection: AMQPConsumer
    private let consumer: CommandConsumer
    private let hasRead = Flag()
    private var tasks: [Task<Void, Never>] = []

    init(_ database: TestDatabase, _ broker: TestBroker, poison: ChargeID) throws {
        let hasRead = hasRead
        let faults = FaultPoints(
            action: { _ in if hasRead.isRaised { throw Killed() } },
            sees: { if $0.contains(where: { $0.id == poison }) { hasRead.raise() } })
        ledger = StoreUnderTest(database, faults: faults)
        connection = AMQPConsumer(
            try AMQPConfiguration(url: broker.url, connectionName: "ledger:mortal"), source: .queue(Topology.ledgerCharges.name),
            prefetch: 250, log: silent)
        consumer = CommandConsumer(.commands(Topology.ledgerCharges), connection, ledger.runner, silent)
    }

    var isDying: Bool { hasRead.isRaised }

    func start() async throws {
        try await ledger.start()
        let (connection, consumer) = (connection, consumer)
        tasks = [
            Task(executorPreference: TestDatabase.loop) { await connection.run() },
            Task(executorPreference: TestDatabase.loop) { try? await consumer.run() },
        ]
    }

    func kill() async {
        await consumer.stop(within: .zero)
        for task in tasks { await task.value }
        await ledger.stop()
    }
}

private struct ReadCharges: Statement {
    let account: AccountID
    static let sql = "SELECT charge_id FROM journal WHERE account_id = $1"
    func bind(_ parameters: inout Parameters) { parameters.append(account) }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> ChargeID { try row.next() }
}
