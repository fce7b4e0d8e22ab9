import Contracts
import Postgres
import Values

/// The columns of ``StoredPrice``, of a price `c`.
private enum PriceColumns {
    static let list = """
        c.version, c.formula, c.markup_basis_points, c.credits_per_usd, c.credits_per_1k, c.minimum_charge, c.byok_fee_basis_points,
            u.names, u.tiers, u.steps, u.prices, u.flats, c.source, c.source_date::text, c.doubts, f.confirmed_at, c.effective_at
        """

    static let joins = """
        \(UnitPriceRows.join)
        LEFT JOIN price_confirmation f ON f.version = c.version
        """

    static func read(_ row: inout RowReader, model: String, provider: String) throws(PostgresError) -> StoredPrice? {
        let price = try PriceVersion.read(&row)
        let (source, sourceDate) = try (row.next(String?.self), row.next(String?.self))
        let doubts = try row.next([String]?.self)
        let (confirmedAt, effectiveAt) = try (row.next(Instant?.self), row.next(Instant?.self))
        guard let price, let source, let doubts, let effectiveAt else { return nil }
        return StoredPrice(
            model: model, provider: provider, price: price, source: source, sourceDate: sourceDate, doubts: doubts,
            confirmedAt: confirmedAt,
            effectiveAt: effectiveAt)
    }
}

/// Reads all models, or one, at each of their providers, with the price in force.
struct ListModels: Statement {
    struct Output: Sendable {
        var id: String
        var provider: String
        var source: String
        var surfaces: Set<Surface>
        var isEnabled: Bool
        var isRouteEnabled: Bool
        var isProviderEnabled: Bool
        var next: (version: Int64, effectiveAt: Instant)?
        var price: StoredPrice?
    }

    static let sql = """
        SELECT m.id, r.provider, r.source, r.surfaces, m.is_enabled, r.is_enabled, p.is_enabled, n.version, n.effective_at, \(PriceColumns.list)
        FROM route r
        JOIN model m ON m.id = r.model
        JOIN provider p ON p.name = r.provider
        LEFT JOIN price_in_force c ON c.model = r.model AND c.provider = r.provider
        \(PriceColumns.joins)
        LEFT JOIN LATERAL (
            SELECT version, effective_at
            FROM price
            WHERE model = r.model AND provider = r.provider AND effective_at > statement_timestamp()
            ORDER BY effective_at, version DESC
            LIMIT 1
        ) n ON true
        WHERE $1::text IS NULL OR m.id = $1
        ORDER BY m.id, r.provider
        """
    /// Nil: all.
    var model: String?

    func bind(_ parameters: inout Parameters) { parameters.append(model) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output {
        let (id, provider, source) = try (row.next(String.self), row.next(String.self), row.next(String.self))
        let surfaces = Set(try row.next([String].self).compactMap(Surface.init))
        let (isEnabled, isRouteEnabled, isProviderEnabled) = try (row.next(Bool.self), row.next(Bool.self), row.next(Bool.self))
        let (version, effectiveAt) = try (row.next(Int64?.self), row.next(Instant?.self))
        var next: (Int64, Instant)?
        if let version, let effectiveAt { next = (version, effectiveAt) }
        return Output(
            id: id, provider: provider, source: source, surfaces: surfaces, isEnabled: isEnabled, isRouteEnabled: isRouteEnabled,
            isProviderEnabled: isProviderEnabled, next: next, price: try PriceColumns.read(&row, model: id, provider: provider))
    }
}

/// Reads a version, or without one the version of a route that is in force at a time.
struct FindPrice: Statement {
    static let sql = """
        SELECT c.model, c.provider, \(PriceColumns.list)
        FROM price c
        \(PriceColumns.joins)
        WHERE c.version = coalesce(
            $1,
            (
                SELECT version
                FROM price
                WHERE model = $2 AND provider = $3 AND effective_at <= coalesce($4, statement_timestamp())
                ORDER BY effective_at DESC, version DESC
                LIMIT 1
            ))
        """
    var version: Int64?
    var model: String?
    var provider: String?
    /// Nil: now.
    var time: Instant?

    init(version: Int64?, inForceFor price: NewPrice? = nil) {
        (self.version, model, provider, time) = (version, price?.model, price?.provider, price?.effectiveAt)
    }

    func bind(_ parameters: inout Parameters) {
        parameters.append(version)
        parameters.append(model)
        parameters.append(provider)
        parameters.append(time)
    }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> StoredPrice? {
        let (model, provider) = try (row.next(String.self), row.next(String.self))
        return try PriceColumns.read(&row, model: model, provider: provider)
    }
}

/// Confirms a version with doubts. A confirmed one stays as it is.
struct ConfirmPrice: Statement {
    static let sql = """
        INSERT INTO price_confirmation (version, confirmed_by)
        SELECT version, $2
        FROM price
        WHERE version = $1 AND doubts <> '{}'
        ON CONFLICT ON CONSTRAINT price_confirmation_once DO NOTHING
        """
    var version: Int64
    var by: UserID

    func bind(_ parameters: inout Parameters) {
        parameters.append(version)
        parameters.append(by)
    }
}

/// Switches a model at all its providers.
struct SwitchModel: Statement {
    static let sql = "UPDATE model SET is_enabled = $2 WHERE id = $1 AND is_enabled <> $2"
    var model: String
    var isEnabled: Bool

    func bind(_ parameters: inout Parameters) {
        parameters.append(model)
        parameters.append(isEnabled)
    }
}

/// Switches on the routes of a model that served what has no price.
struct SwitchOnRoutes: Statement {
    static let sql = "UPDATE route SET is_enabled = true WHERE model = $1 AND NOT is_enabled"
    var model: String

    func bind(_ parameters: inout Parameters) { parameters.append(model) }
}
