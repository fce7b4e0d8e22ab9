import Contracts
import Glibc
import TestSupport
import Testing
import Values

@testable import Ledger

/// Compares the engine with the oracle. `TEST_SEED` repeats a run; `LEDGER_MODEL_STEPS` makes it
/// longer.
struct ModelTests {
    @Test func `the engine and the oracle agree on every decision`() {
        let seed = drawSeed()
        // Many short lives rather than one long: the oracle's work grows with the square of what happened.
        var left = Int(modelSetting("LEDGER_MODEL_STEPS") ?? 3_000)
        var life: UInt64 = 0
        while left > 0 {
            var model = Model(seed: seed + life)
            for step in 0..<min(left, 200) {
                if let difference = model.step() {
                    Issue.record("seed \(seed + life), batch \(step): \(difference)")
                    return
                }
            }
            if let difference = model.differenceOfUsage() {
                Issue.record("seed \(seed + life): \(difference)")
                return
            }
            left -= 200
            life += 1
        }
    }

    @Test func `a batch equals its commands one by one`() {
        let seed = drawSeed()
        var model = Model(seed: seed)
        for step in 0..<300 {
            let commands = model.draw()
            let whole = model.state.apply(commands, now: model.now, limits: Model.limits)
            var single = model.state.apply([], now: model.now, limits: Model.limits)
            for command in commands {
                let ruling = single.state.apply([command], now: model.now, limits: Model.limits)
                single.state = ruling.state
                single.decisions += ruling.decisions
                single.entries += ruling.entries
                single.alerts += ruling.alerts
            }
            #expect(whole.decisions == single.decisions, "seed \(seed), batch \(step)")
            #expect(whole.entries == single.entries, "seed \(seed), batch \(step)")
            #expect(whole.alerts == single.alerts, "seed \(seed), batch \(step)")
            #expect(whole.state.settled == single.state.settled, "seed \(seed), batch \(step)")
            if whole.entries != single.entries { return }
            if let difference = model.step() {
                Issue.record("seed \(seed), batch \(step): \(difference)")
                return
            }
        }
    }
}

/// Reads a number from the environment that makes a run longer.
func modelSetting(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

extension LedgerState {
    /// Brings every book up to the balance: the time of the last look does not matter.
    fileprivate var settled: LedgerState {
        var state = self
        for (id, book) in books {
            var book = book
            book.settle(at: accounts[id]?.posted ?? .zero)
            state.books[id] = book
            state.accounts[id]?.lotsExpireAt = book.nextExpiry
        }
        return state
    }
}
