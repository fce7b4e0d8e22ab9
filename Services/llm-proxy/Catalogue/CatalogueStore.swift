import Contracts
import Postgres
import Values

/// The catalogue as rows: models, the providers that sell them, and their prices.
struct CatalogueStore: Sendable {
    let pool: PostgresPool

    /// Writes the file's providers, models, routes and prices, and the models of the list. Idempotent,
    /// and safe for replicas that start together.
    ///
    /// It changes only rows of the sources `file` and `list`. The file takes the place of the list. A
    /// price becomes a new version if it differs from the last one. A price of an administrator takes
    /// over all later prices of its route. A route that neither names any more is deleted.
    /// - Parameter sellers: the providers of the file that sell the models of the list.
    func apply(_ file: ProvidersFile, _ rules: PricingRules, list: ModelList? = nil, sellers: Set<String> = []) async throws {
        let inFile = Set(file.providers.flatMap { $0.models.map(\.id) })
        let listed = list?.models.filter { sellers.contains($0.provider) && !inFile.contains($0.id) } ?? []
        try await pool.transaction { transaction in
            _ = try await transaction.query(LockCatalogue())
            for entry in file.providers {
                _ = try await transaction.query(PutProvider(provider: entry.provider))
                for model in entry.models {
                    try await transaction.put(
                        PutModel(id: model.id, limits: model.limits), PutRoute(model: model, provider: entry.provider.name),
                        NewPrice(model, provider: entry.provider.name, rules: rules))
                }
            }
            for model in listed {
                guard let terms = model.terms, let date = list?.date else { continue }
                try await transaction.put(
                    PutModel(id: model.id, limits: terms.limits, source: .list),
                    PutRoute(
                        model: model.id, provider: model.provider, providerModel: model.id, surfaces: terms.surfaces, source: .list),
                    NewPrice(
                        model: model.id, provider: model.provider, rule: rules.rule(for: terms.prices), rows: terms.prices, source: .list,
                        sourceDate: date, doubts: terms.doubts))
            }
            let named = file.providers.flatMap { entry in entry.models.map { ($0.id, entry.provider.name) } }
            _ = try await transaction.query(DeleteRoutes(except: named + listed.filter { $0.terms != nil }.map { ($0.id, $0.provider) }))
        }
    }

    func switchOff(_ route: Catalogue.Model) async throws {
        try await pool.transaction { transaction in
            _ = try await transaction.query(LockCatalogue())
            try await transaction.execute(SwitchOffRoute(model: route.id, provider: route.provider.name, version: route.price.version))
        }
    }

    /// Reads what changes with each change of the catalogue, and when a price comes into force.
    func state() async throws -> CatalogueState? { try await pool.first(ReadCatalogueState()) }

    /// Reads what billing sells credits for; none before its first message.
    func offers() async throws -> [CreditOffer] { try await pool.query(ReadCreditOffers()).flatMap(\.offers) }

    func load() async throws -> Catalogue {
        let routes = try await pool.query(EnabledRoutes())
        let (on, off) = (routes.filter(\.isProviderEnabled), routes.filter { !$0.isProviderEnabled })
        return Catalogue(
            models: on.compactMap(\.model), unpricedRoutes: Set(on.filter { $0.model == nil }.map(\.route)),
            switchedOff: Dictionary(off.map { ($0.route.model, $0.route.provider) }, uniquingKeysWith: min))
    }
}

extension PostgresTransaction {
    fileprivate func put(_ model: PutModel, _ route: PutRoute, _ price: NewPrice) async throws {
        _ = try await pipeline(model, route, PutPriceIfChanged(price: price))
    }
}

/// A row's author: the providers file, the list of models, or an administrator.
enum CatalogueSource: String, Sendable {
    case file, list, admin
}

struct CatalogueState: Hashable, Sendable {
    /// Counts the changes of the tables.
    var number: Int64
    /// The time at which the youngest price in force came into force.
    var pricedAt: Instant?
}

struct ReadCatalogueState: Statement {
    static let sql = """
        SELECT number, (SELECT max(effective_at) FROM price WHERE effective_at <= statement_timestamp())
        FROM catalogue_change
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> CatalogueState {
        CatalogueState(number: try row.next(), pricedAt: try row.next(Instant?.self))
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
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (id) DO UPDATE
        SET context_tokens = excluded.context_tokens, max_output_tokens = excluded.max_output_tokens,
            default_output_tokens = excluded.default_output_tokens, output_tokens_least = excluded.output_tokens_least,
            image_tokens_max = excluded.image_tokens_max, reasoning = excluded.reasoning,
            output_limit_member = excluded.output_limit_member, source = excluded.source
        WHERE model.source <> 'admin'
        """
    var id: String
    var limits: ModelLimits
    var source = CatalogueSource.file

    func bind(_ parameters: inout Parameters) {
        parameters.append(id)
        parameters.append(limits.contextTokens)
        parameters.append(limits.maxOutputTokens)
        parameters.append(limits.defaultOutputTokens)
        parameters.append(limits.outputTokensLeast)
        parameters.append(limits.imageTokensMax)
        parameters.append(limits.reasoning.rawValue)
        parameters.append(limits.outputLimitMember.rawValue)
        parameters.append(source.rawValue)
    }
}

struct PutRoute: Statement {
    static let sql = """
        INSERT INTO route (model, provider, provider_model, surfaces, priority, weight, source)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT ON CONSTRAINT route_once DO UPDATE
        SET provider_model = excluded.provider_model, surfaces = excluded.surfaces, priority = excluded.priority, weight = excluded.weight, source = excluded.source
        WHERE route.source <> 'admin'
        """
    var model: String
    var provider: String
    var providerModel: String
    var surfaces = Surface.usual
    var priority: Int64 = 0
    var weight: Int64 = 1
    var source = CatalogueSource.file

    func bind(_ parameters: inout Parameters) {
        parameters.append(model)
        parameters.append(provider)
        parameters.append(providerModel)
        parameters.append(surfaces.map(\.rawValue).sorted())
        parameters.append(priority)
        parameters.append(weight)
        parameters.append(source.rawValue)
    }
}

extension PutRoute {
    init(model: ProvidersFile.Model, provider: String) {
        self.init(
            model: model.id, provider: provider, providerModel: model.providerModel, surfaces: model.surfaces,
            priority: model.priority, weight: model.weight)
    }
}

struct DeleteRoutes: Statement {
    static let sql = """
        DELETE FROM route
        WHERE source <> 'admin' AND (model, provider) NOT IN (SELECT * FROM unnest($1::text[], $2::text[]))
        """
    var except: [(model: String, provider: String)]

    func bind(_ parameters: inout Parameters) {
        parameters.append(except.map(\.model))
        parameters.append(except.map(\.provider))
    }
}

/// Reads the enabled routes of enabled models, with the price in force. A price with
/// doubts that no administrator confirmed is left out.
struct EnabledRoutes: Statement {
    struct Output: Sendable {
        var route: Catalogue.UnpricedRoute
        var isProviderEnabled: Bool
        /// Nil for a route that has no price.
        var model: Catalogue.Model?
    }

    static let sql = """
        SELECT
            m.id, p.name, p.kind, p.base_url, p.api_key_variable, r.provider_model, r.surfaces, r.priority, r.weight,
            c.version, c.formula,
            c.markup_basis_points, c.credits_per_usd, c.credits_per_1k, c.minimum_charge, c.byok_fee_basis_points,
            u.names, u.tiers, u.steps, u.prices, u.flats,
            m.context_tokens, m.max_output_tokens, m.default_output_tokens, m.output_tokens_least, m.image_tokens_max, m.reasoning,
            m.output_limit_member, m.created_at, p.is_enabled
        FROM route r
        JOIN model m ON m.id = r.model
        JOIN provider p ON p.name = r.provider
        LEFT JOIN price_in_force c ON c.model = r.model AND c.provider = r.provider
        \(UnitPriceRows.join)
        WHERE r.is_enabled AND m.is_enabled
            AND (c.doubts IS NULL OR c.doubts = '{}' OR EXISTS (SELECT FROM price_confirmation WHERE version = c.version))
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output {
        let id = try row.next(String.self)
        let provider = Catalogue.Provider(
            name: try row.next(), kind: try row.next(), baseURL: try row.next(), apiKeyVariable: try row.next())
        let providerModel = try row.next(String.self)
        // A name that this version of the proxy does not know is a surface that it does not serve.
        let surfaces = Set(try row.next([String].self).compactMap(Surface.init))
        let (priority, weight) = try (row.next(Int64.self), row.next(Int64.self))
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
            route: .init(model: id, provider: provider.name), isProviderEnabled: try row.next(),
            model: price.flatMap { price in
                let sold = surfaces.filter { $0.isSold(by: price) }
                guard !sold.isEmpty else { return nil }
                return Catalogue.Model(
                    id: id, provider: provider, providerModel: providerModel, surfaces: sold, price: price, limits: limits,
                    createdAt: createdAt, priority: priority, weight: weight)
            })
    }
}
