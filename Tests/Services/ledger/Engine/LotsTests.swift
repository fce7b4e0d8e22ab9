import Testing
import Values

@testable import Ledger

struct LotsTests {
    @Test func `a late settlement in the batch of its expiry leaves the same lots as a later one`() {
        var (together, apart) = (Scenario(balance: 10), Scenario(balance: 10))
        let end = together.now + .seconds(86_400)
        func play(_ ledger: inout Scenario, _ finish: (inout Scenario, [Command]) -> Void) {
            let id = ledger.id()
            ledger.do(grant(.planGrant, 5, until: end))
            ledger.do(hold(6), on: id)
            ledger.do(charge(2))
            ledger.do(report(2), on: id)
            ledger.pass(.seconds(60))
            ledger.sweep()
            ledger.pass(ledger.limits.expiryGrace)
            finish(&ledger, [ledger.expiry(of: id), settle(1)].map { Command(id: id, account: ledger.account, action: $0) })
        }
        play(&together) { ledger, commands in ledger.apply(commands) }
        play(&apart) { ledger, commands in for command in commands { ledger.apply([command]) } }
        #expect(together.posted == credits(12))
        #expect(together.lots == apart.lots)
        #expect(together.state.accounts[together.account]?.lotsExpireAt == end)
    }

    @Test func `the lot that expires first burns first, given before paid, and the older of equals`() {
        var ledger = Scenario()
        let (soon, late) = (ledger.now + .seconds(3_600), ledger.now + .seconds(7_200))
        ledger.do(grant(.purchase, 1))
        ledger.pass(.seconds(1))
        ledger.do(grant(.bonus, 2))
        ledger.do(grant(.purchase, 3, until: late))
        ledger.do(grant(.planGrant, 4, until: late))
        ledger.do(grant(.purchase, 5, until: soon))
        ledger.pass(.seconds(1))
        ledger.do(grant(.purchase, 6))
        ledger.do(grant(.topup, 7, until: soon))
        #expect(ledger.lots == [5, 7, 4, 3, 2, 1, 6])
        ledger.do(charge(14))
        #expect(ledger.lots == [2, 3, 2, 1, 6])
    }

    @Test func `a later lot does not pay for earlier spending`() {
        var ledger = Scenario(balance: 10)
        ledger.do(charge(4))
        ledger.do(grant(.bonus, 5, until: ledger.now + .seconds(60)))
        #expect(ledger.lots == [5, 6])
        ledger.do(charge(4))
        #expect(ledger.lots == [1, 6])
    }

    @Test func `a lot is spendable to its last microsecond and not at its expiry`() {
        var ledger = Scenario()
        let grantID = ledger.id()
        ledger.do(grant(.planGrant, 10, until: ledger.now + .seconds(60)), on: grantID)
        ledger.pass(.seconds(60) - .microseconds(1))
        #expect(seen(ledger.do(charge(4))) == .applied(4))
        ledger.pass(.microseconds(1))
        #expect(seen(ledger.do(charge(1))) == .refused(.insufficientFunds))
        #expect(ledger.posted == .zero)
        let ending = ledger.journal.first { $0.kind == .lotExpiry }
        #expect(ending?.amount == credits(6))
        #expect(ending?.grant == grantID)
        #expect(ledger.lot(grantID)?.expired == credits(6))
    }

    @Test func `a spent lot expires without an entry`() {
        var ledger = Scenario()
        ledger.do(grant(.planGrant, 10, until: ledger.now + .seconds(60)))
        ledger.do(grant(.purchase, 5))
        ledger.do(charge(12))
        ledger.pass(.seconds(61))
        ledger.sweep()
        #expect(ledger.posted == credits(3))
        #expect(!ledger.journal.contains { $0.kind == .lotExpiry })
        #expect(ledger.state.accounts[ledger.account]?.lotsExpireAt == nil)
    }

    @Test func `the part of an expired lot that an open hold needs stays until the hold ends`() {
        var ledger = Scenario()
        let id = ledger.id()
        ledger.do(grant(.planGrant, 10, until: ledger.now + .seconds(30)))
        ledger.do(hold(6), on: id)
        ledger.pass(.seconds(30))
        ledger.sweep()
        // Credits without a hold expire at once, and held ones are for that call alone.
        #expect(ledger.posted == credits(6))
        #expect(seen(ledger.do(hold(1))) == .awaiting(0))
        #expect(seen(ledger.do(settle(2), on: id)) == .applied(2))
        #expect(ledger.posted == .zero)
        #expect(ledger.journal.suffix(2).map(\.kind) == [.capture, .lotExpiry])
        #expect(ledger.journal.filter { $0.kind == .lotExpiry }.map(\.amount) == [4, 4].map(credits))
    }

    @Test(arguments: [Command.Action.void, settle(0)])
    func `a hold that is released completely lets the whole lot expire`(ending: Command.Action) {
        var ledger = Scenario()
        let id = ledger.id()
        ledger.do(grant(.planGrant, 10, until: ledger.now + .seconds(30)))
        ledger.do(hold(10), on: id)
        ledger.pass(.seconds(30))
        ledger.sweep()
        #expect(ledger.posted == credits(10))
        ledger.do(ending, on: id)
        #expect(ledger.posted == .zero)
    }

    @Test func `an expired lot that an overdue hold keeps ends with the hold`() {
        var ledger = Scenario()
        let id = ledger.id()
        ledger.do(grant(.planGrant, 10, until: ledger.now + .seconds(60)))
        ledger.do(hold(10), on: id)
        ledger.do(report(4), on: id)
        ledger.pass(.seconds(60))
        ledger.expire()
        #expect(ledger.journal.suffix(2).map(\.kind) == [.expire, .lotExpiry])
        #expect(ledger.journal.last?.amount == credits(6))
        #expect(ledger.lots == [])
    }

    @Test func `new credits back a hold, and the expired lot that it kept ends`() {
        var ledger = Scenario()
        let id = ledger.id()
        ledger.do(grant(.planGrant, 10, until: ledger.now + .seconds(30)))
        ledger.do(hold(6), on: id)
        ledger.pass(.seconds(30))
        ledger.do(grant(.purchase, 20))
        #expect(ledger.lots == [20])
        ledger.do(settle(6), on: id)
        #expect(ledger.lots == [14])
    }

    @Test func `a grant that arrives after its expiry writes a grant and an expiry, and leaves no credits`() {
        var ledger = Scenario(balance: 5)
        #expect(seen(ledger.do(grant(.planGrant, 10, until: ledger.now))) == .applied(10))
        #expect(ledger.journal.suffix(2).map(\.kind) == [.planGrant, .lotExpiry])
        #expect(ledger.lots == [5])
    }

    @Test func `the credits that a late settlement returns are a lot without expiry that burns last`() {
        var ledger = Scenario(balance: 5)
        let id = ledger.id()
        ledger.do(grant(.planGrant, 10, until: ledger.now + .seconds(120)))
        ledger.do(hold(8, for: .seconds(30)), on: id)
        ledger.do(.report(used: credits(8), timeToLive: .seconds(30)), on: id)
        ledger.pass(.seconds(31))
        ledger.expire()
        #expect(seen(ledger.do(settle(3), on: id)) == .applied(-5))
        #expect(ledger.lots == [2, 5, 5])
        #expect(ledger.lot(id)?.expiresAt == nil)
        ledger.pass(.seconds(90))
        ledger.sweep()
        ledger.do(charge(7))
        #expect(ledger.lot(id)?.remaining == credits(3))
    }

    @Test func `a return of credits after the expiry keeps the expiry of other lots`() {
        var ledger = Scenario()
        let id = ledger.id()
        ledger.do(grant(.planGrant, 10, until: ledger.now + .seconds(120)))
        ledger.do(hold(8, for: .seconds(30)), on: id)
        ledger.do(.report(used: credits(8), timeToLive: .seconds(30)), on: id)
        ledger.pass(.seconds(31))
        ledger.expire()
        ledger.do(settle(3), on: id)
        #expect(ledger.state.accounts[ledger.account]?.lotsExpireAt != nil)
        ledger.pass(.seconds(60))
        ledger.sweep()
        #expect(ledger.lots == [5])
    }

    @Test func `returned credits pay for no earlier spending, even in the batch of another grant`() {
        // Ids drawn so that the charge's is smaller than the grant's, which comes in the same microsecond.
        var ledger = Scenario()
        let (id, later) = (ledger.id(), ChargeID(rawValue: UUIDv7(high: .max, low: .max)))
        ledger.limits.clockAhead = .seconds(1_000_000_000_000)
        ledger.do(grant(.purchase, 8))
        ledger.do(hold(8, for: .seconds(30)), on: id)
        ledger.do(.report(used: credits(8), timeToLive: .seconds(30)), on: id)
        ledger.pass(.seconds(31))
        ledger.expire()
        ledger.apply([
            Command(id: later, account: ledger.account, action: grant(.purchase, 6)),
            Command(id: ledger.id(), account: ledger.account, action: charge(4)),
            Command(id: id, account: ledger.account, action: settle(3)),
        ])
        #expect(ledger.lot(later)?.remaining == credits(2))
        #expect(ledger.lot(id)?.remaining == credits(5))
    }

    @Test func `new credits pay first for the debt and the used overdraft`() {
        var ledger = Scenario(balance: 10)
        ledger.set { $0.overdraft = credits(5) }
        ledger.do(charge(14))
        #expect(ledger.posted == credits(-4))
        ledger.do(grant(.bonus, 3, until: ledger.now + .seconds(60)))
        #expect(ledger.lots == [])
        ledger.do(grant(.bonus, 3, until: ledger.now + .seconds(60)))
        #expect(ledger.lots == [2])
    }

    @Test func `a negative adjustment burns lots like spending`() {
        var ledger = Scenario(balance: 10)
        ledger.do(grant(.bonus, 4))
        ledger.do(.grant(.adjustment, amount: credits(-6)))
        #expect(ledger.lots == [8])
    }

    @Test func `lots that do not add up to the balance stop no command`() {
        var ledger = Scenario(balance: 10)
        // A state that an operator's UPDATE might leave.
        ledger.set { $0.posted = credits(15) }
        #expect(seen(ledger.do(grant(.bonus, 5))) == .applied(5))
        #expect(seen(ledger.do(charge(20))) == .applied(20))
    }

    @Test func `the expiry of a lot has the same id when its batch is repeated, and no other expiry has it`() {
        var ledger = Scenario()
        ledger.do(grant(.planGrant, 5, until: ledger.now + .seconds(10)))
        ledger.do(grant(.bonus, 5, until: ledger.now + .seconds(10)))
        ledger.pass(.seconds(10))
        let (first, again) = (ledger.state.apply([], now: ledger.now).entries, ledger.state.apply([], now: ledger.now).entries)
        #expect(first == again)
        #expect(Set(first.map(\.charge)).count == 2)
    }
}
