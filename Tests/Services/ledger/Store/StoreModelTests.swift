import Contracts
import Postgres
import TestSupport
import Testing

@testable import Ledger

/// The model's commands against real tables: what the oracle says is what Postgres holds.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"))
struct StoreModelTests {
    @Test func `Postgres and the oracle agree on everything that was ever asked`() async throws {
        let seed = UInt64.random(in: 1...1_000_000_000)
        print("StoreModelTests seed \(seed)")
        try await withLedgers(2) { ledgers in
            var model = Model(seed: seed)
            for step in 0..<150 {
                model.now = Instant.now()
                let commands = model.draw(timeToLive: .seconds(300))
                let found = try await ledgers[step % 2].do(commands)
                let expected = commands.map { model.oracle.decide($0, model.now) }
                #expect(found == expected, "seed \(seed), batch \(step)")
                guard found == expected else { return }
                for account in Set(commands.map(\.account)) {
                    let row = try await ledgers[0].store.standing(of: account)?.account
                    #expect((row?.posted ?? .zero) == model.oracle.posted(account), "seed \(seed), batch \(step)")
                    #expect((row?.held ?? .zero) == model.oracle.held(account), "seed \(seed), batch \(step)")
                }
                if step % 3 == 0, let charge = model.oracle.running.randomElement(using: &model.random) {
                    // Time passes for one hold.
                    try await ledgers[0].pool.withConnection { _ = try await $0.execute(LetExpire(charge: charge)) }
                    model.oracle.charges[charge]?.expiresAt = Instant(microseconds: 0)
                    model.oracle.tick(model.now)
                    while try await ledgers[1].store.sweepExpired().due > 0 {}
                }
            }
        }
    }
}

struct LetExpire: Statement {
    let charge: ChargeID
    static let sql = "UPDATE open_hold SET expires_at = clock_timestamp() WHERE charge_id = $1"
    func bind(_ parameters: inout Parameters) { parameters.append(charge) }
}
