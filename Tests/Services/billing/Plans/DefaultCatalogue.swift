import Contracts
import Values

@testable import Billing

extension Catalogue {
    /// The plans and packages of a new installation.
    static let atStart = Catalogue(
        packages: [
            .make("starter", 50, cents: 500), .make("basic", 100, bonus: 5, cents: 900),
            .make("standard", 250, bonus: 15, cents: 2_000, isPopular: true), .make("pro", 500, bonus: 40, cents: 3_500),
            .make("business", 1_000, bonus: 100, cents: 6_000), .make("enterprise", 5_000, bonus: 750, cents: 25_000),
        ],
        plans: [
            Plan(
                id: .free, name: "Free", position: 1, monthlyCredits: Credits(whole: 10),
                features: ["Image generation", "Community support"], isPopular: false, isActive: true,
                limits: PlanFeatures(
                    endpoints: ["chat", "embeddings", "images", "keys"], requestsPerMinute: 60, tokensPerMinute: 100_000,
                    concurrency: 8, priority: 0)),
            Plan(
                id: Plan.ID(text: "pro"), name: "Pro", position: 2, monthlyCredits: Credits(whole: 500),
                features: ["All generation types", "Priority queue", "API access"], isPopular: true, isActive: true,
                limits: PlanFeatures(
                    endpoints: nil, requestsPerMinute: 600, tokensPerMinute: 1_000_000, concurrency: 50, priority: 1)),
            Plan(
                id: Plan.ID(text: "enterprise"), name: "Enterprise", position: 3, monthlyCredits: Credits(whole: 5_000),
                features: ["Custom models", "SLA", "Dedicated support"], isPopular: false, isActive: true,
                limits: PlanFeatures(
                    endpoints: nil, requestsPerMinute: 6_000, tokensPerMinute: 10_000_000, concurrency: 200, priority: 2)),
        ])
}

extension Package {
    static func make(
        _ id: String, _ credits: Int64, bonus: Int64 = 0, cents: Int64, isPopular: Bool = false, isActive: Bool = true
    ) -> Package {
        Package(
            id: ID(text: id), name: id.capitalized, credits: credits, bonus: bonus, priceCents: cents, isPopular: isPopular,
            isActive: isActive)
    }
}

extension String {
    fileprivate var capitalized: String { prefix(1).uppercased() + dropFirst() }
}
