import Values

/// How much of the money of a purchase or an invoice has gone back.
struct ReturnedShare: Hashable, Sendable {
    /// Cents, at most ``total``.
    var returned: Int64
    /// Cents that were paid, tax included.
    var total: Int64

    static let none = ReturnedShare(returned: 0, total: 1)

    /// - Parameters:
    ///   - refunds: of all payments of the purchase or the invoice.
    ///   - total: cents that were paid.
    init(refunds: [StripeRefund], disputes: [StripeDispute], total: Int64) {
        let refunded = refunds.filter(\.counts).reduce(Int128(0)) { $0 + Int128($1.amountCents) }
        let withdrawn = disputes.filter(\.isWithdrawn).reduce(Int128(0)) { $0 + Int128($1.amountCents) }
        self.init(returned: Int64(clamping: refunded + withdrawn), total: total)
    }

    init(returned: Int64, total: Int64) {
        self.total = max(1, total)
        self.returned = min(max(0, returned), self.total)
    }

    var isWhole: Bool { returned == total }

    /// The part of an amount that goes back with the money, rounded up to a nano-credit.
    func of(_ amount: Credits) -> Credits {
        let (quotient, remainder) = (Int128(amount.nano) * Int128(returned)).quotientAndRemainder(dividingBy: Int128(total))
        return Credits(nano: Int64(clamping: quotient + (remainder > 0 ? 1 : 0)))
    }

    /// The credits that each month of an invoice keeps: the first months keep theirs, so that months to come are cancelled first.
    func kept(of months: [Credits]) -> [Credits] {
        var left = months.reduce(.zero, +)
        left = left - of(left)
        return months.map { month in
            let keeps = min(month, left)
            left = left - keeps
            return keeps
        }
    }
}
