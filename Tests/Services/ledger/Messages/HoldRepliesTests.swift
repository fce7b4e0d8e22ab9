import Contracts
import Testing
import Values

@testable import Ledger
@testable import LedgerCore

struct HoldRepliesTests {
    @Test func `each reply says what balance and overdraft leave now`() {
        var ledger = Scenario(balance: 10)
        ledger.set { $0.overdraft = credits(5) }
        let id = ledger.id()
        func reply(_ action: Command.Action, on id: ChargeID) -> HoldReply {
            let command = Command(id: id, account: ledger.account, action: action)
            return HoldReply(ledger.apply([command])[0], to: command)
        }
        let granted = reply(hold(6), on: id)
        #expect((granted.status, granted.available, granted.spendable) == (.granted, credits(9), credits(9)))
        let extended = reply(extend(by: 2), on: id)
        #expect((extended.status, extended.available) == (.granted, credits(7)))
        let repeated = reply(hold(6), on: id)
        #expect((repeated.status, repeated.granted, repeated.available) == (.granted, credits(6), credits(7)))
        let waiting = reply(hold(8), on: ledger.id())
        #expect((waiting.status, waiting.available) == (.awaitingFunds, credits(7)))
        let refused = reply(hold(16), on: ledger.id())
        #expect((refused.status, refused.available) == (.insufficientFunds, credits(7)))
    }

    @Test func `available leaves limits out, and spendable counts them`() {
        var ledger = Scenario(balance: 10)
        ledger.set { $0.limits.daily = credits(8) }
        let command = Command(id: ledger.id(), account: ledger.account, action: hold(6))
        let reply = HoldReply(ledger.apply([command])[0], to: command)
        #expect((reply.available, reply.spendable) == (credits(4), credits(2)))
    }
}
