import Contracts
import Testing

@testable import Ledger

/// The auditor's replay against the engine, on commands drawn by a seed: one burns at each charge, the other when it must look.
struct LotReplayTests {
    @Test func `the replay and the engine agree on the lots of everything that was ever asked`() {
        let seed = UInt64.random(in: 1...1_000_000_000)
        print("LotReplayTests seed \(seed)")
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

    @Test func `the replay goes on from any entry as if it had come all the way`() {
        let seed = UInt64.random(in: 1...1_000_000_000)
        print("LotReplayTests seed \(seed)")
        var model = LotModel(seed: seed)
        for _ in 0..<200 { model.step() }
        for account in model.accounts {
            let chain = model.entries(of: account)
            for cut in chain.indices where chain[cut].seq > 0 && cut % 7 == 0 {
                let findings = model.audit(account, from: cut)
                #expect(findings == [], "seed \(seed), account \(account), seq \(chain[cut].seq)")
                guard findings.isEmpty else { return }
            }
        }
    }
}
