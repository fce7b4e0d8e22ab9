import Postgres

/// A provider as an administrator sees it.
struct ListedProvider: Hashable, Sendable {
    var name: String
    var kind: String
    var baseURL: String
    var isEnabled: Bool
    /// The models that it can sell, those that are switched off among them.
    var models: [String]
}

/// The use cases of administrators: they list providers, and switch them.
struct ProviderAdministration: Sendable {
    let pool: PostgresPool
    /// The providers whose key is set.
    let configured: Set<String>

    func list() async throws -> [ListedProvider] {
        try await Task(executorPreference: pool.loop) { try await pool.query(ListProviders()) }.value
    }

    /// Switches a provider. Every replica follows within a second. Idempotent.
    /// - Returns: the provider as it is now, and whether it was changed. Nil for an unknown name.
    func put(_ name: String, isEnabled: Bool) async throws -> (provider: ListedProvider, isChanged: Bool)? {
        try await Task(executorPreference: pool.loop) {
            try await pool.transaction { transaction in
                _ = try await transaction.query(LockCatalogue())
                let changed = try await transaction.execute(SwitchProvider(name: name, isEnabled: isEnabled))
                return try await transaction.query(ListProviders()).first { $0.name == name }.map { ($0, changed > 0) }
            }
        }.value
    }
}

struct ListProviders: Statement {
    static let sql = """
        SELECT p.name, p.kind, p.base_url, p.is_enabled, coalesce(array_agg(r.model ORDER BY r.model) FILTER (WHERE r.model IS NOT NULL), '{}')
        FROM provider p
        LEFT JOIN route r ON r.provider = p.name
        GROUP BY p.name
        ORDER BY p.name
        """

    static func decode(_ row: inout RowReader) throws(PostgresError) -> ListedProvider {
        ListedProvider(
            name: try row.next(), kind: try row.next(), baseURL: try row.next(), isEnabled: try row.next(), models: try row.next())
    }
}

struct SwitchProvider: Statement {
    static let sql = "UPDATE provider SET is_enabled = $2 WHERE name = $1 AND is_enabled <> $2"
    var name: String
    var isEnabled: Bool

    func bind(_ parameters: inout Parameters) {
        parameters.append(name)
        parameters.append(isEnabled)
    }
}
