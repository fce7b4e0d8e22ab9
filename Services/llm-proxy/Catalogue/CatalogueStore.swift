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

    func load() async throws -> Catalogue {
        Catalogue(models: try await pool.query(PricedRoutes()), unpriced: Set(try await pool.query(UnpricedModels())))
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

/// Adds a version if the file's prices, or the operator's rule, differ from the last version, and
/// no version belongs to an administrator.
struct PutPriceIfChanged: Statement {
    static let sql = """
        WITH
            wanted AS (
                SELECT $3::text AS formula, $4::bigint AS markup, $5::bigint AS per_usd, $6::bigint AS per_1k, $7::bigint AS minimum,
                    (SELECT jsonb_object_agg(unit, pico_usd) FROM unnest($8::text[], $9::bigint[]) AS u (unit, pico_usd)) AS units
            ),
            last AS (
                SELECT version, formula, markup_basis_points, credits_per_usd, credits_per_1k, minimum_charge
                FROM price
                WHERE model = $1 AND provider = $2
                ORDER BY version DESC
                LIMIT 1
            ),
            made AS (
                INSERT INTO price (
                    model, provider, formula, markup_basis_points, credits_per_usd, credits_per_1k, minimum_charge, source)
                SELECT $1, $2, formula, markup, per_usd, per_1k, minimum, 'file'
                FROM wanted
                WHERE NOT EXISTS (
                    SELECT 1
                    FROM last
                    WHERE (last.formula, last.markup_basis_points, last.credits_per_usd, last.credits_per_1k, last.minimum_charge)
                        IS NOT DISTINCT FROM (wanted.formula, wanted.markup, wanted.per_usd, wanted.per_1k, wanted.minimum)
                        AND wanted.units = (SELECT jsonb_object_agg(unit, pico_usd) FROM unit_price WHERE version = last.version))
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

/// Reads the enabled models that have an enabled route, and a price of input and output at none.
struct UnpricedModels: Statement {
    static let sql = """
        SELECT m.id
        FROM model m
        JOIN route r ON r.model = m.id
        JOIN provider p ON p.name = r.provider
        WHERE m.is_enabled AND r.is_enabled AND p.is_enabled
        GROUP BY m.id
        HAVING NOT bool_or((
            SELECT count(*) = 2
            FROM unit_price
            WHERE unit IN ('input', 'output') AND version = (
                SELECT version
                FROM price
                WHERE price.model = r.model AND price.provider = r.provider AND effective_at <= now()
                ORDER BY effective_at DESC, version DESC
                LIMIT 1)))
        """
    typealias Output = String
}

/// Reads the enabled routes of enabled models and providers, with the price in force. A route
/// without a price of input and output is not listed, and so cannot be called.
struct PricedRoutes: Statement {
    static let sql = """
        SELECT
            m.id, p.name, p.kind, p.base_url, p.api_key_variable, r.provider_model, r.priority, r.weight, c.version, c.formula,
            c.markup_basis_points, c.credits_per_usd, c.credits_per_1k, c.minimum_charge, c.units, c.prices, m.context_tokens,
            m.max_output_tokens, m.default_output_tokens, m.output_tokens_least, m.image_tokens_max, m.reasoning,
            m.output_limit_member, m.created_at
        FROM route r
        JOIN model m ON m.id = r.model
        JOIN provider p ON p.name = r.provider
        CROSS JOIN LATERAL (
            SELECT
                price.*,
                ARRAY(SELECT unit FROM unit_price WHERE unit_price.version = price.version ORDER BY unit) AS units,
                ARRAY(SELECT pico_usd FROM unit_price WHERE unit_price.version = price.version ORDER BY unit) AS prices
            FROM price
            WHERE price.model = r.model AND price.provider = r.provider AND effective_at <= now()
            ORDER BY effective_at DESC, version DESC
            LIMIT 1) c
        WHERE r.is_enabled AND m.is_enabled AND p.is_enabled AND c.units @> ARRAY['input', 'output']
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Catalogue.Model {
        let id = try row.next(String.self)
        let provider = Catalogue.Provider(
            name: try row.next(), kind: try row.next(), baseURL: try row.next(), apiKeyVariable: try row.next())
        let (providerModel, priority, weight) = try (row.next(String.self), row.next(Int64.self), row.next(Int64.self))
        let price = try PriceVersion(&row)
        // A word that this version does not know gets the strictest meaning. The constraints of the
        // table prevent such words.
        let limits = ModelLimits(
            contextTokens: try row.next(), maxOutputTokens: try row.next(), defaultOutputTokens: try row.next(),
            outputTokensLeast: try row.next(), imageTokensMax: try row.next(),
            reasoning: ModelLimits.Reasoning(rawValue: try row.next()) ?? .hidden,
            outputLimitMember: ModelLimits.OutputLimitMember(rawValue: try row.next()) ?? .maxTokens)
        return Catalogue.Model(
            id: id, provider: provider, providerModel: providerModel, price: price, limits: limits, createdAt: try row.next(),
            priority: priority, weight: weight)
    }
}

extension PriceVersion {
    /// Reads version, formula, markup, credits per USD, credits per 1,000, minimum, units and their
    /// prices. A unit that this version of the proxy does not know is left out, so it has no price.
    init(_ row: inout RowReader) throws(PostgresError) {
        version = try row.next()
        let formula = try row.next(String.self)
        let (markup, perUSD, per1k) = try (row.next(Int64?.self), row.next(Credits?.self), row.next(Credits?.self))
        rule = PricingRule(
            formula: formula == "per_token"
                ? .perToken(creditsPer1kTokens: per1k ?? .zero)
                : .costPlus(markupBasisPoints: markup ?? 0, creditsPerUSD: perUSD ?? .zero),
            minimumCharge: try row.next())
        let (names, prices) = try (row.next([String].self), row.next([Int64].self))
        units = Dictionary(
            zip(names, prices).compactMap { name, price in UsageUnit(rawValue: name).map { ($0, PicoUSD(value: price)) } },
            uniquingKeysWith: { first, _ in first })
    }
}
