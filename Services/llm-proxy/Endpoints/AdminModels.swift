import Contracts
import HTTP
import Identity
import JSON
import Telemetry
import Values

/// `/api/admin/models` and `/api/admin/pricing`: models, prices and the margin check, for
/// administrators. A change with `dry_run` answers what would change.
struct AdminModels: Sendable {
    let prices: PriceAdministration
    let log: Logger

    /// Lists every model with its price, and the reasons why it is not sold.
    func list(_ request: Request, administrator: Principal) async throws -> Response {
        let overview = try await prices.overview()
        return .object(200) { json in
            json.object("list") { list in
                list.field("date", prices.list.date)
                list.field("about", prices.list.about)
            }
            json.array("models") { list in for model in overview.models { list.object { $0.write(model) } } }
            json.write(overview.margins)
        }
    }

    /// Shows a price version: everything that its charges were computed from.
    func show(_ request: Request, administrator: Principal) async throws -> Response {
        guard let version = Int64(request.pathParameters["version"]), let price = try await prices.price(version) else {
            throw Problem.notFound("This price version")
        }
        return .object(200) { $0.write(price) }
    }

    /// {model, provider, units, rule?, effective_at?, dry_run?}
    func putPrice(_ request: Request, administrator: Principal) async throws -> Response {
        let json = try request.json()
        try json.refuseMembers(except: ["model", "provider", "units", "rule", "effective_at", "dry_run"])
        let edited = try json.optionalObject("rule").map(PricingRule.init(edited:))
        let rows = try json.unitPrices(isFlat: edited?.formula == .flat)
        let price = NewPrice(
            model: try json.string("model"), provider: try json.string("provider"), rule: edited ?? prices.rules.rule(for: rows),
            rows: rows, source: .admin, author: administrator.userID, effectiveAt: try json.effectiveAt(now: .now()))
        let isDryRun = try json.optionalBool("dry_run") ?? false
        let change = try done(await prices.put(price, isDryRun: isDryRun))
        if change.isChanged, !isDryRun {
            log.info(
                "price changed",
                [
                    "model": .string(price.model), "provider": .string(price.provider),
                    "price.version": .describing(change.price?.price.version ?? 0), "admin.id": .describing(administrator.userID),
                ], trace: request.trace)
        }
        return .change(change, isDryRun: isDryRun)
    }

    /// {model, is_enabled?, confirm_version?, dry_run?}
    func putModel(_ request: Request, administrator: Principal) async throws -> Response {
        let json = try request.json()
        try json.refuseMembers(except: ["model", "is_enabled", "confirm_version", "dry_run"])
        let model = PriceAdministration.ModelChange(
            model: try json.string("model"), isEnabled: try json.optionalBool("is_enabled"),
            confirmedVersion: try json.optionalInteger("confirm_version"))
        guard model.isEnabled != nil || model.confirmedVersion != nil else { throw Problem.missingParameter("is_enabled") }
        let isDryRun = try json.optionalBool("dry_run") ?? false
        let change = try done(await prices.put(model, by: administrator.userID, isDryRun: isDryRun))
        if change.isChanged, !isDryRun {
            log.info(
                "model changed",
                [
                    "model": .string(model.model), "is_enabled": .string(model.isEnabled.map { "\($0)" } ?? ""),
                    "confirmed.version": .string(model.confirmedVersion.map { "\($0)" } ?? ""),
                    "admin.id": .describing(administrator.userID),
                ], trace: request.trace)
        }
        return .change(change, isDryRun: isDryRun)
    }

    private func done(_ outcome: PriceAdministration.Outcome) throws(Problem) -> PriceAdministration.Change {
        switch outcome {
        case .done(let change): return change
        case .unknownModel: throw .notFound("This model at this provider")
        case .unknownVersion: throw .notFound("This price version of the model")
        }
    }
}

// MARK: Requests

extension JSONObject {
    fileprivate func refuseMembers(except known: [String]) throws(Problem) {
        for member in members where !known.contains(member.name) { throw .unknownParameter(member.name) }
    }

    /// Nil without the member: now.
    fileprivate func effectiveAt(now: Instant) throws -> Instant? {
        guard let text = try optionalString("effective_at") else { return nil }
        guard let time = Instant(text), time >= now, time - now <= .seconds(366 * 86_400) else {
            throw Problem.invalidRequest(
                "`effective_at` must be a time like 2027-01-01T00:00:00Z, from now to 366 days later.", param: "effective_at")
        }
        return time
    }

    fileprivate func unitPrices(isFlat: Bool) throws -> [UnitPriceRow] {
        let values = try array("units")
        guard (1...UnitPriceRow.countMax).contains(values.count) else {
            throw Problem.invalidRequest("`units` must have 1 to \(UnitPriceRow.countMax) rows.", param: "units")
        }
        let rows = try values.enumerated().map { index, value in
            do {
                guard let row = value.object else { throw Problem.invalidRequest("Expected an object.") }
                return try row.unitPrice(isFlat: isFlat)
            } catch {
                guard var problem = error as? Problem ?? (error as? JSONError).map(Problem.init) else { throw error }
                problem.param = "units[\(index)]" + (problem.param.map { ".\($0)" } ?? "")
                throw problem
            }
        }
        if let flaw = PriceFlaw.find(in: rows) { throw Problem.invalidRequest(flaw.message, param: "units") }
        return rows
    }

    /// - Parameter isFlat: true if the price is in credits, with or without the provider's price.
    private func unitPrice(isFlat: Bool) throws -> UnitPriceRow {
        try refuseMembers(
            except: ["unit", "service_tier", "above_input_tokens", "usd_per_million"] + (isFlat ? ["credits_per_unit"] : []))
        guard let unit = UsageUnit(rawValue: try string("unit")) else { throw Problem.oneOf("unit", UsageUnit.allCases.map(\.rawValue)) }
        let isToken = unit.isPromptToken || unit.isCompletionToken
        let name = try optionalString("service_tier") ?? ServiceTier.standard.rawValue
        guard let tier = isToken ? ServiceTier.service(named: name) : ServiceTier(rawValue: name) else {
            throw Problem.invalidRequest(
                "`service_tier` must be \(ServiceTier.services.map(\.rawValue).joined(separator: ", ")), or name a quality or a size of pictures and videos, such as hd, in at most \(ServiceTier.nameBytesMax) small letters, digits and underscores.",
                param: "service_tier")
        }
        let step = try optionalInteger("above_input_tokens") ?? 0
        guard UnitPriceRow.stepRange.contains(step) else {
            throw Problem.invalidRequest(
                "`above_input_tokens` must be a whole number from 0 to \(UnitPriceRow.stepRange.upperBound).", param: "above_input_tokens")
        }
        let cost = isFlat && !has("usd_per_million") ? "0" : try decimalText("usd_per_million")
        guard let price = PicoUSD(perMillion: cost), UnitPriceRow.priceRange.contains(price.value) else {
            throw Problem.invalidRequest(
                "`usd_per_million` must be a decimal from 0 to 1000000000 with at most 6 fraction digits.", param: "usd_per_million")
        }
        let flat = isFlat ? try credits("credits_per_unit", place: "credits_per_unit") : nil
        return UnitPriceRow(unit: unit, tier: tier, aboveInputTokens: step, price: price, flat: flat)
    }

    /// - Parameter place: the name of the member in an error. Nil: a member of `rule`.
    fileprivate func credits(_ name: String, default fallback: Credits? = nil, place: String? = nil) throws -> Credits {
        if let fallback, !has(name) { return fallback }
        guard let credits = Credits(decimal: try decimalText(name)), .zero...Credits(whole: 1_000_000) ~= credits else {
            throw Problem.invalidRequest(
                "`\(name)` must be a decimal from 0 to 1000000 with at most 9 fraction digits.", param: place ?? "rule.\(name)")
        }
        return credits
    }

    fileprivate func basisPoints(_ name: String) throws -> Int64 {
        guard let value = try optionalInteger(name), 0...100_000 ~= value else {
            throw Problem.invalidRequest("`\(name)` must be a whole number from 0 to 100000.", param: "rule.\(name)")
        }
        return value
    }
}

extension PricingRule {
    fileprivate init(edited json: JSONObject) throws {
        let names = ["formula", "min_credits", "byok_fee_basis_points"]
        let formula: Formula
        switch try json.string("formula") {
        case "cost_plus":
            try json.refuseMembers(except: names + ["markup_basis_points", "credits_per_usd"])
            formula = .costPlus(
                markupBasisPoints: try json.basisPoints("markup_basis_points"), creditsPerUSD: try json.credits("credits_per_usd"))
        case "per_token":
            try json.refuseMembers(except: names + ["credits_per_1k_tokens"])
            formula = .perToken(creditsPer1kTokens: try json.credits("credits_per_1k_tokens"))
        case "flat":
            try json.refuseMembers(except: names)
            formula = .flat
        default: throw Problem.oneOf("formula", ["cost_plus", "per_token", "flat"])
        }
        self.init(
            formula: formula, minimumCharge: try json.credits("min_credits", default: .zero),
            byokFeeBasisPoints: json.has("byok_fee_basis_points") ? try json.basisPoints("byok_fee_basis_points") : 0)
    }
}

extension Problem {
    fileprivate static func oneOf(_ name: String, _ choices: [String]) -> Problem {
        invalidRequest("`\(name)` must be one of \(choices.joined(separator: ", ")).", param: name)
    }
}

extension PriceFlaw {
    fileprivate var message: String {
        switch self {
        case .twice(let row): "\(row.place) has two prices; send one."
        case .incomplete(let tier, let step): "The tier \(tier.rawValue) above \(step) input tokens needs a price of input and of output."
        case .cacheOutOfOrder(let row):
            "\(row.place) must not cost more than input if it is cached_input, and not less if it is cache_write."
        case .cheaperAbove(let row): "\(row.place) must not be cheaper than for fewer input tokens, because a hold would not cover it."
        }
    }
}

extension UnitPriceRow {
    fileprivate var place: String { "\(unit.rawValue) in the tier \(tier.rawValue) above \(aboveInputTokens) input tokens" }
}

// MARK: Answers

extension Response {
    fileprivate static func change(_ change: PriceAdministration.Change, isDryRun: Bool) -> Response {
        .object(200) { json in
            json.field("dry_run", isDryRun)
            json.field("changed", change.isChanged)
            json.array("before") { list in for model in change.before { list.object { $0.write(model) } } }
            json.array("after") { list in for model in change.after { list.object { $0.write(model) } } }
            if let price = change.price { json.object("price") { $0.write(price) } }
            json.write(change.margins)
        }
    }
}

extension JSONWriter {
    fileprivate mutating func write(_ model: ListedModel) {
        field("id", model.id)
        field("provider", model.provider)
        field("mode", model.mode)
        field("source", model.source)
        field("is_sold", model.isSold)
        array("not_sold_because") { list in
            for obstacle in model.obstacles { list.string(obstacle.rawValue) }
            for doubt in model.doubts { list.string(doubt) }
        }
        if let price = model.price { object("price") { $0.write(price) } }
        if let next = model.next {
            object("next_price") { json in
                json.field("version", next.version)
                json.field("effective_at", next.effectiveAt.description)
            }
        }
    }

    fileprivate mutating func write(_ price: StoredPrice) {
        field("version", price.price.version)
        field("model", price.model)
        field("provider", price.provider)
        field("source", price.source)
        field("source_date", price.sourceDate)
        array("doubts") { list in for doubt in price.doubts { list.string(doubt) } }
        field("confirmed_at", price.confirmedAt?.description)
        field("effective_at", price.effectiveAt.description)
        object("rule") { $0.write(price.price.rule) }
        array("units") { list in
            for row in price.price.rows {
                list.object { json in
                    json.field("unit", row.unit.rawValue)
                    json.field("service_tier", row.tier.rawValue)
                    json.field("above_input_tokens", row.aboveInputTokens)
                    json.field("usd_per_million", raw: row.price.perMillion.utf8)
                    if let flat = row.flat { json.field("credits_per_unit", raw: flat.description.utf8) }
                }
            }
        }
    }

    private mutating func write(_ rule: PricingRule) {
        switch rule.formula {
        case .costPlus(let markup, let creditsPerUSD):
            field("formula", "cost_plus")
            field("markup_basis_points", markup)
            field("credits_per_usd", raw: creditsPerUSD.description.utf8)
        case .perToken(let creditsPer1kTokens):
            field("formula", "per_token")
            field("credits_per_1k_tokens", raw: creditsPer1kTokens.description.utf8)
        case .flat: field("formula", "flat")
        }
        field("min_credits", raw: rule.minimumCharge.description.utf8)
        field("byok_fee_basis_points", rule.byokFeeBasisPoints)
    }

    /// The margin check, offer by offer.
    fileprivate mutating func write(_ margins: [Margin]) {
        array("margins") { list in
            for margin in margins {
                list.object { json in
                    json.field("offer", margin.offer.name)
                    json.field("model", margin.model)
                    json.field("earned_usd_per_credit", raw: (margin.offer.earned?.description ?? "null").utf8)
                    json.field("provider_usd_per_credit", raw: (margin.cost?.description ?? "null").utf8)
                    json.field("is_negative", margin.isNegative)
                }
            }
        }
    }
}
