import Contracts
import TestSupport
import Testing

@testable import Ledger

/// The auditor's replay against the engine, on commands drawn by a seed: one burns at each charge, the other when it must look.
struct LotReplayTests {
    @Test func `the replay and the engine agree on the lots of every account`() {
        let seed = drawSeed()
        for round in 0..<30 {
            var model = LotModel(seed: seed &+ UInt64(round))
            for step in 0..<150 {
                model.step()
                guard step % 10 == 9 else { continue }
                let findings = model.audit()
                #expect(findings == [], "seed \(seed), round \(round), batch \(step)")
                guard findings.isEmpty else { return }
            }
        }
    }

    @Test func `a replay from any opening gives the same lots as a replay from the start`() {
        let seed = drawSeed()
        var model = LotModel(seed: seed)
        for _ in 0..<200 { model.step() }
        for account in model.accounts {
            for (index, moment) in Set(model.entries(of: account).map(\.at)).sorted().enumerated() where index % 5 == 0 {
                let findings = model.audit(account, from: moment)
                #expect(findings == [], "TEST_SEED=\(seed), account \(account), \(moment)")
                guard findings.isEmpty else { return }
            }
        }
    }
}
