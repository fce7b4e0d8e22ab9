/// A number of credits that is sold at a price of its own.
struct Package: Hashable, Sendable {
    struct ID: Hashable, Sendable {
        let text: String
    }

    var id: ID
    var name: String
    /// Whole credits.
    var credits: Int64
    /// Whole credits, in a grant of its own that never expires.
    var bonus: Int64
    /// US cents.
    var priceCents: Int64
    var isPopular: Bool
    /// False if the package is not sold any more.
    var isActive: Bool

    /// The amounts in US cents that Stripe takes in one payment (docs.stripe.com/currencies).
    static let priceCents: ClosedRange<Int64> = 50...99_999_999
}
