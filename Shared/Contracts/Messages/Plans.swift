package import JSON
package import Values

/// The part of a plan that services enforce. A limit without a value is no limit.
package struct PlanFeatures: Hashable, Sendable {
    /// The endpoints that users of the plan may call. Nil: all.
    package var endpoints: [String]?
    package var requestsPerMinute: Int64?
    package var tokensPerMinute: Int64?
    /// The most calls of a user that run at a time.
    package var concurrency: Int64?
    /// Where a provider is full, calls with a greater priority are admitted first.
    package var priority: Int64

    package init(endpoints: [String]?, requestsPerMinute: Int64?, tokensPerMinute: Int64?, concurrency: Int64?, priority: Int64) {
        self.endpoints = endpoints
        self.requestsPerMinute = requestsPerMinute
        self.tokensPerMinute = tokensPerMinute
        self.concurrency = concurrency
        self.priority = priority
    }

    package func encode(into json: inout JSONWriter) {
        json.key("endpoints")
        if let endpoints {
            json.array { json in for endpoint in endpoints { json.string(endpoint) } }
        } else {
            json.null()
        }
        json.field("requests_per_minute", requestsPerMinute)
        json.field("tokens_per_minute", tokensPerMinute)
        json.field("concurrency", concurrency)
        json.field("priority", priority)
    }

    package init(from json: JSONObject) throws {
        endpoints = json.has("endpoints") ? try json.strings("endpoints") : nil
        requestsPerMinute = try json.optionalInteger("requests_per_minute")
        tokensPerMinute = try json.optionalInteger("tokens_per_minute")
        concurrency = try json.optionalInteger("concurrency")
        priority = try json.integer("priority")
    }
}

/// A user has another plan, or the end of the plan has moved. billing decides plans; other services
/// keep copies.
///
/// Messages about a user may come in any order and more than once. A receiver applies a message only
/// if its `seq` is greater than that of the copy.
package struct PlanChanged: Message, Hashable {
    package static let name = "plan.changed.v1"
    package static let exchange = Topology.billingEvents

    package var userID: UserID
    package var plan: String
    package var features: PlanFeatures
    /// The end of the plan unless a payment prolongs it. Nil: no end.
    package var validUntil: Instant?
    /// Counts the changes of the user from 1 on.
    package var seq: Int64

    package init(userID: UserID, plan: String, features: PlanFeatures, validUntil: Instant?, seq: Int64) {
        self.userID = userID
        self.plan = plan
        self.features = features
        self.validUntil = validUntil
        self.seq = seq
    }

    package func encode(into json: inout JSONWriter) {
        json.field("user_id", userID)
        json.field("plan", plan)
        json.object("features") { features.encode(into: &$0) }
        json.field(optional: "valid_until", validUntil?.microseconds)
        json.field("seq", seq)
    }

    package init(from json: JSONObject) throws {
        userID = try json.id("user_id")
        plan = try json.string("plan")
        features = try PlanFeatures(from: json.object("features"))
        validUntil = try json.optionalInstant("valid_until")
        seq = try json.integer("seq")
    }
}

/// The plans and packages, those that are not sold any more among them: when they changed, or when a
/// price of Stripe changed. The message has what services enforce of every plan, and what credits are
/// sold for.
///
/// A receiver applies a message only if its `version` is greater than that of the copy.
package struct CatalogueChanged: Message, Hashable {
    package static let name = "catalogue.changed.v1"
    package static let exchange = Topology.billingEvents

    package struct Plan: Hashable, Sendable {
        package var id: String
        package var features: PlanFeatures
        package var monthlyCredits: Credits
        /// US cents; nil if the plan is not sold by the month.
        package var monthCents: Int64?
        /// US cents; nil if the plan is not sold by the year.
        package var yearCents: Int64?
        package var isActive: Bool

        package init(id: String, features: PlanFeatures, monthlyCredits: Credits, monthCents: Int64?, yearCents: Int64?, isActive: Bool) {
            (self.id, self.features, self.monthlyCredits) = (id, features, monthlyCredits)
            (self.monthCents, self.yearCents, self.isActive) = (monthCents, yearCents, isActive)
        }
    }

    package struct Package: Hashable, Sendable {
        package var id: String
        package var credits: Credits
        package var bonus: Credits
        /// US cents.
        package var priceCents: Int64
        package var isActive: Bool

        package init(id: String, credits: Credits, bonus: Credits, priceCents: Int64, isActive: Bool) {
            (self.id, self.credits, self.bonus, self.priceCents, self.isActive) = (id, credits, bonus, priceCents, isActive)
        }
    }

    package var version: Int64
    package var changedAt: Instant
    package var plans: [Plan]
    package var packages: [Package]

    package init(version: Int64, changedAt: Instant, plans: [Plan], packages: [Package]) {
        self.version = version
        self.changedAt = changedAt
        self.plans = plans
        self.packages = packages
    }

    package func encode(into json: inout JSONWriter) {
        json.field("version", version)
        json.field("changed_at", changedAt)
        json.array("plans") { json in for plan in plans { json.object { plan.encode(into: &$0) } } }
        json.array("packages") { json in for package in packages { json.object { package.encode(into: &$0) } } }
    }

    package init(from json: JSONObject) throws {
        version = try json.integer("version")
        changedAt = try json.instant("changed_at")
        plans = try json.objects("plans").map(Plan.init(from:))
        packages = try json.objects("packages").map(Package.init(from:))
    }
}

extension CatalogueChanged.Plan {
    fileprivate func encode(into json: inout JSONWriter) {
        json.field("id", id)
        json.object("features") { features.encode(into: &$0) }
        json.field("monthly_credits", nano: monthlyCredits)
        json.field("month_cents", monthCents)
        json.field("year_cents", yearCents)
        json.field("is_active", isActive)
    }

    fileprivate init(from json: JSONObject) throws {
        self.init(
            id: try json.string("id"), features: try PlanFeatures(from: json.object("features")),
            monthlyCredits: try json.nanoCredits("monthly_credits"), monthCents: try json.optionalInteger("month_cents"),
            yearCents: try json.optionalInteger("year_cents"), isActive: try json.bool("is_active"))
    }
}

extension CatalogueChanged.Package {
    fileprivate func encode(into json: inout JSONWriter) {
        json.field("id", id)
        json.field("credits", nano: credits)
        json.field("bonus", nano: bonus)
        json.field("price_cents", priceCents)
        json.field("is_active", isActive)
    }

    fileprivate init(from json: JSONObject) throws {
        self.init(
            id: try json.string("id"), credits: try json.nanoCredits("credits"), bonus: try json.nanoCredits("bonus"),
            priceCents: try json.integer("price_cents"), isActive: try json.bool("is_active"))
    }
}
