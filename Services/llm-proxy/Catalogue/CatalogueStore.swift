import Contracts
import Postgres
import Values

/// The catalogue as rows: models, the providers that sell them, and their prices.
struct CatalogueStore: Sendable {
    let pool: PostgresPool

    /// Writes the file's providers, models, routes and prices. Idempotent, and safe for replicas
    /// that start together.
    ///
    /// It changes only rows of source `file`. A price becomes a new version if it differs from the
    /// last one. A price of an administrator takes over all later prices of its route. A route that
    /// the file does not name any more is deleted.
    func apply(_ file: ProvidersFile, _ rule: PricingRule) async throws {
        try await pool.transaction { transaction in
            _ = try await transaction.query(LockCatalogue())
            for entry in file.providers {
                _ = try await transaction.query(PutProvider(provider: entry.provider))
                for model in entry.models {
                    _ = try await transaction.pipeline(PutModel(model: model), PutRoute(model: model, provider: entry.provider.name))
                    _ = try await transaction.query(PutPriceIfChanged(model: model, provider: entry.provider.name, rule: rule))
                }
            }
            let named = file.providers.flatMap { entry in entry.models.map { ($0.id, entry.provider.name) } }
            _ = try await transaction.query(DeleteRoutes(except: named))
        }
    }

    func switchOff(_ route: Catalogue.Model) async throws {
        _ = try await pool.execute(SwitchOffRoute(model: route.id, provider: route.provider.name, version: route.price.version))
    }

    func load() async throws -> Catalogue {
        let routes = try await pool.query(EnabledRoutes())
        return Catalogue(
            models: routes.compactMap(\.model), unpricedRoutes: Set(routes.filter { $0.model == nil }.map(\.route)))
    }
}

/// Switches a route off until an operator switches it on. A route with a newer price stays as it is,
/// because a call can end long after the operator has mended the price.
struct SwitchOffRoute: Statement {
    static let sql = """
        UPDATE route
        SET is_enabled = false
        WHERE model = $1 AND provider = $2
            AND NOT EXISTS (SELECT FROM price_in_force WHERE model = $1 AND provider = $2 AND version <> $3)
        """
    var model: String
    var provider: String
    /// The price version of the call.
    var version: Int64

    func bind(_ parameters: inout Parameters) {
        parameters.append(model)
        parameters.append(provider)
        parameters.append(version)
    }
}

/// Lets one replica at a time write the catalogue. The end of the transaction frees the lock.
struct LockCatalogue: Statement {
    static let sql = "SELECT pg_advisory_xact_lock(hashtextextended('llm_proxy.catalogue', 0))::text"
    typealias Output = String
}

struct PutProvider: Statement {
    static let sql = """
        INSERT INTO provider (name, kind, base_url, api_key_variable, source)
        VALUES ($1, $2, $3, $4, 'file')
        ON CONFLICT (name) DO UPDATE
        SET kind = excluded.kind, base_url = excluded.base_url, api_key_variable = excluded.api_key_variable
        WHERE provider.source = 'file'
        """
    var provider: Catalogue.Provider

    func bind(_ parameters: inout Parameters) {
        parameters.append(provider.name)
        parameters.append(provider.kind)
        parameters.append(provider.baseURL)
        parameters.append(provider.apiKeyVariable)
    }
}

struct PutModel: Statement {
    static let sql = """
        INSERT INTO model (
            id, context_tokens, max_output_tokens, default_output_tokens, output_tokens_least, image_tokens_max, reasoning,
            output_limit_member, source)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'file')
        ON CONFLICT (id) DO UPDATE
        SET context_tokens = excluded.context_tokens, max_output_tokens = excluded.max_output_tokens,
            default_output_tokens = excluded.default_output_tokens, output_tokens_least = excluded.output_tokens_least,
            image_tokens_max = excluded.image_tokens_max, reasoning = excluded.reasoning,
            output_limit_member = excluded.output_limit_member
        WHERE model.source = 'file'
        """
    var model: ProvidersFile.Model

    func bind(_ parameters: inout Parameters) {
        parameters.append(model.id)
        parameters.append(model.limits.contextTokens)
        parameters.append(model.limits.maxOutputTokens)
        parameters.append(model.limits.defaultOutputTokens)
        parameters.append(model.limits.outputTokensLeast)
        parameters.append(model.limits.imageTokensMax)
        parameters.append(model.limits.reasoning.rawValue)
        parameters.append(model.limits.outputLimitMember.rawValue)
    }
}

struct PutRoute: Statement {
    static let sql = """
        INSERT INTO route (model, provider, provider_model, priority, weight, source)
        VALUES ($1, $2, $3, $4, $5, 'file')
        ON CONFLICT ON CONSTRAINT route_once DO UPDATE
        SET provider_model = excluded.provider_model, priority = excluded.priority, weight = excluded.weight
        WHERE route.source = 'file'
        """
    var model: ProvidersFile.Model
    var provider: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(model.id)
        parameters.append(provider)
        parameters.append(model.providerModel)
        parameters.append(model.priority)
        parameters.append(model.weight)
    }
}

struct DeleteRoutes: Statement {
    static let sql = """
        DELETE FROM route
        WHERE source = 'file' AND (model, provider) NOT IN (SELECT * FROM unnest($1::text[], $2::text[]))
        """
    var except: [(model: String, provider: String)]

    func bind(_ parameters: inout Parameters) {
        parameters.append(except.map(\.model))
        parameters.append(except.map(\.provider))
    }
}

/// Adds a version if the file's prices, or the operator's rule, differ from the version in force,
/// and no version belongs to an administrator.
struct PutPriceIfChanged: Statement {
    static let sql = """
        WITH
            wanted AS (
                SELECT $3::text AS formula, $4::bigint AS markup, $5::bigint AS per_usd, $6::bigint AS per_1k, $7::bigint AS minimum,
                    (SELECT jsonb_object_agg(unit, pico_usd) FROM unnest($8::text[], $9::bigint[]) AS u (unit, pico_usd)) AS units
            ),
            current AS (
                SELECT version, formula, markup_basis_points, credits_per_usd, credits_per_1k, minimum_charge
                FROM price_in_force
                WHERE model = $1 AND provider = $2
            ),
            made AS (
                INSERT INTO price (
                    model, provider, formula, markup_basis_points, credits_per_usd, credits_per_1k, minimum_charge, source)
                SELECT $1, $2, formula, markup, per_usd, per_1k, minimum, 'file'
                FROM wanted
                WHERE NOT EXISTS (
                    SELECT 1
                    FROM current
                    WHERE (current.formula, current.markup_basis_points, current.credits_per_usd, current.credits_per_1k, current.minimum_charge)
                        IS NOT DISTINCT FROM (wanted.formula, wanted.markup, wanted.per_usd, wanted.per_1k, wanted.minimum)
                        AND wanted.units = (SELECT jsonb_object_agg(unit, pico_usd) FROM unit_price WHERE version = current.version))
                    AND NOT EXISTS (SELECT 1 FROM price WHERE model = $1 AND provider = $2 AND source = 'admin')
                RETURNING version
            )
        INSERT INTO unit_price (version, unit, pico_usd)
        SELECT version, unit, pico_usd
        FROM made, unnest($8::text[], $9::bigint[]) AS u (unit, pico_usd)
        """
    var model: ProvidersFile.Model
    var provider: String
    var rule: PricingRule

    func bind(_ parameters: inout Parameters) {
        parameters.append(model.id)
        parameters.append(provider)
        switch rule.formula {
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
        }
        parameters.append(rule.minimumCharge)
        let units = model.prices.sorted { $0.key.rawValue < $1.key.rawValue }
        parameters.append(units.map(\.key.rawValue))
        parameters.append(units.map(\.value.value))
    }
}

/// Reads the enabled routes of enabled models and providers, with the price in force.
struct EnabledRoutes: Statement {
    struct Output: Sendable {
        var route: Catalogue.UnpricedRoute
        /// Nil for a route that has no price.
        var model: Catalogue.Model?
    }

    static let sql = """
        SELECT
            m.id, p.name, p.kind, p.base_url, p.api_key_variable, r.provider_model, r.priority, r.weight, c.version, c.formula,
            c.markup_basis_points, c.credits_per_usd, c.credits_per_1k, c.minimum_charge,
            ARRAY(SELECT unit FROM unit_price WHERE unit_price.version = c.version ORDER BY unit),
            ARRAY(SELECT pico_usd FROM unit_price WHERE unit_price.version = c.version ORDER BY unit),
            m.context_tokens, m.max_output_tokens, m.default_output_tokens, m.output_tokens_least, m.image_tokens_max, m.reasoning,
            m.output_limit_member, m.created_at
        FROM route r
        JOIN model m ON m.id = r.model
        JOIN provider p ON p.name = r.provider
        LEFT JOIN price_in_force c ON c.model = r.model AND c.provider = r.provider
        WHERE r.is_enabled AND m.is_enabled AND p.is_enabled
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output {
        let id = try row.next(String.self)
        let provider = Catalogue.Provider(
            name: try row.next(), kind: try row.next(), baseURL: try row.next(), apiKeyVariable: try row.next())
        let (providerModel, priority, weight) = try (row.next(String.self), row.next(Int64.self), row.next(Int64.self))
        let price = try PriceVersion.read(&row)
        // A word that this version does not know gets the strictest meaning. The constraints of the
        // table prevent such words.
        let limits = ModelLimits(
            contextTokens: try row.next(), maxOutputTokens: try row.next(), defaultOutputTokens: try row.next(),
            outputTokensLeast: try row.next(), imageTokensMax: try row.next(),
            reasoning: ModelLimits.Reasoning(rawValue: try row.next()) ?? .hidden,
            outputLimitMember: ModelLimits.OutputLimitMember(rawValue: try row.next()) ?? .maxTokens)
        let createdAt = try row.next(Instant.self)
        return Output(
            route: .init(model: id, provider: provider.name),
            model: price.map { price in
                Catalogue.Model(
                    id: id, provider: provider, providerModel: providerModel, price: price, limits: limits, createdAt: createdAt,
                    priority: priority, weight: weight)
            })
    }
}

extension PriceVersion {
    /// Reads version, formula, markup, credits per USD, credits per 1,000, minimum, units and their
    /// prices. A unit that this version of the proxy does not know is left out, so it has no price.
    /// - Returns: nil without a version, without a price of input and output, and for a formula that
    ///   this version of the proxy does not know.
    static func read(_ row: inout RowReader) throws(PostgresError) -> PriceVersion? {
        let (version, formula) = try (row.next(Int64?.self), row.next(String?.self))
        let (markup, perUSD, per1k) = try (row.next(Int64?.self), row.next(Credits?.self), row.next(Credits?.self))
        let minimum = try row.next(Credits?.self)
        let (names, prices) = try (row.next([String].self), row.next([Int64].self))
        let units = Dictionary(
            zip(names, prices).compactMap { name, price in UsageUnit(rawValue: name).map { ($0, PicoUSD(value: price)) } },
            uniquingKeysWith: { first, _ in first })
        guard let version, let minimum, units[.input] != nil, units[.output] != nil else { return nil }
        switch (formula, markup, perUSD, per1k) {
        case ("cost_plus", let markup?, let perUSD?, _):
            let formula = PricingRule.Formula.costPlus(markupBasisPoints: markup, creditsPerUSD: perUSD)
            return PriceVersion(version: version, rule: PricingRule(formula: formula, minimumCharge: minimum), units: units)
        case ("per_token", _, _, let per1k?):
            let formula = PricingRule.Formula.perToken(creditsPer1kTokens: per1k)
            return PriceVersion(version: version, rule: PricingRule(formula: formula, minimumCharge: minimum), units: units)
        default: return nil
        }
    }
}
