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

/// An administrator changed plans or packages. The message has what services enforce of every plan.
///
/// A receiver applies a message only if its `version` is greater than that of the copy.
package struct CatalogueChanged: Message, Hashable {
    package static let name = "catalogue.changed.v1"
    package static let exchange = Topology.billingEvents

    package struct Plan: Hashable, Sendable {
        package var id: String
        package var features: PlanFeatures

        package init(id: String, features: PlanFeatures) { (self.id, self.features) = (id, features) }
    }

    package var version: Int64
    package var changedAt: Instant
    package var plans: [Plan]

    package init(version: Int64, changedAt: Instant, plans: [Plan]) {
        self.version = version
        self.changedAt = changedAt
        self.plans = plans
    }

    package func encode(into json: inout JSONWriter) {
        json.field("version", version)
        json.field("changed_at", changedAt)
        json.array("plans") { json in
            for plan in plans {
                json.object { json in
                    json.field("id", plan.id)
                    json.object("features") { plan.features.encode(into: &$0) }
                }
            }
        }
    }

    package init(from json: JSONObject) throws {
        version = try json.integer("version")
        changedAt = try json.instant("changed_at")
        plans = try json.objects("plans").map { Plan(id: try $0.string("id"), features: try PlanFeatures(from: $0.object("features"))) }
    }
}
