package import Contracts
package import Values

/// The credits of the viewer, as the shell shows them.
package struct Balance: Sendable, Equatable {
    /// The credits that a call may take now.
    package var available: Credits
    /// The level at which the viewer is warned. Nil for an account that never had credits.
    package var alertLevel: Credits?

    package init(available: Credits, alertLevel: Credits?) { (self.available, self.alertLevel) = (available, alertLevel) }

    package init(_ reply: BalanceReply) { self.init(available: reply.available, alertLevel: reply.alertLevel) }

    enum State: Equatable {
        case enough
        case low(level: Credits)
        case exhausted
    }

    var state: State {
        guard let alertLevel, available <= alertLevel else { return .enough }
        return available > .zero ? .low(level: alertLevel) : .exhausted
    }
}
