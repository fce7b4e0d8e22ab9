import Contracts
import Values

/// Credits that billing sells at a price.
struct CreditOffer: Hashable, Sendable {
    /// `package:pro`, `plan:pro:month` or `plan:pro:year`.
    var name: String
    /// Bonus included.
    var credits: Credits
    /// US cents.
    var priceCents: Int64

    /// The pico-dollars that one credit earns, rounded down.
    var earned: PicoUSD? {
        guard credits > .zero, priceCents >= 0 else { return nil }
        let perCredit = Int128(priceCents) * Int128(PicoUSD.perUSD / 100) * Int128(Credits.nanoPerCredit) / Int128(credits.nano)
        return Int64(exactly: perCredit).map(PicoUSD.init(value:))
    }
}

extension CatalogueChanged {
    /// The packages and paid plans that are sold. The free plan is a gift, and no offer.
    var offers: [CreditOffer] {
        let packages = packages.filter(\.isActive).map { package in
            let credits = Credits(nano: package.credits.nano.addingReportingOverflow(package.bonus.nano).partialValue)
            return CreditOffer(name: "package:\(package.id)", credits: credits, priceCents: package.priceCents)
        }
        let plans = plans.filter(\.isActive).flatMap { plan in
            let year = Credits(nano: plan.monthlyCredits.nano.multipliedReportingOverflow(by: 12).partialValue)
            return [
                plan.monthCents.map { CreditOffer(name: "plan:\(plan.id):month", credits: plan.monthlyCredits, priceCents: $0) },
                plan.yearCents.map { CreditOffer(name: "plan:\(plan.id):year", credits: year, priceCents: $0) },
            ].compactMap { $0 }
        }
        return packages + plans
    }
}

/// The comparison of what a credit of an offer earns with the provider's cost that one credit buys at
/// most.
struct Margin: Hashable, Sendable {
    var offer: CreditOffer
    /// The model that costs the operator most for one credit.
    var model: String
    /// The cost that one credit buys, rounded up. Nil if it has no bound.
    var cost: PicoUSD?

    /// True if the operator can lose money by the offer.
    var isNegative: Bool {
        guard let cost, let earned = offer.earned else { return true }
        return earned < cost
    }

    /// Compares each offer with the price of the model that costs most for one credit. Flat prices whose
    /// cost is not known are left out.
    /// - Parameter prices: the prices in force by model. Without any there is nothing to compare.
    static func check(_ offers: [CreditOffer], _ prices: [(model: String, price: PriceVersion)]) -> [Margin] {
        let costs = prices.filter(\.price.isCostKnown).map { (model: $0.model, cost: $0.price.costOfCredit) }
        let dearest = costs.first { $0.cost == nil } ?? costs.max { $0.cost?.value ?? .max < $1.cost?.value ?? .max }
        return dearest.map { dearest in offers.map { Margin(offer: $0, model: dearest.model, cost: dearest.cost) } } ?? []
    }
}

extension PriceVersion {
    /// False for flat prices without a figure of their cost.
    var isCostKnown: Bool { rule.formula != .flat || rows.allSatisfy { $0.price.value > 0 } }

    /// The provider's cost that one credit buys at most, rounded up. Nil if it has no bound.
    var costOfCredit: PicoUSD? {
        let (numerator, denominator): (Int128, Int128)
        switch rule.formula {
        case .costPlus(let markup, let creditsPerUSD):
            numerator = Int128(PicoUSD.perUSD) * Int128(Credits.nanoPerCredit) * 10_000
            denominator = (10_000 + Int128(markup)) * Int128(creditsPerUSD.nano)
        case .perToken(let creditsPer1kTokens):
            let dearest = rows.filter { $0.unit.isPromptToken || $0.unit.isCompletionToken }.map(\.price).max()
            numerator = Int128(dearest?.value ?? 0) * 1_000 * Int128(Credits.nanoPerCredit)
            denominator = Int128(creditsPer1kTokens.nano)
        case .flat:
            // The row that costs most for one credit.
            return rows.map { row -> PicoUSD? in
                guard let flat = row.flat, flat > .zero else { return nil }
                let cost = Int128(row.price.value) * Int128(Credits.nanoPerCredit)
                return Int64(exactly: (cost + Int128(flat.nano) - 1) / Int128(flat.nano)).map(PicoUSD.init(value:))
            }.reduce(PicoUSD(value: 0)) { most, cost in most.flatMap { most in cost.map { max(most, $0) } } }
        }
        guard denominator > 0 else { return nil }
        return Int64(exactly: (numerator + denominator - 1) / denominator).map(PicoUSD.init(value:))
    }
}
