import Contracts
import Testing

@testable import Soak

/// The checker sees what a ledger must not do: each journal here is right but for one thing.
struct CheckerTests {
    @Test func `a journal by the rules has no differences`() {
        var world = World()
        world.playCall()
        #expect(world.differences == [])
    }

    @Test func `a settlement without a row is lost`() {
        var world = World()
        world.grant(10)
        world.confirmed(world.settle(2))
        #expect(world.says("lost"))
    }

    @Test func `a grant that nobody asked for`() {
        var world = World()
        world.playCall()
        world.write(.purchase, of: .make(), requested: 5, posted: 5)
        #expect(world.says("nobody asked for"))
    }

    @Test func `more is held than there is`() {
        var world = World()
        world.grant(2)
        world.asked(world.hold(3, least: 1))
        world.write(.hold, requested: 3, held: 3)
        world.write(.expire, step: Row.terminal, requested: 0, held: -3, later: .seconds(60))
        #expect(world.says("2 was possible"))
    }

    @Test func `a hold is refused although there is enough`() {
        var world = World()
        world.grant(10)
        world.asked(world.hold(3, least: 1))
        world.write(.hold, status: .insufficientFunds, requested: 3)
        #expect(world.says("3 was possible, 1 enough"))
    }

    @Test func `a charge takes something else than was asked`() {
        var world = World()
        world.grant(10)
        world.confirmed(world.settle(2))
        world.write(.capture, step: Row.terminal, requested: 2, amount: 1, posted: -1)
        #expect(world.says("10 was there"))
    }

    @Test func `a refusal takes effect later`() {
        var world = World()
        world.playCall()
        world.book.note(
            HoldReply(chargeID: world.charge, status: .insufficientFunds, granted: .zero, available: .zero), to: world.hold(3, least: 1))
        #expect(world.says("the journal has applied 3"))
    }

    @Test func `a grant of credits was told and not written`() {
        var world = World()
        world.grant(10)
        let hold = world.hold(3, least: 1)
        world.asked(hold)
        world.book.note(
            HoldReply(chargeID: world.charge, status: .granted, granted: Credits(whole: 3), available: Credits(whole: 7)), to: hold)
        #expect(world.says("the journal has nothing"))
    }

    @Test func `a conflict must be a dead letter, and what was done must not`() {
        var world = World()
        world.playCall()
        let other = world.settle(1)
        world.confirmed(other)
        #expect(world.says("neither done nor a dead letter"))
        world.book.note(deadLetter: world.book.records[other]!.messageID)
        #expect(world.differences == [])
        world.book.note(deadLetter: world.book.records[world.settle(2)]!.messageID)
        #expect(world.says("done and yet a dead letter"))
    }

    @Test func `a hold expires before its time, or at what nobody reported`() {
        var world = World()
        world.grant(10)
        world.asked(world.hold(3, least: 1))
        world.write(.hold, requested: 3, held: 3)
        var early = world
        early.write(.expire, step: Row.terminal, requested: 0, held: -3, later: .seconds(1))
        #expect(early.says("not over before"))
        world.write(.expire, step: Row.terminal, requested: 1, posted: -1, held: -3, later: .seconds(60))
        #expect(world.says("nobody reported that"))
    }

    @Test func `a hold that is over keeps others from their credits`() {
        var world = World()
        world.grant(10)
        world.asked(world.hold(10, least: 1))
        world.write(.hold, requested: 10, held: 10)
        let other = ChargeID.make()
        world.asked(world.hold(5, least: 5, of: other))
        world.write(.hold, of: other, status: .insufficientFunds, requested: 5, later: .seconds(60))
        world.write(.expire, step: Row.terminal, requested: 0, held: -10)
        #expect(world.says("was over since"))
    }

    @Test func `a credit that is over is spent`() {
        var world = World()
        world.grant(10, expiresAfter: .seconds(5))
        world.confirmed(world.settle(2))
        world.write(.capture, step: Row.terminal, requested: 2, posted: -2, later: .seconds(10))
        #expect(world.says("could still be spent"))
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
        #expect(world.says("version 1 applied after version 2"))
    }

    @Test func `a balance below zero that nothing allows`() {
        var world = World()
        world.grant(1)
        world.confirmed(world.settle(2))
        world.write(.capture, step: Row.terminal, requested: 2, posted: -2)
        #expect(world.says("takes the balance to -1"))
    }

    @Test func `a hold stays open`() {
        var world = World()
        world.grant(10)
        world.asked(world.hold(3, least: 1))
        world.write(.hold, requested: 3, held: 3)
        #expect(world.says("at rest 3 is held"))
    }

    @Test func `an entry is missing from the chain`() {
        var world = World()
        world.playCall()
        world.tables.rows.remove(at: 1)
        #expect(world.says("follows entry 1"))
    }
}

/// A book and a journal in the making, for one account and mostly one charge. Amounts are whole credits.
private struct World {
    let account = AccountID.make()
    let charge = ChargeID.make()
    var book = Book()
    var tables = Tables()
    private var now = Instant.now()
    private var row: AccountRow

    init() { row = AccountRow(account: account, posted: .zero, held: .zero, seq: 0, spentDay: .zero) }

    var differences: [String] {
        var tables = tables
        tables.accounts = [row]
        tables.usage = [UsageSum(account: account, credits: row.posted)]
        tables.readAt = now
        return Checker(book, tables, Outages()).differences().map(\.description)
    }

    func says(_ text: String) -> Bool { differences.contains { $0.contains(text) } }

    mutating func playCall() {
        grant(10)
        asked(hold(3, least: 1))
        write(.hold, requested: 3, held: 3)
        confirmed(settle(2))
        write(.capture, step: Row.terminal, requested: 2, posted: -2, held: -3)
    }

    func hold(_ amount: Int64, least: Int64, of charge: ChargeID? = nil) -> Ask {
        Ask(
            id: charge ?? self.charge, account: account,
            action: .hold(
                amount: Credits(whole: amount), least: Credits(whole: least), timeToLive: .seconds(30), awaitsFunds: false, key: nil))
    }

    func settle(_ amount: Int64) -> Ask {
        Ask(id: charge, account: account, action: .settle(amount: Credits(whole: amount), key: nil))
    }

    mutating func asked(_ ask: Ask) { _ = book.note(sending: ask, at: now) }

    mutating func confirmed(_ ask: Ask) {
        asked(ask)
        book.note(confirmed: ask, at: now)
    }

    @discardableResult
    mutating func grant(_ amount: Int64, expiresAfter time: Duration? = nil) -> ChargeID {
        let id = ChargeID.make()
        let expiresAt = time.map { now + $0 }
        confirmed(Ask(id: id, account: account, action: .grant(.purchase, amount: Credits(whole: amount), expiresAt: expiresAt)))
        write(.purchase, of: id, requested: amount, posted: amount, expiresAt: expiresAt)
        tables.lots.append(LotRow(lot: id, account: account, remaining: Credits(whole: amount)))
        return id
    }

    /// A row after the last; `amount` is what it moves unless told.
    mutating func write(
        _ kind: Row.Kind, of charge: ChargeID? = nil, step: Int16 = Row.opening, status: Row.Status = .applied, requested: Int64,
        amount: Int64? = nil, posted: Int64 = 0, held: Int64 = 0, later: Duration = .milliseconds(1),
        grant: ChargeID? = nil, expiresAt: Instant? = nil
    ) {
        now = now + later
        row.posted += Credits(whole: posted)
        row.held += Credits(whole: held)
        let moves = posted != 0 || held != 0
        if moves { row.seq += 1 }
        if kind.charges { row.spentDay -= Credits(whole: posted) }
        let moved = kind.charges ? -posted : kind == .hold ? held : posted
        tables.rows.append(
            Row(
                charge: charge ?? self.charge, step: step, account: account, seq: moves ? row.seq : 0, kind: kind, status: status,
                requested: Credits(whole: requested), amount: Credits(whole: amount ?? moved), postedDelta: Credits(whole: posted),
                heldDelta: Credits(whole: held), postedAfter: row.posted,
                heldAfter: row.held, at: now, grant: grant, expiresAt: expiresAt))
    }
}
