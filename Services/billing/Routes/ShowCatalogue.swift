import Contracts
import HTTP
import JSON
import Postgres
import Values

extension Routes {
    /// {plans}: those that a user can choose, in the order of their positions.
    func plans(_ request: Request) async throws -> Response {
        let (plans, prices) = try await pool.withConnection { try await $0.pipeline(ReadPlans(), AllPlanPrices()) }
        return .object(200) { json in
            json.array("plans") { json in
                for plan in plans where plan.isActive {
                    json.object { json in
                        plan.encodeFacts(into: &json)
                        json.object("prices_usd") { json in
                            for interval in Plan.Interval.allCases {
                                json.field(interval.rawValue, usd: plan.cents(for: interval, among: prices))
                            }
                        }
                    }
                }
            }
        }
    }

    /// {packages, custom_amount}: the packages that are sold, in the order of their sizes.
    func packages(_ request: Request) async throws -> Response { try await packages() }

    private func packages() async throws -> Response {
        let packages = try await pool.query(ReadPackages())
        return .object(200) { json in
            json.array("packages") { json in
                for package in packages where package.isActive { json.object { package.encodeFacts(into: &$0) } }
            }
            json.object("custom_amount") { json in
                json.field("credits_min", Catalogue.customCredits.lowerBound)
                json.field("credits_max", Catalogue.customCredits.upperBound)
            }
        }
    }

    /// The packages as a tRPC query.
    func procedures(_ request: Request) async throws -> Response {
        try await answer(proceduresOf: request) { name, _ in
            guard name == "credits.packages" else { throw Problem.notFound("The procedure '\(name)'") }
            return try await packages().body
        }
    }
}

extension Plan {
    /// Nil for a plan that Stripe does not sell for this interval.
    fileprivate func cents(for interval: Interval, among prices: [PlanPrice]) -> Int64? {
        if id == .free { return 0 }
        return prices.first {
            $0.isCurrent && $0.plan == id.text && $0.interval == interval && $0.currency == "usd"
        }?.amountCents
    }

    /// Writes the members that the public and the administrator's answers share.
    func encodeFacts(into json: inout JSONWriter) {
        json.field("id", id.text)
        json.field("name", name)
        json.field("position", position)
        json.field("monthly_credits", raw: monthlyCredits.description.utf8)
        json.array("features") { json in for feature in features { json.string(feature) } }
        json.object("limits") { limits.encode(into: &$0) }
        json.field("is_popular", isPopular)
    }
}

extension Package {
    /// Writes the members that the public and the administrator's answers share.
    func encodeFacts(into json: inout JSONWriter) {
        json.field("id", id.text)
        json.field("name", name)
        json.field("credits", credits)
        json.field("bonus", bonus)
        json.field("price_usd", usd: priceCents)
        json.field("is_popular", isPopular)
    }
}

extension JSONWriter {
    /// Writes cents as a number of dollars. Nil writes null.
    fileprivate mutating func field(_ name: String, usd cents: Int64?) {
        field(name, raw: (cents.map { USD(cents: $0).text } ?? "null").utf8)
    }
}
