/// The plans and packages, those that are not sold any more among them.
struct Catalogue: Hashable, Sendable {
    /// In the order of their sizes.
    var packages: [Package]
    /// In the order of their positions.
    var plans: [Plan]

    /// The amounts that a user may choose freely, in whole credits.
    static let customCredits: ClosedRange<Int64> = 10...100_000

    /// Returns the price of an amount of whole credits; nil if the amount is not sold.
    ///
    /// A package has its own price and bonus. Another amount has the rate of the next smaller active
    /// package, or of the smallest one, rounded up to a cent. It costs at most as much as the next
    /// larger package, and has no bonus.
    func offer(credits: Int64) -> Offer? {
        let active = packages.filter(\.isActive)
        if let package = active.first(where: { $0.credits == credits }) {
            return Offer(packageName: package.name, credits: credits, bonus: package.bonus, amountCents: package.priceCents)
        }
        let smaller = active.filter { $0.credits < credits }.max { $0.credits < $1.credits }
        let larger = active.filter { $0.credits > credits }.min { $0.credits < $1.credits }
        guard Self.customCredits.contains(credits), let rate = smaller ?? larger else { return nil }
        // At most 10^13: the table bounds both factors.
        let price = (credits * rate.priceCents + rate.credits - 1) / rate.credits
        let amountCents = min(price, larger?.priceCents ?? price)
        guard Package.priceCents.contains(amountCents) else { return nil }
        return Offer(packageName: nil, credits: credits, bonus: 0, amountCents: amountCents)
    }
}

/// The price of an amount of credits.
struct Offer: Hashable, Sendable {
    /// Nil for an amount of the user's own.
    var packageName: String?
    /// Whole credits, without the bonus.
    var credits: Int64
    /// Whole credits.
    var bonus: Int64
    /// US cents.
    var amountCents: Int64
}
