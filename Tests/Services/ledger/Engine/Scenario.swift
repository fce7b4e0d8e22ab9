import Contracts
import TestSupport
import Values

@testable import Ledger

/// A ledger in memory with a clock that the test moves.
struct Scenario {
    var state = LedgerState()
    var now = Instant(microseconds: 1_800_000_000_000_000)
    var journal: [Entry] = []
    var alerts: [BalanceAlert] = []
    var limits = Limits()
    private var random: SplitMix64
    let account = AccountID.make()

    init(balance: Int64 = 0, seed: UInt64 = 1) {
        random = SplitMix64(seed: seed)
        if balance > 0 { self.do(.grant(.purchase, amount: credits(balance))) }
    }

    mutating func id() -> ChargeID {
        ChargeID(rawValue: .make(milliseconds: now.microseconds / 1_000, using: &random))
    }

    @discardableResult
    mutating func `do`(
        _ action: Command.Action, on id: ChargeID? = nil, account: AccountID? = nil, key: APIKeyID? = nil, usage: Usage? = nil
    ) -> Decision {
        var command = Command(id: id ?? self.id(), account: account ?? self.account, action: action, key: key)
        command.context.usage = usage
        return apply([command])[0]
    }

    /// The engine sees what the store would load for these commands, and what the store would write is kept.
    @discardableResult
    mutating func apply(_ commands: [Command]) -> [Decision] {
        let slice = state.slice(for: commands, now: now)
        return keep(slice, slice.apply(commands, now: now, limits: limits))
    }

    private mutating func keep(_ before: LedgerState, _ ruling: Ruling) -> [Decision] {
        state.merge(before, ruling)
        journal += ruling.entries
        alerts += ruling.alerts
        return ruling.decisions
    }

    mutating func pass(_ duration: Duration) { now = now + duration }

    /// Returns the expiry that a sweep publishes about the hold as it is now.
    func expiry(of charge: ChargeID) -> Command.Action { .expire(due: state.holds[charge]?.expiresAt ?? now) }

    /// Asks for every expiry that is due, as the sweep does.
    mutating func sweep() {
        for hold in state.holds.values.filter({ $0.expiresAt <= now }).sorted(by: { $0.charge < $1.charge }) {
            self.do(expiry(of: hold.charge), on: hold.charge, account: hold.account)
        }
        _ = keep(state, state.apply([], now: now, limits: limits))
    }

    /// Sweeps now and once more after the grace, so that every overdue hold ends.
    mutating func expire() {
        sweep()
        pass(limits.expiryGrace)
        sweep()
    }

    var posted: Credits { state.accounts[account]?.posted ?? .zero }
    var held: Credits { state.accounts[account]?.held ?? .zero }
    var available: Credits { state.accounts[account]?.available ?? .zero }

    /// Changes the owner's settings.
    mutating func set(_ change: (inout Account) -> Void) { change(&state.accounts[account, default: Account(id: account)]) }

    /// The rest of each lot in whole credits, in the order of burning, without empty lots.
    var lots: [Int64] {
        var book = state.books[account] ?? LotBook()
        book.settle(at: posted)
        return book.inBurnOrder.map { $0.remaining.nano / Credits.nanoPerCredit }.filter { $0 != 0 }
    }

    func lot(_ grant: ChargeID) -> Lot? {
        var book = state.books[account] ?? LotBook()
        book.settle(at: posted)
        return book.lots[grant]
    }
}

func credits(_ whole: Int64) -> Credits { Credits(whole: whole) }

func amounts(_ most: Int64, usual: Int64? = nil, least: Int64? = nil, isLast: Bool = false) -> HoldAmounts {
    HoldAmounts(
        most: credits(most), usual: credits(usual ?? least ?? most), least: credits(least ?? most), isLastQuestion: isLast)
}

func hold(
    _ amount: Int64, usual: Int64? = nil, least: Int64? = nil, share: Bool = false, isLast: Bool = false,
    for timeToLive: Duration = .seconds(60), keyLimits: SpendingLimits? = nil
) -> Command.Action {
    .hold(
        amounts(amount, usual: usual, least: least, isLast: isLast), takesShare: share, timeToLive: timeToLive, keyLimits: keyLimits)
}

func grant(_ kind: Command.Grant = .purchase, _ amount: Int64, until end: Instant? = nil) -> Command.Action {
    .grant(kind, amount: credits(amount), expiresAt: end)
}

func reverse(_ grant: ChargeID, _ target: Int64, version: Int64) -> Command.Action {
    .reverse(grant: grant, target: credits(target), version: version)
}

func extend(
    _ step: Int64 = 1, by amount: Int64, usual: Int64? = nil, least: Int64? = nil, isLast: Bool = false, used: Int64 = 0,
    for time: Duration = .seconds(60)
) -> Command.Action {
    .extend(step: step, amounts(amount, usual: usual, least: least, isLast: isLast), used: credits(used), timeToLive: time)
}

func charge(_ amount: Int64) -> Command.Action { .charge(amount: credits(amount)) }
func settle(_ amount: Int64) -> Command.Action { .settle(amount: credits(amount)) }
func report(_ used: Int64) -> Command.Action { .report(used: credits(used), timeToLive: .seconds(60)) }
