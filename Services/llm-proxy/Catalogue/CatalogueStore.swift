import Contracts
import Postgres
import Values

/// The catalogue as rows: who can be called, under which name, at which price.
struct CatalogueStore: Sendable {
    let pool: PostgresPool

    /// Writes the file into the rows that belong to it. A row with `source = 'admin'` is left alone, and so are the prices of a
    /// model that has such a price. A model that the file does not name any more is withdrawn. A changed price becomes a new
    /// version from now on. Idempotent, and safe for replicas that start together.
    func apply(_ file: ProvidersFile) async throws {
        try await pool.transaction { transaction in
            _ = try await transaction.query(LockCatalogue())
            for entry in file.providers {
                _ = try await transaction.query(PutProvider(provider: entry.provider))
                for model in entry.models {
                    _ = try await transaction.pipeline(
                        PutModel(model: model, provider: entry.provider.name), PutPriceIfChanged(model: model))
                }
            }
            _ = try await transaction.query(WithdrawModels(named: file.providers.flatMap(\.models).map(\.id)))
        }
    }

    func load(pricing: PricingRule) async throws -> Catalogue {
        Catalogue(
            models: try await pool.query(PricedModels()), unpriced: Set(try await pool.query(UnpricedModels())), pricing: pricing)
    }
}

/// One replica at a time writes the catalogue; the lock goes with the transaction.
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
            id, provider, provider_model, context_tokens, max_output_tokens, default_output_tokens, output_tokens_least, image_tokens_max,
            reasoning, output_limit_member, source)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'file')
        ON CONFLICT (id) DO UPDATE
        SET provider = excluded.provider, provider_model = excluded.provider_model, context_tokens = excluded.context_tokens,
            max_output_tokens = excluded.max_output_tokens, default_output_tokens = excluded.default_output_tokens,
            output_tokens_least = excluded.output_tokens_least, image_tokens_max = excluded.image_tokens_max,
            reasoning = excluded.reasoning, output_limit_member = excluded.output_limit_member, withdrawn_at = NULL
        WHERE model.source = 'file'
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
        INSERT INTO price (model, prompt_pico_usd, completion_pico_usd, source)
        SELECT $1, $2, $3, 'file'
        WHERE NOT EXISTS (
            SELECT 1
            FROM (
                SELECT prompt_pico_usd, completion_pico_usd
                FROM price
                WHERE model = $1
                ORDER BY effective_at DESC
                LIMIT 1) AS latest
            WHERE latest.prompt_pico_usd = $2 AND latest.completion_pico_usd = $3)
            AND NOT EXISTS (SELECT 1 FROM price WHERE model = $1 AND source = 'admin')
        """
    var model: ProvidersFile.Model

    func bind(_ parameters: inout Parameters) {
        parameters.append(model.id)
        parameters.append(model.prompt.value)
        parameters.append(model.completion.value)
    }
}

/// Models of the file that the file does not name any more are not listed. Their prices stay, because receipts name them.
struct WithdrawModels: Statement {
    static let sql = """
        UPDATE model
        SET withdrawn_at = now()
        WHERE source = 'file' AND withdrawn_at IS NULL AND id <> ALL ($1::text[])
        """
    var named: [String]

    func bind(_ parameters: inout Parameters) { parameters.append(named) }
}

/// Enabled models of enabled providers without a price in force.
struct UnpricedModels: Statement {
    static let sql = """
        SELECT m.id
        FROM model m
        JOIN provider p ON p.name = m.provider
        WHERE m.is_enabled AND m.withdrawn_at IS NULL AND p.is_enabled
            AND NOT EXISTS (SELECT 1 FROM price WHERE model = m.id AND effective_at <= now())
        """
    typealias Output = String
}

/// Enabled models of enabled providers with the price in force. A model without one is not listed, and so cannot be called.
struct PricedModels: Statement {
    static let sql = """
        SELECT m.id, p.name, p.kind, p.base_url, p.api_key_variable, m.provider_model, c.version, c.prompt_pico_usd, c.completion_pico_usd,
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
        WHERE m.is_enabled AND m.withdrawn_at IS NULL AND p.is_enabled
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Catalogue.Model {
        let id = try row.next(String.self)
        let provider = Catalogue.Provider(
            name: try row.next(), kind: try row.next(), baseURL: try row.next(), apiKeyVariable: try row.next())
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
