import Contracts
import HTTP
import Identity
import JSON
import LedgerCore
import Telemetry
import Values

extension Routes {
    /// {daily, monthly, low_balance_level, default_low_balance_level, spent_today, spent_this_month, resets, keys}; null is no limit, and
    /// for the level the default. Days and months are those of UTC.
    func limits(_ request: Request, caller: Principal) async throws -> Response {
        try await answer(store.limits(of: caller.accountID))
    }

    /// Changes what the body names, null removes, and answers like ``limits(_:caller:)``.
    func setLimits(_ request: Request, caller: Principal) async throws -> Response {
        let change = try SettingsChange(request.json(), amountMax: store.limits.balanceMax)
        try await settingSlots.during(caller.accountID) { try await store.changeSettings(of: caller.accountID, change.apply) }
        log.info(
            "limits set", ["account.id": .describing(caller.accountID), "set": .string(change.names.joined(separator: ","))],
            trace: request.trace)
        return try await answer(store.limits(of: caller.accountID))
    }

    private func answer(_ settings: AccountLimits) -> Response {
        let account = settings.account
        let spent = account.spending.current(at: settings.now)
        return .object(200) { json in
            json.field("daily", credits: account.limits.daily)
            json.field("monthly", credits: account.limits.monthly)
            json.field("low_balance_level", credits: account.lowBalanceLevel)
            json.field("default_low_balance_level", credits: store.limits.lowBalanceLevel)
            json.field("spent_today", credits: spent.day)
            json.field("spent_this_month", credits: spent.month)
            json.field("held", credits: account.held)
            json.object("resets") { json in
                json.field("daily", Instant.startOf(day: settings.now.day + 1).description)
                json.field("monthly", Instant.startOf(month: settings.now.month + 1).description)
            }
            json.array("keys") { json in
                for key in settings.keys {
                    let spent = key.spending.current(at: settings.now)
                    json.object { json in
                        json.field("id", key.id.key.rawValue)
                        json.field("daily", credits: key.limits.daily)
                        json.field("monthly", credits: key.limits.monthly)
                        json.field("spent_today", credits: spent.day)
                        json.field("spent_this_month", credits: spent.month)
                        json.field("held", credits: key.held)
                    }
                }
            }
        }
    }
}

/// The change that a body asks for. An unknown name is refused, so that a typo cannot leave the account without a limit.
private struct SettingsChange: Sendable {
    /// Present members, null among them.
    let values: [(name: String, value: Credits?)]

    var names: [String] { values.map(\.name) }

    init(_ json: JSONObject, amountMax: Credits) throws {
        values = try json.members.map { member in
            guard ["daily", "monthly", "low_balance_level"].contains(member.name) else { throw Problem.unknownParameter(member.name) }
            guard json.has(member.name) else { return (member.name, nil) }
            let amount = try json.credits(member.name)
            guard amount >= .zero, amount <= amountMax else {
                throw Problem.invalidRequest("Expected null or 0 to \(amountMax) credits.", param: member.name)
            }
            return (member.name, amount)
        }
    }

    @Sendable func apply(_ settings: inout AccountSettings) {
        for (name, value) in values {
            switch name {
            case "daily": settings.limits.daily = value
            case "monthly": settings.limits.monthly = value
            default: settings.lowBalanceLevel = value
            }
        }
    }
}
