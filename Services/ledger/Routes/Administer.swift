import Contracts
import HTTP
import Identity
import JSON
import LedgerCore
import Postgres
import Telemetry
import Values

extension Routes {
    /// {user_id, type: topup|refund|bonus|adjustment, amount, reason, idempotency_key, expires_at?}: once for its key.
    func adjust(_ request: Request, administrator: Principal) async throws -> Response {
        try await post(Adjustment(request.json()), by: administrator, for: request).response
    }

    /// Posts an adjustment once for its key.
    func post(_ adjustment: Adjustment, by administrator: Principal, for request: Request) async throws -> Posting {
        if let end = adjustment.expiresAt, end <= .now(), try await !store.isDecided(source: "admin", ref: adjustment.idempotencyKey) {
            throw Adjustment.badExpiry
        }
        let posting = try await post(source: "admin", ref: adjustment.idempotencyKey, for: request) {
            adjustment.command($0, by: administrator.userID)
        }
        let entry = posting.line.entry
        log.info(
            posting.isNew ? "credits adjusted" : "duplicate adjustment",
            [
                "account.id": .describing(entry.account), "charge.id": .describing(entry.charge), "type": .string(entry.kind.type),
                "credits": .describing(entry.postedDelta), "admin.id": .describing(administrator.userID),
            ], trace: request.trace)
        return posting
    }

    /// {accounts, balance, held, owed}, now; what changed over a period, by type and day, as ``usageSummary(_:caller:)``
    /// and ``dailyUsage(_:caller:)`` report it of one account.
    func totals(_ request: Request, administrator: Principal) async throws -> Response {
        let period = try await usagePeriod(request.query)
        let (totals, types, days) = try await slots.during(administrator.accountID) {
            try await store.reads.withConnection { connection in
                try await connection.pipeline(
                    ReadTotals(), UsageByType(scope: OfEverybody(), period: period.covered),
                    UsageByDay(scope: OfEverybody(), period: period.covered, zone: period.zone))
            }
        }
        return .object(200) { json in
            json.field("accounts", totals[0].accounts)
            json.field("balance", decimal: totals[0].balance)
            json.field("held", decimal: totals[0].held)
            json.field("owed", decimal: totals[0].owed)
            period.encode(into: &json)
            json.encode(types)
            json.encode(days: days)
        }
    }

    /// Audits the entries since the newest checkpoint, or with `all=true` everything since the oldest
    /// checkpoint. With `last=true` returns the result of the last audit. The answer is 200 also with
    /// findings; `consistent` is then false. It is 409 while an audit runs in this ledger.
    func audit(_ request: Request, administrator: Principal) async throws -> Response {
        let (all, last) = try (request.query.flag("all"), request.query.flag("last"))
        guard !(all && last) else { throw Problem.invalidRequest("`last` cannot be combined with `all`.", param: "last") }
        guard let run = try await last ? auditor.last() : auditor.run(all: all) else {
            throw last ? Problem.notFound("An earlier audit") : Self.auditRuns
        }
        return .object(200) { run.encode(into: &$0) }
    }

    private static var auditRuns: Problem {
        .conflict(
            "An audit runs in this ledger. Read its result later with `last=true`. Run long audits on a server with `ledger audit --all`.")
    }
}

extension Adjustment {
    fileprivate init(_ json: JSONObject) throws {
        guard let user = UserID(try json.string("user_id")) else { throw Problem.invalidRequest("Expected a UUID.", param: "user_id") }
        let amount = try json.credits("amount")
        guard let grant = Self.grant(of: try json.string("type")) else {
            throw Problem.invalidRequest("Expected topup, refund, bonus or adjustment.", param: "type")
        }
        guard grant == .adjustment ? amount != .zero : amount > .zero else {
            throw Problem.invalidRequest(
                grant == .adjustment ? "`amount` must not be 0." : "`amount` must be greater than 0; only an adjustment can be negative.",
                param: "amount")
        }
        self.init(
            user: user, grant: grant, amount: amount, reason: try json.text("reason", lengthMax: Self.reasonScalarsMax),
            idempotencyKey: try json.text("idempotency_key", lengthMax: 200), expiresAt: try Self.expiry(json, of: grant))
    }

    private static func expiry(_ json: JSONObject, of grant: Command.Grant) throws -> Instant? {
        guard let text = try json.optionalString("expires_at") else { return nil }
        guard mayExpire(grant) else {
            throw Problem.invalidRequest("Only a topup or a bonus expires.", param: "expires_at")
        }
        guard let at = Instant(timeWithOffset: text), at < .startOf(month: endMonth) else { throw badExpiry }
        return at
    }

    /// A moment that has passed is one too, unless the adjustment was made before it did.
    fileprivate static var badExpiry: Problem {
        .invalidRequest("Expected a time in the future and before the year 2200, like 2027-01-31T00:00:00Z.", param: "expires_at")
    }
}

extension Query {
    /// Returns the value of a flag; false if the parameter is missing.
    fileprivate func flag(_ name: String) throws -> Bool {
        switch try optionalString(name) {
        case nil, "false": return false
        case "true": return true
        default: throw Problem.invalidRequest("`\(name)` must be true or false.", param: name)
        }
    }
}
