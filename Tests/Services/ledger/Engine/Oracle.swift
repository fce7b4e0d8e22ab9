import Contracts

@testable import Ledger

/// What the ledger should do, said a second time and differently: no balances are kept, each question is answered by adding up
/// everything that ever happened. Slow, and written from the rules, not from the engine.
struct Oracle {
    struct Charge {
        var holdAsked: (account: AccountID, amount: Credits, least: Credits, timeToLive: Duration)?
        var granted: Credits?
        var holdStatus: Entry.Status?
        var reported = Credits.zero
        var expiresAt = Instant(microseconds: 0)
        var end: (account: AccountID, what: End, asked: Credits, took: Credits)?
        var late: (asked: Credits, took: Credits)?
        var given: (account: AccountID, grant: Command.Grant, asked: Credits, gave: Credits, ok: Bool)?
    }
    enum End: Equatable { case captured, voided, expired, charged, refusedCharge }

    var charges: [ChargeID: Charge] = [:]
    let timeToLiveMax: Duration

    func posted(_ account: AccountID) -> Credits {
        charges.values.reduce(Credits.zero) { sum, charge in
            var sum = sum
            if let given = charge.given, given.account == account { sum += given.gave }
            if let end = charge.end, end.account == account {
                sum -= end.took
                if let late = charge.late { sum -= late.took }
            }
            return sum
        }
    }

    func held(_ account: AccountID) -> Credits {
        charges.values.reduce(Credits.zero) { sum, charge in
            guard let asked = charge.holdAsked, asked.account == account, charge.end == nil else { return sum }
            return sum + (charge.granted ?? .zero)
        }
    }

    var running: [ChargeID] {
        charges.filter { $0.value.granted != nil && $0.value.end == nil }.map(\.key).sorted()
    }

    func exists(_ account: AccountID) -> Bool {
        charges.values.contains { $0.given?.account == account && $0.given?.ok == true }
    }

    func free(_ account: AccountID) -> Credits { posted(account) - held(account) }

    /// Expires what is due, oldest first.
    mutating func tick(_ now: Instant) {
        let due = charges.filter { $0.value.granted != nil && $0.value.end == nil && $0.value.expiresAt <= now }
            .sorted { ($0.value.expiresAt, $0.key.rawValue) < ($1.value.expiresAt, $1.key.rawValue) }
        for (id, charge) in due {
            let account = charge.holdAsked!.account
            let took = min(charge.reported, max(charge.granted!, free(account) + charge.granted!))
            charges[id]!.end = (account, .expired, charge.reported, took)
        }
    }

    mutating func decide(_ command: Command, _ now: Instant) -> Seen {
        tick(now)
        let id = command.id
        let account = command.account
        var charge = charges[id] ?? Charge()
        defer { charges[id] = charge }
        func whole(_ amount: Credits) -> Int64 { amount.nano / Credits.nanoPerCredit }

        switch command.action {
        case .extend, .reverse: preconditionFailure("not asked of this oracle")
        case .hold(let amount, let least, let timeToLive, let awaitsFunds, _):
            if charge.given != nil { return .conflict }
            if let asked = charge.holdAsked {
                let same = asked == (account, amount, least, timeToLive)
                return same ? .duplicate(whole(charge.granted ?? .zero)) : .conflict
            }
            if awaitsFunds, charge.end == nil, exists(account), free(account) < least, posted(account) >= least {
                return .awaiting(whole(max(.zero, free(account))))
            }
            charge.holdAsked = (account, amount, least, timeToLive)
            if charge.end != nil {
                charge.holdStatus = .alreadyResolved
            } else if !exists(account) {
                charge.holdStatus = .accountNotFound
            } else if free(account) < least {
                charge.holdStatus = .insufficientFunds
            } else {
                charge.granted = min(amount, free(account))
                charge.expiresAt = now + min(timeToLive, timeToLiveMax)
                return .applied(whole(charge.granted!))
            }
            return .refused(charge.holdStatus!)

        case .report(let used, let timeToLive):
            guard charge.granted != nil, charge.end == nil else { return .noted }
            guard charge.holdAsked?.account == account else { return .conflict }
            charge.reported = max(charge.reported, used)
            charge.expiresAt = max(charge.expiresAt, now + min(timeToLive, timeToLiveMax))
            return .noted

        case .settle(let amount):
            if let end = charge.end {
                guard end.account == account else { return .conflict }
                switch end.what {
                case .captured: return end.asked == amount ? .duplicate(whole(end.took)) : .conflict
                case .voided, .charged, .refusedCharge: return .conflict
                case .expired:
                    if let late = charge.late { return late.asked == amount ? .duplicate(whole(late.took)) : .conflict }
                    let took = min(amount - end.took, max(free(account), (charge.granted ?? .zero) - end.took))
                    charge.late = (amount, took)
                    return .applied(whole(took))
                }
            }
            if charge.given != nil { return .conflict }
            if let asked = charge.holdAsked, asked.account != account { return .conflict }
            guard exists(account) else {
                charge.end = (account, .captured, amount, .zero)
                return .refused(.accountNotFound)
            }
            let put = charge.granted ?? .zero
            let took = min(amount, max(put, free(account) + put))
            charge.end = (account, .captured, amount, took)
            return .applied(whole(took))

        case .void:
            if let end = charge.end {
                guard end.account == account else { return .conflict }
                return end.what == .voided ? .duplicate(0) : end.what == .expired ? .superseded : .conflict
            }
            if charge.given != nil { return .conflict }
            if let asked = charge.holdAsked, asked.account != account { return .conflict }
            charge.end = (account, .voided, .zero, .zero)
            return exists(account) ? .applied(0) : .refused(.accountNotFound)

        case .charge(let amount):
            if let end = charge.end {
                let same = end.account == account && end.asked == amount && (end.what == .charged || end.what == .refusedCharge)
                return same ? .duplicate(whole(end.took)) : .conflict
            }
            if charge.given != nil || charge.holdAsked != nil { return .conflict }
            if !exists(account) {
                charge.end = (account, .refusedCharge, amount, .zero)
                return .refused(.accountNotFound)
            }
            if free(account) < amount {
                charge.end = (account, .refusedCharge, amount, .zero)
                return .refused(.insufficientFunds)
            }
            charge.end = (account, .charged, amount, amount)
            return .applied(whole(amount))

        case .grant(let grant, let amount, _):
            if let given = charge.given {
                let same = given.account == account && given.grant == grant && given.asked == amount
                return same ? .duplicate(whole(given.gave)) : .conflict
            }
            if charge.holdAsked != nil { return .conflict }
            let ok = amount >= .zero || free(account) >= -amount
            charge.given = (account, grant, amount, ok ? amount : .zero, ok)
            return ok ? .applied(whole(amount)) : .refused(.insufficientFunds)
        }
    }
}
