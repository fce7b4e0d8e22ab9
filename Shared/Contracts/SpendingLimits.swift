import JSON
package import Values

/// How much may be spent in a day and in a month (both of UTC); nil: as much as there is.
package struct SpendingLimits: Sendable, Hashable {
    package var daily: Credits?
    package var monthly: Credits?

    package init(daily: Credits? = nil, monthly: Credits? = nil) {
        self.daily = daily
        self.monthly = monthly
    }

    package var isUnlimited: Bool { daily == nil && monthly == nil }
}

extension JSONWriter {
    package mutating func field(optional name: String, _ limits: SpendingLimits?) {
        guard let limits, !limits.isUnlimited else { return }
        object(name) { json in
            json.field(optional: "daily", limits.daily?.nano)
            json.field(optional: "monthly", limits.monthly?.nano)
        }
    }
}

extension JSONObject {
    package func optionalSpendingLimits(_ name: String) throws -> SpendingLimits? {
        guard let json = try optionalObject(name) else { return nil }
        return SpendingLimits(
            daily: try json.optionalInteger("daily").map(Credits.init(nano:)),
            monthly: try json.optionalInteger("monthly").map(Credits.init(nano:)))
    }
}
