import Contracts
import Postgres
import Values

/// Reads the number of the last change.
struct ReadCatalogueVersion: Statement {
    static let sql = "SELECT version FROM catalogue_version"
    typealias Output = Int64

    func bind(_ parameters: inout Parameters) {}
}

/// Reads the number of the last change. No other change can begin until the transaction ends.
struct LockCatalogue: Statement {
    static let sql = "SELECT version FROM catalogue_version FOR UPDATE"
    typealias Output = Int64

    func bind(_ parameters: inout Parameters) {}
}

/// Reads whether the catalogue was ever announced. No other change can begin until the transaction ends.
struct LockAnnouncement: Statement {
    static let sql = "SELECT is_announced FROM catalogue_version FOR UPDATE"
    typealias Output = Bool
}

/// Counts a change, which the caller announces.
struct CountCatalogueChange: Statement {
    static let sql = """
        UPDATE catalogue_version
        SET version = version + 1, changed_at = now(), is_announced = true
        RETURNING version, changed_at
        """
    struct Output: Sendable {
        var version: Int64
        var changedAt: Instant
    }

    func bind(_ parameters: inout Parameters) {}

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Output {
        Output(version: try row.next(), changedAt: try row.next())
    }
}

/// Reads all packages in the order of their sizes.
struct ReadPackages: Statement {
    static let sql = """
        SELECT id, name, credits, bonus, price_cents, is_popular, is_active
        FROM package
        ORDER BY credits, id
        """

    func bind(_ parameters: inout Parameters) {}

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Package {
        Package(
            id: Package.ID(text: try row.next()), name: try row.next(), credits: try row.next(), bonus: try row.next(),
            priceCents: try row.next(), isPopular: try row.next(), isActive: try row.next())
    }
}

/// Adds a plan, or replaces the one with its id.
struct PutPlan: Statement {
    static let sql = """
        INSERT INTO plan (
            id, name, position, monthly_credits, features, is_popular, is_active,
            endpoints, requests_per_minute, tokens_per_minute, concurrency, priority)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        ON CONFLICT (id) DO UPDATE
        SET name = excluded.name, position = excluded.position, monthly_credits = excluded.monthly_credits,
            features = excluded.features, is_popular = excluded.is_popular, is_active = excluded.is_active,
            endpoints = excluded.endpoints, requests_per_minute = excluded.requests_per_minute,
            tokens_per_minute = excluded.tokens_per_minute, concurrency = excluded.concurrency, priority = excluded.priority
        """
    var plan: Plan

    func bind(_ parameters: inout Parameters) {
        parameters.append(plan.id.text)
        parameters.append(plan.name)
        parameters.append(plan.position)
        parameters.append(plan.monthlyCredits.nano / Credits.nanoPerCredit)
        parameters.append(plan.features)
        parameters.append(plan.isPopular)
        parameters.append(plan.isActive)
        parameters.append(plan.limits.endpoints)
        parameters.append(plan.limits.requestsPerMinute)
        parameters.append(plan.limits.tokensPerMinute)
        parameters.append(plan.limits.concurrency)
        parameters.append(plan.limits.priority)
    }
}

/// Switches packages off. Two packages can then swap their sizes one after the other.
struct SwitchOffPackages: Statement {
    static let sql = "UPDATE package SET is_active = false WHERE id = ANY($1)"
    var ids: [Package.ID]

    func bind(_ parameters: inout Parameters) { parameters.append(ids.map(\.text)) }
}

/// Adds packages, or replaces those with their ids.
struct PutPackages: Statement {
    static let sql = """
        INSERT INTO package (id, name, credits, bonus, price_cents, is_popular, is_active)
        SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (id) DO UPDATE
        SET name = excluded.name, credits = excluded.credits, bonus = excluded.bonus, price_cents = excluded.price_cents,
            is_popular = excluded.is_popular, is_active = excluded.is_active
        """
    var packages: [Package]

    func bind(_ parameters: inout Parameters) {
        parameters.append(packages.map(\.id.text))
        parameters.append(packages.map(\.name))
        parameters.append(packages.map(\.credits))
        parameters.append(packages.map(\.bonus))
        parameters.append(packages.map(\.priceCents))
        parameters.append(packages.map(\.isPopular))
        parameters.append(packages.map(\.isActive))
    }
}
