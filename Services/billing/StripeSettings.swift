import Configuration
import Identity

/// The variables of billing, next to the common ones.
///
/// | variable | default | |
/// |---|---|---|
/// | `STRIPE_SECRET_KEY` | required | `sk_…`, or a restricted key `rk_…` |
/// | `STRIPE_PUBLISHABLE_KEY` | required | `pk_…` of the same mode |
/// | `STRIPE_WEBHOOK_SECRET` | required | `whsec_…`; two with a comma between while one is replaced |
/// | `STRIPE_PRICE_PRO_MONTHLY`, `STRIPE_PRICE_PRO_YEARLY`, `STRIPE_PRICE_ENTERPRISE_MONTHLY`, `STRIPE_PRICE_ENTERPRISE_YEARLY` | none | Stripe's ids of prices (`price_…`); without one the plan is not sold for that interval |
/// | `STRIPE_PORTAL_CONFIGURATION` | Stripe's default; required with a live key | `bpc_…` of the customer portal |
/// | `STRIPE_API_BASE` | `https://api.stripe.com` | plain `http` only on a loopback address, for the simulator |
/// | `CHECKOUT_ORIGINS` | the origin of `PUBLIC_URL` | further origins that a purchase may return to, comma-separated |
/// | `TAX` | `off` | `on`: Stripe Tax computes taxes |
struct StripeSettings: Sendable {
    let secretKey: Secret
    let publishableKey: String
    let webhookSecrets: [[UInt8]]
    /// Price ids by plan and interval.
    let prices: [PriceSlot: String]
    let portalConfiguration: String?
    let apiBase: String
    let isLive: Bool
    /// The origins of the pages that Stripe hosts: checkout and customer portal.
    let pageOrigins: [String]
    /// Origins such as `https://example.com`.
    let returnOrigins: Set<String>
    let hasTax: Bool

    struct PriceSlot: Hashable, Sendable {
        var plan: String
        var interval: Plan.Interval
    }

    init(_ environment: Environment, publicURL: URLText) throws(ConfigurationError) {
        secretKey = try environment.secret("STRIPE_SECRET_KEY")
        publishableKey = try environment.string("STRIPE_PUBLISHABLE_KEY")
        isLive = try Self.isLive(secretKey.reveal(), ["sk_", "rk_"], "STRIPE_SECRET_KEY")
        guard try Self.isLive(publishableKey, ["pk_"], "STRIPE_PUBLISHABLE_KEY") == isLive else {
            throw ConfigurationError(variable: "STRIPE_PUBLISHABLE_KEY", problem: "must be of the same mode as STRIPE_SECRET_KEY")
        }
        let secrets = try environment.secret("STRIPE_WEBHOOK_SECRET").reveal().split(separator: ",", omittingEmptySubsequences: false)
        guard secrets.count <= 4, secrets.allSatisfy({ $0.hasPrefix("whsec_") && $0.utf8.count >= 16 }) else {
            throw .malformed("STRIPE_WEBHOOK_SECRET", found: nil, expected: "whsec_…, at most four with commas between")
        }
        webhookSecrets = secrets.map { Array($0.utf8) }
        var prices: [PriceSlot: String] = [:]
        for plan in ["pro", "enterprise"] {
            for interval in Plan.Interval.allCases {
                let name = "STRIPE_PRICE_\(plan.uppercased())_\(interval == .month ? "MONTHLY" : "YEARLY")"
                guard let price = environment.optionalString(name) else { continue }
                guard price.hasPrefix("price_") else { throw .malformed(name, found: price, expected: "an id like price_1Nx…") }
                guard !prices.values.contains(price) else { throw .malformed(name, found: price, expected: "a price of its own") }
                prices[PriceSlot(plan: plan, interval: interval)] = price
            }
        }
        self.prices = prices
        portalConfiguration = environment.optionalString("STRIPE_PORTAL_CONFIGURATION")
        // Stripe's own settings may let a customer change plans past the rules of this service.
        guard portalConfiguration?.hasPrefix("bpc_") ?? !isLive else {
            throw ConfigurationError(
                variable: "STRIPE_PORTAL_CONFIGURATION",
                problem: "must be an id like bpc_1Nx…, and is required with a live key; deploy/stripe/setup.sh makes and prints it")
        }
        let base = try environment.url("STRIPE_API_BASE", schemes: ["https", "http"], default: Self.stripe)
        guard base.scheme == "https" || base.isLoopback else {
            throw .malformed("STRIPE_API_BASE", found: "\(base)", expected: "https, or http on a loopback address")
        }
        apiBase = origin(ofURL: base.reveal())
        // A stand-in for Stripe has API and pages at one origin.
        pageOrigins = apiBase == Self.stripe ? ["https://checkout.stripe.com", "https://billing.stripe.com"] : [apiBase]
        var origins: Set = [origin(ofURL: publicURL.reveal())]
        for text in environment.list("CHECKOUT_ORIGINS") {
            guard let url = URLText(text), ["http", "https"].contains(url.scheme), origin(ofURL: text) == text else {
                throw .malformed("CHECKOUT_ORIGINS", found: text, expected: "origins like https://example.com")
            }
            origins.insert(text)
        }
        returnOrigins = origins
        hasTax = try environment.choice("TAX", default: "off", of: ["on", "off"]) == "on"
    }

    private static let stripe = "https://api.stripe.com"

    private static func isLive(_ key: String, _ prefixes: [String], _ name: String) throws(ConfigurationError) -> Bool {
        for prefix in prefixes {
            if key.hasPrefix("\(prefix)live_") { return true }
            if key.hasPrefix("\(prefix)test_") { return false }
        }
        throw .malformed(name, found: nil, expected: prefixes.map { "\($0)test_… or \($0)live_…" }.joined(separator: ", "))
    }
}
