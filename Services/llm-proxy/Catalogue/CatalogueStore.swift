import Contracts
import Postgres

/// The catalogue as rows: who can be called, under which name, at which price.
struct CatalogueStore: Sendable {
    let pool: PostgresPool

    /// Makes the rows say what the file says. What the file does not name is left alone; a changed price becomes a new version from
    /// now on. Idempotent, and safe for replicas that start together.
    func apply(_ file: ProvidersFile) async throws {
        try await pool.transaction { transaction in
            _ = try await transaction.query(LockCatalogue())
            for (provider, models) in file.providers {
                _ = try await transaction.query(PutProvider(provider: provider))
                for model in models {
                    _ = try await transaction.pipeline(PutModel(model: model, provider: provider.name), PutPriceIfChanged(model: model))
                }
            }
        }
    }

    func load(pricing: PricingRule) async throws -> Catalogue {
        Catalogue(models: try await pool.query(PricedModels()), pricing: pricing)
    }
}

/// One replica at a time writes the catalogue; the lock goes with the transaction.
struct LockCatalogue: Statement {
    static let sql = "SELECT pg_advisory_xact_lock(hashtextextended('llm_proxy.catalogue', 0))::text"
    typealias Output = String
}

struct PutProvider: Statement {
    static let sql = """
        INSERT INTO provider (name, base_url, api_key_variable)
        VALUES ($1, $2, $3)
        ON CONFLICT (name) DO UPDATE
        SET base_url = excluded.base_url, api_key_variable = excluded.api_key_variable
        """
    var provider: Catalogue.Provider

    func bind(_ parameters: inout Parameters) {
        parameters.append(provider.name)
        parameters.append(provider.baseURL)
        parameters.append(provider.apiKeyVariable)
    }
}

struct PutModel: Statement {
    static let sql = """
        INSERT INTO model (
            id, provider, provider_model, context_tokens, max_output_tokens, default_output_tokens, output_tokens_least, image_tokens_max,
            reasoning, output_limit_member)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (id) DO UPDATE
        SET provider = excluded.provider, provider_model = excluded.provider_model, context_tokens = excluded.context_tokens,
            max_output_tokens = excluded.max_output_tokens, default_output_tokens = excluded.default_output_tokens,
            output_tokens_least = excluded.output_tokens_least, image_tokens_max = excluded.image_tokens_max,
            reasoning = excluded.reasoning, output_limit_member = excluded.output_limit_member
        """
    var model: ProvidersFile.Model
    var provider: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(model.id)
        parameters.append(provider)
        parameters.append(model.providerModel)
        parameters.append(model.limits.contextTokens)
        parameters.append(model.limits.maxOutputTokens)
        parameters.append(model.limits.defaultOutputTokens)
        parameters.append(model.limits.outputTokensLeast)
        parameters.append(model.limits.imageTokensMax)
        parameters.append(model.limits.reasoning.rawValue)
        parameters.append(model.limits.outputLimitMember.rawValue)
    }
}

struct PutPriceIfChanged: Statement {
    static let sql = """
        INSERT INTO price (model, prompt_pico_usd, completion_pico_usd)
        SELECT $1, $2, $3
        WHERE NOT EXISTS (
            SELECT 1
            FROM (SELECT prompt_pico_usd, completion_pico_usd FROM price WHERE model = $1 ORDER BY effective_at DESC LIMIT 1) AS latest
            WHERE latest.prompt_pico_usd = $2 AND latest.completion_pico_usd = $3)
        """
    var model: ProvidersFile.Model

    func bind(_ parameters: inout Parameters) {
        parameters.append(model.id)
        parameters.append(model.prompt.value)
        parameters.append(model.completion.value)
    }
}

/// Enabled models of enabled providers with the price in force. A model without one is not listed, and so cannot be called.
struct PricedModels: Statement {
    static let sql = """
        SELECT m.id, p.name, p.base_url, p.api_key_variable, m.provider_model, c.version, c.prompt_pico_usd, c.completion_pico_usd,
               m.context_tokens, m.max_output_tokens, m.default_output_tokens, m.output_tokens_least, m.image_tokens_max, m.reasoning,
               m.output_limit_member, m.created_at
        FROM model m
        JOIN provider p ON p.name = m.provider
        CROSS JOIN LATERAL (
            SELECT version, prompt_pico_usd, completion_pico_usd
            FROM price
            WHERE model = m.id AND effective_at <= now()
            ORDER BY effective_at DESC
            LIMIT 1) c
        WHERE m.is_enabled AND p.is_enabled
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Catalogue.Model {
        let id = try row.next(String.self)
        let provider = Catalogue.Provider(name: try row.next(), baseURL: try row.next(), apiKeyVariable: try row.next())
        let providerModel = try row.next(String.self)
        let price = TokenPrice(
            version: try row.next(), prompt: PicoUSD(value: try row.next()), completion: PicoUSD(value: try row.next()))
        // A word that this version does not know gets the strictest meaning. The constraints of the
        // table prevent such words.
        let limits = ModelLimits(
            contextTokens: try row.next(), maxOutputTokens: try row.next(), defaultOutputTokens: try row.next(),
            outputTokensLeast: try row.next(), imageTokensMax: try row.next(),
            reasoning: ModelLimits.Reasoning(rawValue: try row.next()) ?? .hidden,
            outputLimitMember: ModelLimits.OutputLimitMember(rawValue: try row.next()) ?? .maxTokens)
        return Catalogue.Model(
            id: id, provider: provider, providerModel: providerModel, price: price, limits: limits, createdAt: try row.next())
    }
}
