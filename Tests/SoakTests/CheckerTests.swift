import Contracts
import Testing
import Values

@testable import Soak

/// The checker finds each planted flaw: every journal here is right but for one thing.
struct CheckerTests {
    @Test func `a journal by the rules has no differences`() {
        var world = World()
        world.playCall()
        #expect(world.differences == [])
    }

    // MARK: Lost and made up

    @Test func `a settlement without an entry is lost, as after an acknowledgement of more than was decided`() {
        var world = World()
        world.grant(10)
        for _ in 0..<3 { world.confirmed(world.settle(2, of: .make())) }
        #expect(world.differences.count { $0.contains("lost") } == 3)
    }

    @Test func `a settlement that came while its account was locked is lost, and its hold expires by the rules`() {
        var world = World()
        world.grant(10)
        let hold = world.hold(3)
        world.asked(hold)
        world.write(.hold, requested: 3, held: 3)
        // The hold lives for 30 s and the grace is 2 s: from then on the expiry may have been
        // published first.
        world.pass(.milliseconds(32_001))
        world.confirmed(world.settle(2))
        world.write(.expire, step: .terminal, requested: 0, held: -3, later: .seconds(60))
        #expect(world.says("lost"))
    }

    @Test func `a grant without a request`() {
        var world = World()
        world.playCall()
        world.write(.purchase, of: .make(), requested: 5, posted: 5)
        #expect(world.says("nobody asked for it"))
    }

    @Test func `a conflict must be a dead letter, and what was done must not`() {
        var world = World()
        world.playCall()
        let other = world.settle(1)
        world.confirmed(other)
        #expect(world.says("a conflict, and no dead letter"))
        world.book.note(deadLetter: world.book.records[other]!.messageID)
        #expect(world.differences == [])
        world.book.note(deadLetter: world.book.records[world.settle(2)]!.messageID)
        #expect(world.says("done, and a dead letter"))
    }

    @Test func `a command that is kept for a locked account at rest, and one that was parked though it was right`() {
        var world = World()
        world.playCall()
        let message = world.book.records[world.settle(2)]!.messageID
        world.tables.kept = [KeptRow(message: message, account: world.account, state: "resolved")]
        #expect(world.differences == [])
        world.tables.kept = [KeptRow(message: message, account: world.account, state: "replay")]
        #expect(world.says("kept undecided"))
        world.tables.kept = [KeptRow(message: message, account: world.account, state: "parked")]
        #expect(world.says("done, and a dead letter"))
    }

    @Test func `one id in the journal under two accounts`() {
        var world = World()
        world.playCall()
        let stranger = AccountID.make()
        world.confirmed(Ask(id: world.charge, account: stranger, action: .void))
        world.write(.void, status: .accountNotFound, requested: 0, account: stranger)
        #expect(world.says("in the journal under two accounts"))
    }

    @Test func `an entry is missing from the chain`() {
        var world = World()
        world.playCall()
        world.tables.entries.remove(at: 1)
        #expect(world.says("follows entry 1"))
    }

    // MARK: Amounts

    @Test func `more is held than is available`() {
        var world = World()
        world.grant(2)
        world.asked(world.hold(3, least: 1))
        world.write(.hold, requested: 3, held: 3)
        #expect(world.says("the oracle says applied(2)"))
    }

    @Test func `a share is more than a quarter`() {
        var world = World()
        world.grant(16)
        world.asked(world.hold(8, least: 1, takesShare: true))
        world.write(.hold, requested: 8, held: 5)
        #expect(world.says("the oracle says applied(4)"))
    }

    @Test func `a charge takes another amount than asked`() {
        var world = World()
        world.grant(10)
        world.confirmed(world.settle(2))
        world.write(.capture, requested: 2, amount: 1, posted: -1)
        #expect(world.says("the oracle says applied(2)"))
    }

    @Test func `a settlement is decided as for an unknown account`() {
        var world = World()
        world.grant(10)
        world.confirmed(world.settle(2))
        world.write(.capture, status: .accountNotFound, requested: 2, amount: 0)
        #expect(world.says("refused(Soak.Seen.Reason.accountNotFound), the oracle says applied(2)"))
    }

    @Test func `a balance below zero that nothing allows`() {
        var world = World()
        world.grant(1)
        world.confirmed(world.settle(2))
        world.write(.capture, requested: 2, posted: -2)
        #expect(world.says("the oracle says applied(1)"))
    }

    @Test func `a credit that has expired is spent`() {
        var world = World()
        world.grant(10, expiresAfter: .seconds(5))
        world.confirmed(world.settle(2))
        world.write(.capture, requested: 2, posted: -2, later: .seconds(10))
        #expect(world.says("had expired before"))
    }

    @Test func `an older statement about a grant overrides a newer one`() {
        var world = World()
        let grant = world.grant(10)
        for (version, target, taken) in [(Int64(2), Int64(4), Int64(4)), (1, 3, -1)] {
            let id = ChargeID.make()
            let reversal = Ask.Action.reverse(grant: grant, target: Credits(whole: target), version: version)
            world.confirmed(Ask(id: id, account: world.account, action: reversal))
            world.write(.clawback, of: id, requested: target, amount: taken, posted: -taken, grant: grant)
        }
        #expect(world.says("the oracle says refused(Soak.Seen.Reason.superseded)"))
    }

    @Test func `a reversal is before its grant in one batch, and another after the end of its own`() {
        var world = World()
        world.grant(10)
        let (first, second) = (ChargeID.make(), ChargeID.make())
        let end = world.now
        func reverse(_ grant: ChargeID, _ target: Int64, _ world: inout World, later: Duration) {
            let id = ChargeID.make()
            world.confirmed(
                Ask(id: id, account: world.account, action: .reverse(grant: grant, target: Credits(whole: target), version: 1)))
            world.write(.clawback, of: id, requested: target, amount: 0, later: later, grant: grant)
        }
        func grant(_ id: ChargeID, _ amount: Int64, lessReversed: Int64, target: Int64, _ world: inout World) {
            let left = amount - lessReversed
            world.confirmed(
                Ask(id: id, account: world.account, action: .grant(.purchase, amount: Credits(whole: amount), expiresAt: end)))
            world.write(.purchase, of: id, requested: amount, amount: left, posted: left, later: .zero, expiresAt: end)
            world.write(.lotExpiry, of: .make(), requested: left, amount: left, posted: -left, later: .zero, grant: id)
            var lot = Lot(
                id: id, account: world.account, kind: .purchase, amount: Credits(whole: amount), remaining: .zero, expiresAt: end,
                grantedAt: world.now)
            (lot.expired, lot.reversed) = (Credits(whole: left), Credits(whole: lessReversed))
            (lot.reversalTarget, lot.reversalVersion) = (Credits(whole: target), 1)
            world.tables.lots.append(lot)
        }
        reverse(first, 3, &world, later: .milliseconds(1))
        grant(first, 5, lessReversed: 3, target: 3, &world)
        grant(second, 4, lessReversed: 0, target: 1, &world)
        reverse(second, 1, &world, later: .zero)
        #expect(world.differences == [])
        var unwritten = world
        unwritten.tables.entries.removeAll { $0.kind == .clawback && $0.grant == first }
        #expect(unwritten.says("the oracle says applied(5)"))
    }

    // MARK: Answers

    @Test func `a hold was answered and is not in the journal`() {
        var world = World()
        world.grant(10)
        world.answered(world.hold(3), .granted, granted: 3, available: 7)
        #expect(world.says("granted 3, and not in the journal"))
    }

    @Test func `a refused question is granted when the broker redelivers it`() {
        var world = World()
        world.grant(2)
        world.answered(world.hold(3), .insufficientFunds, available: 2)
        #expect(world.differences == [])
        world.grant(10)
        world.write(.hold, requested: 3, held: 3)
        world.confirmed(world.settle(2))
        world.write(.capture, step: .terminal, requested: 2, posted: -2, held: -3)
        #expect(world.says("in the journal, and yet all its answers were: insufficient_funds"))
    }

    @Test func `a hold is refused for good although there is enough, or other calls hold it`() {
        var world = World()
        world.grant(10)
        var enough = world
        enough.answered(enough.hold(3), .insufficientFunds, available: 10)
        #expect(enough.says("the oracle never says so"))
        world.asked(world.hold(9))
        world.write(.hold, requested: 9, held: 9)
        let other = world.hold(3, of: .make())
        var waits = world
        waits.answered(other, .awaitingFunds, available: 1)
        waits.end(9)
        #expect(waits.differences == [])
        world.answered(other, .insufficientFunds, available: 1)
        world.end(9)
        #expect(world.says("the oracle never says so"))
    }

    @Test func `a deduction was answered and is not in the journal`() {
        var world = World()
        world.grant(10)
        let deduction = Deduction(key: "a", account: world.account, amount: Credits(whole: 9))
        world.book.note(deduction, answered: 503)
        #expect(world.differences == [])
        world.book.note(deduction, answered: 201)
        #expect(world.says("answered 201, the journal has nothing"))
    }

    // MARK: Expiries

    @Test func `two expiries end a hold after its time and the grace, at the largest report`() {
        var world = World()
        world.holdAndReport()
        world.write(.expire, step: .terminal, requested: 1, posted: -1, held: -3, later: .seconds(62))
        #expect(world.differences == [])
    }

    @Test func `a hold ends by time alone, without a second expiry`() {
        var world = World()
        world.holdAndReport()
        world.write(.expire, step: .terminal, requested: 1, posted: -1, held: -3, later: .seconds(31))
        #expect(world.says("the oracle says noted"))
    }

    @Test func `a report that was in the queue is left out`() {
        var world = World()
        world.holdAndReport()
        world.write(.expire, step: .terminal, requested: 0, held: -3, later: .seconds(62))
        #expect(world.says("1 had been reported"))
    }

    @Test func `a report that was in the queue does not prolong its hold`() {
        var world = World()
        world.grant(10)
        world.asked(world.hold(3))
        world.write(.hold, requested: 3, held: 3)
        world.pass(.seconds(29))
        world.confirmed(world.report(1))
        world.write(.expire, step: .terminal, requested: 1, posted: -1, held: -3, later: .seconds(4))
        #expect(world.says("the oracle says noted"))
    }

    @Test func `an expiry takes an amount that was not reported`() {
        var world = World()
        world.holdAndReport()
        world.write(.expire, step: .terminal, requested: 2, posted: -2, held: -3, later: .seconds(62))
        #expect(world.says("nobody reported that"))
    }

    @Test func `a settlement is late while every process lived`() {
        var world = World()
        world.holdAndReport()
        world.confirmed(world.settle(3))
        world.write(.expire, step: .terminal, requested: 1, posted: -1, held: -3, later: .seconds(62))
        world.write(.lateCapture, step: .late, requested: 2, posted: -2)
        #expect(world.says("was in the queue at"))
    }

    @Test func `a settlement that came after the grace is rightly late`() {
        var world = World()
        world.holdAndReport()
        world.pass(.seconds(60))
        world.confirmed(world.settle(3))
        world.write(.expire, step: .terminal, requested: 1, posted: -1, held: -3)
        world.write(.lateCapture, step: .late, requested: 2, posted: -2)
        #expect(world.differences == [])
    }

    @Test func `a hold stays open`() {
        var world = World()
        world.grant(10)
        world.asked(world.hold(3))
        world.write(.hold, requested: 3, held: 3)
        world.tables.holds = [OpenHold(charge: world.charge, account: world.account, amount: Credits(whole: 3), expiresAt: .now())]
        #expect(world.says("at rest a hold of 3 is open"))
    }
}

/// A book and a journal for one account and one charge, unless a test names another. Amounts are
/// whole credits. Holds live for 30 s, and the grace is 2 s.
private struct World {
    let account = AccountID.make()
    let charge = ChargeID.make()
    var book = Book()
    var tables = Tables()
    private(set) var now = Instant.now()
    private var row: Account

    init() { row = Account(id: account) }

    var differences: [String] {
        var tables = tables
        tables.accounts = [row]
        tables.usage = [UsageSum(account: account, credits: row.posted)]
        tables.readAt = now
        return Checker(book, tables, expiryGrace: .seconds(2)).differences().map(\.description)
    }

    func says(_ text: String) -> Bool { differences.contains { $0.contains(text) } }

    mutating func pass(_ time: Duration) { now = now + time }

    // MARK: Asks

    func hold(_ amount: Int64, least: Int64? = nil, takesShare: Bool = false, of charge: ChargeID? = nil) -> Ask {
        let least = Credits(whole: least ?? amount)
        return Ask(
            id: charge ?? self.charge, account: account,
            action: .hold(
                HoldAmounts(most: Credits(whole: amount), usual: least, least: least), takesShare: takesShare, timeToLive: .seconds(30),
                key: nil))
    }

    func report(_ used: Int64) -> Ask {
        Ask(id: charge, account: account, action: .report(used: Credits(whole: used), timeToLive: .seconds(30)))
    }

    func settle(_ amount: Int64, of charge: ChargeID? = nil) -> Ask {
        Ask(id: charge ?? self.charge, account: account, action: .settle(amount: Credits(whole: amount), key: nil))
    }

    mutating func asked(_ ask: Ask) { _ = book.note(sending: ask, at: now) }

    mutating func confirmed(_ ask: Ask) {
        asked(ask)
        book.note(confirmed: ask, at: now)
    }

    mutating func answered(_ ask: Ask, _ status: HoldReply.Status, granted: Int64 = 0, available: Int64) {
        let (_, question) = book.note(sending: ask, at: now)
        pass(.milliseconds(1))
        let reply = HoldReply(
            chargeID: ask.id, status: status, granted: Credits(whole: granted), available: Credits(whole: available),
            spendable: Credits(whole: available))
        book.note(reply, to: ask, question: question, at: now)
    }

    // MARK: Stories

    mutating func playCall() {
        grant(10)
        asked(hold(3))
        write(.hold, requested: 3, held: 3)
        confirmed(settle(2))
        write(.capture, step: .terminal, requested: 2, posted: -2, held: -3)
    }

    /// Holds 3 of 10 credits and reports 1 at once.
    mutating func holdAndReport() {
        grant(10)
        asked(hold(3))
        write(.hold, requested: 3, held: 3)
        pass(.milliseconds(1))
        confirmed(report(1))
    }

    /// Ends the charge's hold at its full amount.
    mutating func end(_ amount: Int64) {
        confirmed(settle(amount))
        write(.capture, step: .terminal, requested: amount, posted: -amount, held: -amount)
    }

    @discardableResult
    mutating func grant(_ amount: Int64, expiresAfter time: Duration? = nil) -> ChargeID {
        let id = ChargeID.make()
        let expiresAt = time.map { now + $0 }
        confirmed(Ask(id: id, account: account, action: .grant(.purchase, amount: Credits(whole: amount), expiresAt: expiresAt)))
        write(.purchase, of: id, requested: amount, posted: amount, expiresAt: expiresAt)
        tables.lots.append(
            Lot(
                id: id, account: account, kind: .purchase, amount: Credits(whole: amount), remaining: Credits(whole: amount),
                expiresAt: expiresAt, grantedAt: now))
        return id
    }

    /// Writes an entry after the last one. By default `amount` is the amount that it moves.
    mutating func write(
        _ kind: Entry.Kind, of charge: ChargeID? = nil, step: Step = .opening, status: Entry.Status = .applied, requested: Int64,
        amount: Int64? = nil, posted: Int64 = 0, held: Int64 = 0, later: Duration = .milliseconds(1), grant: ChargeID? = nil,
        expiresAt: Instant? = nil, account: AccountID? = nil
    ) {
        pass(later)
        row.posted += Credits(whole: posted)
        row.held += Credits(whole: held)
        let moves = posted != 0 || held != 0
        if moves { row.seq += 1 }
        if kind.charges { row.spending.add(Credits(whole: -posted), at: now, chargedAt: now) }
        let moved = kind.charges ? -posted : kind == .hold ? held : posted
        tables.entries.append(
            Entry(
                charge: charge ?? self.charge, step: step, account: account ?? self.account, seq: moves ? row.seq : 0, kind: kind,
                status: status, requested: Credits(whole: requested), amount: Credits(whole: amount ?? moved),
                postedDelta: Credits(whole: posted), heldDelta: Credits(whole: held), postedAfter: row.posted, heldAfter: row.held,
                fingerprint: 0, at: now, grant: grant, expiresAt: expiresAt))
    }
}
