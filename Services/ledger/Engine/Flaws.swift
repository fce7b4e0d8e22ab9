import Contracts
import Values

extension Command {
    /// Returns what is wrong with the command itself, independent of the accounts.
    func flaw(_ limits: Limits, at now: Instant) -> Decision.Flaw? {
        switch action {
        case .hold(let amounts, _, let timeToLive, let keyLimits):
            if let flaw = Self.flaw(in: amounts, limits) { return flaw }
            if timeToLive <= .zero { return .timeToLiveNotPositive }
            if let keyLimits, (keyLimits.daily ?? .zero) < .zero || (keyLimits.monthly ?? .zero) < .zero { return .limitNegative }
        case .extend(let step, let amounts, let used, let timeToLive):
            if !Step.extensions.contains(step) { return .stepOutOfRange }
            if let flaw = Self.flaw(in: amounts, limits) ?? Self.flaw(inUsage: used, limits) { return flaw }
            if timeToLive <= .zero { return .timeToLiveNotPositive }
        case .report(let used, let timeToLive):
            if let flaw = Self.flaw(inUsage: used, limits) { return flaw }
            if timeToLive <= .zero { return .timeToLiveNotPositive }
        case .settle(let amount):
            if let flaw = Self.flaw(inUsage: amount, limits) { return flaw }
        case .charge(let amount):
            if let flaw = Self.flaw(inPositive: amount, limits) { return flaw }
        case .grant(.adjustment, let amount, _):
            if amount == .zero { return .amountNotPositive }
            if amount > limits.amountMax || amount < -limits.amountMax { return .amountTooLarge }
        case .grant(_, let amount, _):
            if let flaw = Self.flaw(inPositive: amount, limits) { return flaw }
        case .reverse(_, let target, let version):
            if let flaw = Self.flaw(inUsage: target, limits) { return flaw }
            if version <= 0 { return .versionNotPositive }
        case .void, .expire: break
        // The ledger makes this command for an account, not for a charge, and never writes its id.
        case .expireLots: return nil
        }
        let made = Instant(microseconds: id.rawValue.milliseconds * 1_000)
        return made < limits.journalStart || made > now + limits.clockAhead ? .idOutOfRange : nil
    }

    private static func flaw(in amounts: HoldAmounts, _ limits: Limits) -> Decision.Flaw? {
        if let flaw = flaw(inPositive: amounts.most, limits) { return flaw }
        return .zero < amounts.least && amounts.least <= amounts.usual && amounts.usual <= amounts.most ? nil : .amountsOutOfOrder
    }

    private static func flaw(inPositive amount: Credits, _ limits: Limits) -> Decision.Flaw? {
        amount <= .zero ? .amountNotPositive : amount > limits.amountMax ? .amountTooLarge : nil
    }

    private static func flaw(inUsage amount: Credits, _ limits: Limits) -> Decision.Flaw? {
        amount < .zero ? .amountNegative : amount > limits.amountMax ? .amountTooLarge : nil
    }
}
