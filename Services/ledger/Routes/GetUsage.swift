import Contracts
import HTTP
import Identity
import JSON
import LedgerCore
import Postgres
import Values

/// Sums of what was used, from the rollups that each batch keeps; the last 30 days unless `from`, `to` and `tz` say otherwise.
///
/// Days are exact in every zone whose offset is a multiple of 30 minutes. In the other three zones,
/// days in folded time (``UsageFolding``) are shifted by 15 minutes. A moment within a quarter of
/// an hour is moved outward to its bound, in folded time to the bound of the half-hour. `from` and
/// `to` of the answer are the period that it covers.
extension Routes {
    func usageSummary(_ request: Request, caller: Principal) async throws -> Response {
        try await slots.during(caller.accountID) {
            try await usageSummary(OfAccount(id: caller.accountID), usagePeriod(request.query))
        }
    }

    func dailyUsage(_ request: Request, caller: Principal) async throws -> Response {
        try await slots.during(caller.accountID) {
            try await dailyUsage(OfAccount(id: caller.accountID), usagePeriod(request.query))
        }
    }

    func usageByModel(_ request: Request, caller: Principal) async throws -> Response {
        try await slots.during(caller.accountID) {
            try await usageByName(ByModel.self, OfAccount(id: caller.accountID), request.query)
        }
    }

    func usageByOperation(_ request: Request, caller: Principal) async throws -> Response {
        try await slots.during(caller.accountID) {
            try await usageByName(ByOperation.self, OfAccount(id: caller.accountID), request.query)
        }
    }

    /// Returns the usage of all users, or of one with `user_id`: `by` model (the default), operation, day or type.
    func everybodysUsage(_ request: Request, administrator: Principal) async throws -> Response {
        try await slots.during(administrator.accountID) {
            if try request.query.optionalString("user_id") != nil {
                return try await usage(OfAccount(id: request.query.account()), request.query)
            }
            return try await usage(OfEverybody(), request.query)
        }
    }

    private func usage(_ scope: some UsageScope, _ query: Query) async throws -> Response {
        switch try query.filled("by") ?? "model" {
        case "model": try await usageByName(ByModel.self, scope, query)
        case "operation": try await usageByName(ByOperation.self, scope, query)
        case "day": try await dailyUsage(scope, usagePeriod(query))
        case "type": try await usageSummary(scope, usagePeriod(query))
        default: throw Problem.invalidRequest("Expected model, operation, day or type.", param: "by")
        }
    }

    private func usageSummary(_ scope: some UsageScope, _ period: UsagePeriod) async throws -> Response {
        let types = try await store.reads.withConnection { try await $0.query(UsageByType(scope: scope, period: period.covered)) }
        return .object(200) { json in
            period.encode(into: &json)
            json.encode(types)
        }
    }

    private func dailyUsage(_ scope: some UsageScope, _ period: UsagePeriod) async throws -> Response {
        let rows = try await store.reads.withConnection {
            try await $0.query(UsageByDay(scope: scope, period: period.covered, zone: period.zone))
        }
        return .object(200) { json in
            period.encode(into: &json)
            json.encode(days: rows)
        }
    }

    /// The first `limit` by cost, the others together in `other`.
    private func usageByName<Group: UsageGroup>(_: Group.Type, _ scope: some UsageScope, _ query: Query) async throws -> Response {
        let limit = try query.integer("limit", default: 100, in: 1...1_000)
        let period = try await usagePeriod(query)
        let (names, types) = try await store.reads.withConnection { connection in
            try await connection.pipeline(
                UsageByName<_, Group>(scope: scope, period: period.covered, limit: limit),
                UsageByType(scope: scope, period: period.covered))
        }
        return .object(200) { json in
            period.encode(into: &json)
            json.array("\(Group.column)s") { json in
                for group in names where group.isNamed {
                    json.object { json in
                        json.field(Group.column, group.name.isEmpty ? nil : group.name)
                        group.sums.encodeUsage(into: &json)
                    }
                }
            }
            json.key("other")
            if let rest = names.first(where: { !$0.isNamed }) {
                json.object { rest.sums.encodeUsage(into: &$0) }
            } else {
                json.null()
            }
            json.object("usage") { types.usage.encodeUsage(into: &$0) }
        }
    }

    func usagePeriod(_ query: Query) async throws -> UsagePeriod {
        let asked = try AskedPeriod(query)
        let covered = try await store.covered(period(asked), asked)
        guard covered.to - covered.from <= .seconds(Self.usageDaysMax * 86_400) else {
            throw Problem.invalidRequest("The period is limited to \(Self.usageDaysMax) days.", param: "from")
        }
        return UsagePeriod(covered: covered, zone: asked.zone)
    }

    private static let usageDaysMax: Int64 = 400
}

struct UsagePeriod {
    let covered: Period
    let zone: String

    func encode(into json: inout JSONWriter) {
        json.field("from", covered.from.description)
        json.field("to", covered.to.description)
        json.field("tz", zone)
        json.field("currency", "credits")
    }
}

extension JSONWriter {
    /// `types` and, of one of them, `usage`.
    mutating func encode(_ types: [UsageOfType]) {
        array("types") { json in
            for type in types {
                json.object { json in
                    json.field("type", type.type)
                    json.field("credits", decimal: type.sums.credits)
                    json.field("transactions", type.sums.entries)
                }
            }
        }
        object("usage") { types.usage.encodeUsage(into: &$0) }
    }

    /// `days`: the rows of a day stand together.
    mutating func encode(days rows: [UsageOfDay]) {
        array("days") { json in
            var rest = rows[...]
            while let day = rest.first?.day {
                let ofDay = rest.prefix { $0.day == day }
                rest = rest.dropFirst(ofDay.count)
                json.object { json in
                    json.field("date", day)
                    (ofDay.first { $0.type == "usage" }?.sums ?? .none).encodeUsage(into: &json)
                    json.object("changes") { json in
                        for row in ofDay { if let type = row.type { json.field(type, decimal: row.sums.credits) } }
                    }
                }
            }
        }
    }
}
