import Testing
import Values

@testable import Ledger

/// Every order of up to six messages about one thing, each as often as it likes, with time running out anywhere between them.
struct PermutationTests {
    @Test func `every sequence of up to six messages about a charge ends as the oracle says`() {
        let about = ChargeID(rawValue: UUIDv7(high: 0x01A3_0000_0000_7001, low: 1 << 63))
        let steps: [Walk.Step] = [
            .init("hold", about, hold(6)), .init("extend", about, extend(by: 3, used: 1)),
            .init("report", about, report(3)), .init("settle", about, settle(4)), .init("other settle", about, settle(12)),
            .init("void", about, .void), .init("expiry", about, nil, after: .seconds(61)),
        ]
        var walk = Walk(balance: 10, steps: steps)
        #expect(walk.difference(depth: 6) == nil)
        #expect(walk.walked == 7 + 49 + 343 + 2_401 + 16_807 + 117_649)
    }

    @Test func `every sequence of up to six messages about a grant ends as the oracle says`() {
        let about = ChargeID(rawValue: UUIDv7(high: 0x01A3_0000_0000_7001, low: 1 << 63))
        let end = Walk.start + .seconds(100)
        let steps: [Walk.Step] = [
            .init("grant", about, grant(.planGrant, 10, until: end)), .init("reversal", nil, reverse(about, 8, version: 1)),
            .init("lower reversal", nil, reverse(about, 3, version: 2)), .init("spend", nil, charge(4)),
            .init("hold", nil, hold(5, for: .seconds(30))),
            .init("end", nil, .expireLots, after: .seconds(101)),
        ]
        var walk = Walk(balance: 5, steps: steps)
        #expect(walk.difference(depth: 6) == nil)
        #expect(walk.walked == 6 + 36 + 216 + 1_296 + 7_776 + 46_656)
    }
}

/// A tree of sequences, walked with the engine and the oracle side by side.
private struct Walk {
    struct Step {
        let name: String
        /// Nil: another one each time.
        let id: ChargeID?
        /// Nil: the expiry of the hold as it is then.
        let action: Command.Action?
        let time: Duration

        init(_ name: String, _ id: ChargeID?, _ action: Command.Action?, after time: Duration = .zero) {
            (self.name, self.id, self.action, self.time) = (name, id, action, time)
        }
    }

    static let start = Instant(microseconds: 1_800_000_000_000_000)

    let steps: [Step]
    private(set) var walked = 0
    private let ledger: Scenario
    private let oracle: Oracle

    init(balance: Int64, steps: [Step]) {
        self.steps = steps
        var (ledger, oracle) = (Scenario(), Oracle())
        let opening = Command(id: ledger.id(), account: ledger.account, action: .grant(.purchase, amount: credits(balance)))
        ledger.apply([opening])
        oracle.tick(ledger.now, [ledger.account])
        _ = oracle.decide(opening)
        (self.ledger, self.oracle) = (ledger, oracle)
    }

    mutating func difference(depth: Int) -> String? { difference(ledger, oracle, [], depth) }

    private mutating func difference(_ ledger: Scenario, _ oracle: Oracle, _ path: [String], _ depth: Int) -> String? {
        for step in steps {
            walked += 1
            var (next, expected) = (ledger, oracle)
            let path = path + [step.name]
            next.pass(step.time)
            expected.tick(next.now, [next.account])
            let id = step.id ?? next.id()
            let command = Command(id: id, account: next.account, action: step.action ?? next.expiry(of: id))
            let (found, right) = (seen(next.apply([command])[0]), expected.decide(command))
            if found != right { return "\(path): engine \(found), oracle \(right)" }
            let (state, written) = (next.state, next.journal.count)
            let again = seen(next.apply([command])[0])
            if next.state != state || next.journal.count != written { return "\(path): twice it counts twice" }
            if case .applied = again { return "\(path): twice it is decided twice" }
            if let difference = difference(next, expected) { return "\(path): \(difference)" }
            if depth > 1, let difference = self.difference(next, expected, path, depth - 1) { return difference }
        }
        return nil
    }

    private func difference(_ ledger: Scenario, _ oracle: Oracle) -> String? {
        let row = ledger.state.accounts[ledger.account] ?? Account(id: ledger.account)
        var book = ledger.state.books[ledger.account] ?? LotBook()
        book.settle(at: row.posted)
        return oracle.memory(ledger.account).difference(
            from: row, lots: Array(book.lots.values), keys: [], limits: [:], overdraft: nil, now: ledger.now)
    }
}
