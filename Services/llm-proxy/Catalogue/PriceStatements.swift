import Contracts
import Postgres
import Values

/// The price of a route that becomes a version, if it differs from the one in force.
struct NewPrice: Sendable {
    var model: String
    var provider: String
    var rule: PricingRule
    var rows: [UnitPriceRow]
    var source: CatalogueSource
    /// The day of the list that has the price.
    var sourceDate: String?
    var doubts: [PriceDoubt] = []
    /// The administrator who wrote it.
    var author: UserID?
    /// Nil: now.
    var effectiveAt: Instant?
}

extension NewPrice {
    init(_ model: ProvidersFile.Model, provider: String, rules: PricingRules) {
        self.init(model: model.id, provider: provider, rule: rules.rule(for: model.prices), rows: model.prices, source: .file)
    }
}

/// Adds a version if the prices, the doubts or the operator's rule differ from the version that is in
/// force at its time. A price of an administrator keeps out those of the file and the list.
/// - Returns: the number of the new version; no row if it is none.
struct PutPriceIfChanged: Statement {
    static let sql = """
        WITH
            wanted AS (
                SELECT $3::text AS formula, $4::bigint AS markup, $5::bigint AS per_usd, $6::bigint AS per_1k, $7::bigint AS minimum,
                    $8::bigint AS byok_fee, $9::text[] AS doubts,
                    (
                        SELECT jsonb_object_agg(concat_ws(' ', unit, tier, step), concat_ws(' ', pico_usd, flat))
                        FROM unnest($10::text[], $11::text[], $12::bigint[], $13::bigint[], $18::bigint[])
                            AS u (unit, tier, step, pico_usd, flat)
                    ) AS units
            ),
            current AS (
                SELECT *
                FROM price
                WHERE model = $1 AND provider = $2 AND effective_at <= coalesce($14::timestamptz, statement_timestamp())
                ORDER BY effective_at DESC, version DESC
                LIMIT 1
            ),
            made AS (
                INSERT INTO price (
                    model, provider, formula, markup_basis_points, credits_per_usd, credits_per_1k, minimum_charge, byok_fee_basis_points,
                    doubts, effective_at, source, source_date, written_by_admin)
                SELECT $1, $2, formula, markup, per_usd, per_1k, minimum, byok_fee, doubts, coalesce($14, clock_timestamp()), $15, $16::date,
                    $17
                FROM wanted
                WHERE NOT EXISTS (
                    SELECT 1
                    FROM current
                    WHERE (
                            current.formula, current.markup_basis_points, current.credits_per_usd, current.credits_per_1k,
                            current.minimum_charge, current.byok_fee_basis_points, current.doubts)
                        IS NOT DISTINCT FROM (
                            wanted.formula, wanted.markup, wanted.per_usd, wanted.per_1k, wanted.minimum, wanted.byok_fee, wanted.doubts)
                        AND wanted.units = (
                            SELECT jsonb_object_agg(
                                concat_ws(' ', unit, service_tier, above_input_tokens), concat_ws(' ', pico_usd, coalesce(flat_credits, -1)))
                            FROM unit_price
                            WHERE version = current.version))
                    AND ($15 = 'admin' OR NOT EXISTS (SELECT 1 FROM price WHERE model = $1 AND provider = $2 AND source = 'admin'))
                RETURNING version
            ),
            units AS (
                INSERT INTO unit_price (version, unit, service_tier, above_input_tokens, pico_usd, flat_credits)
                SELECT version, unit, tier, step, pico_usd, nullif(flat, -1)
                FROM made,
                    unnest($10::text[], $11::text[], $12::bigint[], $13::bigint[], $18::bigint[]) AS u (unit, tier, step, pico_usd, flat)
            )
        SELECT version
        FROM made
        """
    typealias Output = Int64
    var price: NewPrice

    func bind(_ parameters: inout Parameters) {
        parameters.append(price.model)
        parameters.append(price.provider)
        switch price.rule.formula {
        case .costPlus(let markupBasisPoints, let creditsPerUSD):
            parameters.append("cost_plus")
            parameters.append(markupBasisPoints)
            parameters.append(creditsPerUSD)
            parameters.append(nil as Credits?)
        case .perToken(let creditsPer1kTokens):
            parameters.append("per_token")
            parameters.append(nil as Int64?)
            parameters.append(nil as Credits?)
            parameters.append(creditsPer1kTokens)
        case .flat:
            parameters.append("flat")
            parameters.append(nil as Int64?)
            parameters.append(nil as Credits?)
            parameters.append(nil as Credits?)
        }
        parameters.append(price.rule.minimumCharge)
        parameters.append(price.rule.byokFeeBasisPoints)
        parameters.append(price.doubts.map(\.rawValue))
        parameters.append(price.rows.map(\.unit.rawValue))
        parameters.append(price.rows.map(\.tier.rawValue))
        parameters.append(price.rows.map(\.aboveInputTokens))
        parameters.append(price.rows.map(\.price.value))
        parameters.append(price.effectiveAt)
        parameters.append(price.source.rawValue)
        parameters.append(price.sourceDate)
        parameters.append(price.author)
        parameters.append(price.rows.map { $0.flat?.nano ?? -1 })
    }
}

/// The rows of a price version as five arrays of one order.
enum UnitPriceRows {
    /// Joins them to a price `c`.
    static let join = """
        LEFT JOIN LATERAL (
                SELECT coalesce(array_agg(unit), '{}') AS names, coalesce(array_agg(service_tier), '{}') AS tiers,
                    coalesce(array_agg(above_input_tokens), '{}') AS steps, coalesce(array_agg(pico_usd), '{}') AS prices,
                    coalesce(array_agg(coalesce(flat_credits, -1)), '{}') AS flats
                FROM unit_price
                WHERE unit_price.version = c.version
            ) u ON true
        """
}

extension PriceVersion {
    /// Reads version, formula, markup, credits per USD, credits per 1,000, minimum, fee, and the rows of
    /// ``UnitPriceRows``. A row that this version of the proxy does not know is left out, so it has no
    /// price.
    /// - Returns: nil without a version, without a price of any unit, and for a formula that this version
    ///   of the proxy does not know.
    static func read(_ row: inout RowReader) throws(PostgresError) -> PriceVersion? {
        let (version, formula) = try (row.next(Int64?.self), row.next(String?.self))
        let (markup, perUSD, per1k) = try (row.next(Int64?.self), row.next(Credits?.self), row.next(Credits?.self))
        let (minimum, fee) = try (row.next(Credits?.self), row.next(Int64?.self))
        let (names, tiers) = try (row.next([String].self), row.next([String].self))
        let (steps, prices, flats) = try (row.next([Int64].self), row.next([Int64].self), row.next([Int64].self))
        let rows = names.indices.compactMap { index -> UnitPriceRow? in
            guard let unit = UsageUnit(rawValue: names[index]), let tier = ServiceTier(rawValue: tiers[index]) else { return nil }
            return UnitPriceRow(
                unit: unit, tier: tier, aboveInputTokens: steps[index], price: PicoUSD(value: prices[index]),
                flat: flats[index] >= 0 ? Credits(nano: flats[index]) : nil)
        }
        let formulaRead: PricingRule.Formula
        switch (formula, markup, perUSD, per1k) {
        case ("cost_plus", let markup?, let perUSD?, _): formulaRead = .costPlus(markupBasisPoints: markup, creditsPerUSD: perUSD)
        case ("per_token", _, _, let per1k?): formulaRead = .perToken(creditsPer1kTokens: per1k)
        case ("flat", _, _, _): formulaRead = .flat
        default: return nil
        }
        guard let version, let minimum, let fee else { return nil }
        let rule = PricingRule(formula: formulaRead, minimumCharge: minimum, byokFeeBasisPoints: fee)
        return rows.isEmpty ? nil : PriceVersion(version: version, rule: rule, rows: rows)
    }
}
