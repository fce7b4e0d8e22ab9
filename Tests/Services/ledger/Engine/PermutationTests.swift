import Contracts
import Testing

@testable import Ledger

/// Every order of up to five messages about one charge, each as often as it likes, with the hold expiring anywhere between them.
struct PermutationTests {
    enum Step: CaseIterable { case hold, report, settle, otherSettle, void, expiry }

    @Test func `every sequence of up to five messages ends as the oracle says, and repeating it all changes nothing`() {
        var sequences: [[Step]] = [[]]
        var tried = 0
        for _ in 1...5 {
            sequences = sequences.flatMap { sequence in Step.allCases.map { sequence + [$0] } }
            for sequence in sequences {
                if let difference = run(sequence) {
                    Issue.record("\(sequence): \(difference)")
                    return
                }
                tried += 1
            }
        }
        #expect(tried == 6 + 36 + 216 + 1_296 + 7_776)
    }

    private func run(_ sequence: [Step]) -> String? {
        var ledger = Scenario(balance: 10)
        var oracle = Oracle(timeToLiveMax: ledger.limits.timeToLiveMax)
        let opening = ledger.journal[0]
        _ = oracle.decide(Command(id: opening.charge, account: ledger.account, action: .grant(.purchase, amount: credits(10))), ledger.now)
        let id = ledger.id()

        func commands(_ step: Step) -> Command? {
            let action: Command.Action? =
                switch step {
                case .hold: holdOfSix
                case .report: report(3)
                case .settle: settle(4)
                case .otherSettle: settle(12)
                case .void: .void
                case .expiry: nil
                }
            return action.map { Command(id: id, account: ledger.account, action: $0) }
        }

        for step in sequence {
            guard let command = commands(step) else {
                ledger.pass(.seconds(61))
                ledger.sweep()
                oracle.tick(ledger.now)
                continue
            }
            let decision = seen(ledger.apply([command])[0])
            let expected = oracle.decide(command, ledger.now)
            if decision != expected { return "\(step): engine \(decision), oracle \(expected)" }
            if ledger.posted != oracle.posted(ledger.account) { return "\(step): posted \(ledger.posted)" }
            if ledger.held != oracle.held(ledger.account) { return "\(step): held \(ledger.held)" }
            if ledger.posted < ledger.held { return "\(step): overspent" }
        }
        let (accounts, written) = (ledger.state.accounts, ledger.journal.count)
        for step in sequence {
            guard let command = commands(step) else { continue }
            if case .decided = ledger.apply([command])[0] { return "\(step) again was decided again" }
        }
        return ledger.state.accounts == accounts && ledger.journal.count == written ? nil : "a repetition changed something"
    }
}

private let holdOfSix = hold(6)
