import Contracts
import JSON
import Values

/// The reader of prices in the providers file that are not of tokens.
enum MediaPrices {
    /// Returns the rows of `usd_per_unit` or `flat_credits`; nil if the model has neither.
    static func rows(_ json: JSONObject, of model: String, _ surfaces: Set<Surface>) throws -> [UnitPriceRow]? {
        let rows: [UnitPriceRow]
        switch (try json.optionalObject("usd_per_unit"), try json.optionalObject("flat_credits")) {
        case (nil, nil): return nil
        case (let prices?, nil):
            rows = try prices.members.map { member in
                var row = try row(member.name, of: model)
                row.price = PicoUSD(value: try decimal(prices, member.name, of: model).nano * 1_000)
                return row
            }
        case (nil, let prices?):
            rows =
                try prices.members.isEmpty
                ? FlatPrices.rows(for: surfaces)
                : prices.members.map { member in
                    var row = try row(member.name, of: model)
                    row.flat = try decimal(prices, member.name, of: model)
                    return row
                }
        case (_?, _?): throw ProvidersFile.Malformed(reason: "model \(model) must have usd_per_unit or flat_credits, not both")
        }
        guard !rows.isEmpty else { throw ProvidersFile.Malformed(reason: "model \(model) needs a price of a unit") }
        if let flaw = PriceFlaw.find(in: rows) { throw ProvidersFile.Malformed(reason: "prices of model \(model): \(flaw)") }
        return rows
    }

    /// Reads a unit and its class: `image`, `image:hd_1024x1792`.
    private static func row(_ name: String, of model: String) throws -> UnitPriceRow {
        let parts = name.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let unit = UsageUnit(rawValue: parts[0]), !unit.isPromptToken, !unit.isCompletionToken,
            let tier = parts.count == 1 ? .standard : ServiceTier(rawValue: parts[1])
        else {
            throw ProvidersFile.Malformed(
                reason: "\(name) of model \(model) must be a unit such as image or character, and a class such as :hd where it has one")
        }
        return UnitPriceRow(unit: unit, tier: tier, price: PicoUSD(value: 0))
    }

    /// USD or credits: from 0 to 1,000, with at most 9 fraction digits.
    private static func decimal(_ json: JSONObject, _ name: String, of model: String) throws -> Credits {
        let text = try json.decimalText(name)
        guard let amount = Credits(decimal: text), .zero...Credits(whole: 1_000) ~= amount else {
            throw ProvidersFile.Malformed(
                reason: "\(name) of model \(model) must be a decimal from 0 to 1000 with at most 9 fraction digits, not \(text)")
        }
        return amount
    }
}
