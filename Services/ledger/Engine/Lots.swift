import Values

/// Credits of one grant. Spending burns lots in ``burnsBefore(_:)``'s order.
struct Lot: Equatable, Sendable {
    /// The grant's charge id.
    let id: ChargeID
    let account: AccountID
    /// ``Entry/Kind/clawback`` while a reversal waits here for its grant.
    var kind: Entry.Kind
    /// The credits that were granted.
    var amount: Credits
    /// The credits that were left when the book was last settled.
    var remaining: Credits
    /// The credits that its expiry took.
    var expired: Credits = .zero
    /// The credits that reversals have taken, out of ``reversalTarget``.
    var reversed: Credits = .zero
    var reversalTarget: Credits = .zero
    var reversalVersion: Int64 = 0
    var expiresAt: Instant?
    var grantedAt: Instant

    /// Soonest to expire first, given before paid, then the older.
    func burnsBefore(_ other: Lot) -> Bool {
        let (expiry, otherExpiry) = (expiresAt?.microseconds ?? .max, other.expiresAt?.microseconds ?? .max)
        if expiry != otherExpiry { return expiry < otherExpiry }
        if kind.isPaid != other.kind.isPaid { return !kind.isPaid }
        return (grantedAt, id.rawValue) < (other.grantedAt, other.id.rawValue)
    }
}

/// The lots of one account that may have credits left.
///
/// Which lot a charge burns is not written at each charge: it follows from the order. Between two moments at which lots come, go or
/// are looked at, all that was spent is `total - posted`, and it burned the lots in their order. ``settle(at:)`` catches up.
struct LotBook: Equatable, Sendable {
    var lots: [ChargeID: Lot] = [:]

    var total: Credits { lots.values.reduce(.zero) { $0 + $1.remaining } }

    var nextExpiry: Instant? { lots.values.lazy.filter { $0.remaining > .zero }.compactMap(\.expiresAt).min() }

    var inBurnOrder: [Lot] { lots.values.sorted { $0.burnsBefore($1) } }

    /// Burns what was spent since the last time, so that the lots add up to what the account has. Lots that add up to less are no
    /// doing of ours: they stay as they are, and are the auditor's business.
    mutating func settle(at posted: Credits) {
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
