package import Values

/// Credits of one grant. Spending burns lots in ``burnsBefore(_:)``'s order.
package struct Lot: Equatable, Sendable {
    /// The grant's charge id.
    package let id: ChargeID
    package let account: AccountID
    /// ``Entry/Kind/clawback`` while a reversal waits here for its grant.
    package var kind: Entry.Kind
    /// The credits that were granted.
    package var amount: Credits
    /// The credits that were left when the lots last burned.
    package var remaining: Credits
    /// The credits that its expiry took.
    package var expired: Credits = .zero
    /// The credits that reversals have taken, out of ``reversalTarget``.
    package var reversed: Credits = .zero
    package var reversalTarget: Credits = .zero
    package var reversalVersion: Int64 = 0
    package var expiresAt: Instant?
    package var grantedAt: Instant

    package init(
        id: ChargeID, account: AccountID, kind: Entry.Kind, amount: Credits, remaining: Credits, expired: Credits = .zero,
        reversed: Credits = .zero, reversalTarget: Credits = .zero, reversalVersion: Int64 = 0, expiresAt: Instant? = nil,
        grantedAt: Instant
    ) {
        self.id = id
        self.account = account
        self.kind = kind
        self.amount = amount
        self.remaining = remaining
        self.expired = expired
        self.reversed = reversed
        self.reversalTarget = reversalTarget
        self.reversalVersion = reversalVersion
        self.expiresAt = expiresAt
        self.grantedAt = grantedAt
    }

    /// Soonest to expire first, given before paid, then the older.
    package func burnsBefore(_ other: Lot) -> Bool {
        let (expiry, otherExpiry) = (expiresAt?.microseconds ?? .max, other.expiresAt?.microseconds ?? .max)
        if expiry != otherExpiry { return expiry < otherExpiry }
        if kind.isPaid != other.kind.isPaid { return !kind.isPaid }
        return (grantedAt, id.rawValue) < (other.grantedAt, other.id.rawValue)
    }
}

/// The lots of one account that may have credits left.
///
/// Which lot a charge burns is not written at each charge: it follows from the order. Between two moments at which lots come, go or
/// are looked at, all that was spent is `total - posted`, and it burned the lots in their order. ``burn(to:)`` catches up.
package struct LotBook: Equatable, Sendable {
    package var lots: [ChargeID: Lot] = [:]

    package init(lots: [ChargeID: Lot] = [:]) { self.lots = lots }

    package var total: Credits { lots.values.reduce(.zero) { $0 + $1.remaining } }

    package var nextExpiry: Instant? { lots.values.lazy.filter { $0.remaining > .zero }.compactMap(\.expiresAt).min() }

    package var inBurnOrder: [Lot] { lots.values.sorted { $0.burnsBefore($1) } }

    /// Burns what was spent since the last time, so that the lots add up to what the account has. Lots that add up to less are no
    /// doing of ours: they stay as they are, and are the auditor's business.
    package mutating func burn(to posted: Credits) {
        var spent = total - max(.zero, posted)
        guard spent > .zero else { return }
        for lot in inBurnOrder where lot.remaining > .zero {
            let burned = min(spent, lot.remaining)
            lots[lot.id]?.remaining -= burned
            spent -= burned
            if spent == .zero { return }
        }
    }
}
