package import Values

/// A crossing that the account's owner is told of, once.
package struct BalanceAlert: Equatable, Sendable {
    package enum What: Equatable, Sendable {
        case low(level: Credits)
        case exhausted
    }

    package let account: AccountID
    package let what: What
    package let balance: Credits
    package let at: Instant

    package init(account: AccountID, what: What, balance: Credits, at: Instant) {
        (self.account, self.what, self.balance, self.at) = (account, what, balance, at)
    }
}

extension Account {
    /// The level at which the pages warn the owner; zero if neither the owner nor the service has set one. Nil for an account that was
    /// never granted anything.
    package func alertLevel(default level: Credits?) -> Credits? { isOpen ? lowBalanceLevel ?? level ?? .zero : nil }

    /// Returns the alert that is due after the balance fell from `before`, and notes it as sent. `low` is due when the balance
    /// falls through the level in force now, whatever the level was before.
    package mutating func crossing(from before: Credits, at now: Instant, defaultLevel: Credits?) -> BalanceAlert? {
        let level = lowBalanceLevel ?? defaultLevel
        if alerted != .exhausted { alerted = level.map { before < $0 } == true ? .low : .nothing }
        let state: Alerted = posted <= .zero ? .exhausted : level.map { posted < $0 } == true ? .low : .nothing
        return turn(to: state, at: now, level: level)
    }

    /// Records that the ledger refused a call that the account could not pay with no other call
    /// running. Only an account that is already low becomes exhausted: one expensive call does not
    /// exhaust a full account.
    package mutating func ranOut(at now: Instant) -> BalanceAlert? {
        alerted == .low ? turn(to: .exhausted, at: now, level: nil) : nil
    }

    /// Notes that credits came in: an alert below the new balance is due again at its next crossing.
    package mutating func rearm(defaultLevel: Credits?) {
        let level = lowBalanceLevel ?? defaultLevel
        guard posted > .zero else { return }
        alerted = level.map { posted < $0 } == true ? .low : .nothing
    }

    /// Another level is no crossing: what lies below it already is not told, what lies above it can be.
    package mutating func setLowBalanceLevel(_ level: Credits?, defaultLevel: Credits?) {
        lowBalanceLevel = level
        guard alerted != .exhausted else { return }
        alerted = (level ?? defaultLevel).map { posted < $0 } == true ? .low : .nothing
    }

    private mutating func turn(to state: Alerted, at now: Instant, level: Credits?) -> BalanceAlert? {
        guard state > alerted else { return nil }
        alerted = state
        let what: BalanceAlert.What = if state == .low, let level { .low(level: level) } else { .exhausted }
        return BalanceAlert(account: id, what: what, balance: posted, at: now)
    }
}
