import Contracts
import Values

/// Credits of one month, out of an invoice.
struct Instalment: Hashable, Sendable {
    var number: Int64
    var dueAt: Instant
    var expiresAt: Instant
    var amount: Credits
}

/// The credits that a paid invoice gives, and the plan that it pays for.
struct InvoiceCredits: Hashable, Sendable {
    var plan: String
    var periodStart: Instant
    var periodEnd: Instant
    /// True if it pays for a whole period, and not for the rest of one.
    var isWhole: Bool
    /// One for a month, one for each month of a year.
    var instalments: [Instalment]

    /// Plan credits outlive their period by this time, in which Stripe collects the payment of the next one.
    static let renewalTime = Duration.seconds(2 * 3_600)
}

/// The meaning of a paid invoice.
enum InvoiceOutcome: Hashable, Sendable {
    case credits(InvoiceCredits)
    /// It gives none, as it should.
    case nothing
    /// It gives none until a person has looked at it.
    case review(String)

    /// - Parameters:
    ///   - lines: all lines.
    ///   - prices: the known prices by their ids.
    ///   - anchor: the moment that fixes the days of the subscription's periods.
    init(_ invoice: StripeInvoice, lines: [StripeInvoice.Line], prices: [String: PlanPrice], anchor: Instant) {
        guard ["subscription_create", "subscription_cycle", "subscription_update"].contains(invoice.billingReason) else {
            self = .review("unexpected billing reason \(invoice.billingReason)")
            return
        }
        var periods: [(line: StripeInvoice.Line, price: PlanPrice)] = []
        var parts: [(line: StripeInvoice.Line, price: PlanPrice)] = []
        for line in lines where line.isOfSubscription && line.amountCents != 0 {
            guard let price = line.priceID.flatMap({ prices[$0] }) else {
                self = .review("unknown price \(line.priceID ?? "none")")
                return
            }
            guard line.periodStart < line.periodEnd else {
                self = .review("a line without a period")
                return
            }
            if line.isProration { parts.append((line, price)) } else if line.amountCents > 0 { periods.append((line, price)) }
        }
        guard periods.count <= 1 else {
            self = .review("more than one whole period")
            return
        }
        if let (line, price) = periods.first {
            self = .credits(Self.whole(line, price, parts, anchor))
        } else if let (line, price) = parts.first(where: { $0.line.amountCents > 0 }) {
            self = Self.part(line, price, parts, anchor)
        } else {
            self = parts.isEmpty ? .nothing : .review("time was credited, and none was sold")
        }
    }

    private static func whole(
        _ line: StripeInvoice.Line, _ price: PlanPrice, _ parts: [(line: StripeInvoice.Line, price: PlanPrice)], _ anchor: Instant
    ) -> InvoiceCredits {
        // Parts of other periods that this invoice charges or credits too. Credited time is taken from
        // the first month: the credits of that time were granted, and stay.
        let further = parts.reduce(Int128(0)) {
            $0 + share($1.line, $1.price, of: cycle($1.line, $1.price, anchor), months: $1.price.interval.months)
        }
        var instalments = months(from: line.periodStart, to: line.periodEnd, price.interval).enumerated().map { index, month in
            instalment(index, month, from: month.start, price.monthlyCredits)
        }
        if further != 0, !instalments.isEmpty {
            instalments[0].amount = wholeCredits(max(0, Int128(instalments[0].amount.nano) + further))
        }
        return InvoiceCredits(
            plan: price.plan, periodStart: line.periodStart, periodEnd: line.periodEnd, isWhole: true, instalments: instalments)
    }

    /// Credits for the rest of a period: as many more a day as the new plan has more a day.
    private static func part(
        _ line: StripeInvoice.Line, _ price: PlanPrice, _ parts: [(line: StripeInvoice.Line, price: PlanPrice)], _ anchor: Instant
    ) -> InvoiceOutcome {
        let slots = months(from: cycle(line, price, anchor).start, to: line.periodEnd, price.interval)
        let instalments = slots.enumerated().compactMap { index, month -> Instalment? in
            let amount = parts.reduce(Int128(0)) { $0 + share($1.line, $1.price, of: month, months: 1) }
            guard amount > 0, month.end > line.periodStart else { return nil }
            return instalment(index, month, from: max(month.start, line.periodStart), wholeCredits(amount))
        }
        guard !instalments.isEmpty else { return .review("more time was credited than was sold") }
        return .credits(
            InvoiceCredits(
                plan: price.plan, periodStart: line.periodStart, periodEnd: line.periodEnd, isWhole: false, instalments: instalments))
    }

    private static func instalment(_ index: Int, _ month: (start: Instant, end: Instant), from due: Instant, _ amount: Credits)
        -> Instalment
    {
        Instalment(number: Int64(index), dueAt: due, expiresAt: month.end + InvoiceCredits.renewalTime, amount: amount)
    }

    /// A part of a month is rounded up to a whole credit.
    private static func wholeCredits(_ nano: Int128) -> Credits {
        let one = Int128(Credits.nanoPerCredit)
        return Credits(nano: Int64(clamping: (nano + one - 1) / one * one))
    }

    /// The nano-credits of the part of a line that lies in `cycle`, rounded down; negative for credited time.
    private static func share(
        _ line: StripeInvoice.Line, _ price: PlanPrice, of cycle: (start: Instant, end: Instant), months: Int64
    ) -> Int128 {
        let overlap = min(line.periodEnd, cycle.end).microseconds - max(line.periodStart, cycle.start).microseconds
        let length = cycle.end.microseconds - cycle.start.microseconds
        guard overlap > 0, length > 0 else { return 0 }
        let (quotient, remainder) = (Int128(price.monthlyCredits.nano) * Int128(months) * Int128(overlap))
            .quotientAndRemainder(dividingBy: Int128(length))
        return line.amountCents > 0 ? quotient : -(quotient + (remainder > 0 ? 1 : 0))
    }

    private static func cycle(_ line: StripeInvoice.Line, _ price: PlanPrice, _ anchor: Instant) -> (start: Instant, end: Instant) {
        (line.periodEnd.cycleStart(months: price.interval.months, anchor: anchor), line.periodEnd)
    }

    /// The months of a period. The last one ends with the period.
    private static func months(from start: Instant, to end: Instant, _ interval: Plan.Interval) -> [(start: Instant, end: Instant)] {
        (0..<interval.months).map { number in
            (start.adding(months: number), number == interval.months - 1 ? end : start.adding(months: number + 1))
        }
    }
}

extension Instalment {
    /// Returns the month as it is given at a moment. A month that is over by then gets as much time again, because its credits would
    /// expire at once.
    func given(at now: Instant) -> Instalment {
        guard now >= expiresAt - InvoiceCredits.renewalTime else { return self }
        var late = self
        late.expiresAt = now + (expiresAt - dueAt)
        return late
    }

    /// - Parameter isOnly: true for an invoice with one month.
    func effect(of invoiceID: String, for user: UserID, planName: String, isOnly: Bool, chargeID: ChargeID) -> Effect {
        Effect(
            key: .invoice(invoiceID, month: isOnly ? nil : number), accountID: AccountID(user), kind: .planGrant, amount: amount,
            description: isOnly ? "\(planName) plan" : "\(planName) plan: month \(number + 1)", expiresAt: expiresAt, chargeID: chargeID,
            source: "invoice:\(invoiceID)")
    }
}

extension Effect.Key {
    /// The credits of an invoice, `inv:{id}`, or of one month of it, `inv:{id}:m{n}`.
    static func invoice(_ id: String, month: Int64?) -> Effect.Key { Effect.Key(text: "inv:\(id)" + (month.map { ":m\($0)" } ?? "")) }
}
