import FoundationEssentials

/// Brings a schema to the state that its numbered files describe: `NNNN_name.sql`, forward only, each in a transaction of its own.
///
/// `schema_migration` records each applied file with its SHA-256. Replicas that start together wait for each other on an advisory
/// lock, for an hour at most, so each file runs once. A file cannot hold what refuses to run in a transaction (`CREATE INDEX CONCURRENTLY`).
package struct Migrator {
    private let pool: PostgresPool

    package init(pool: PostgresPool) { self.pool = pool }

    private struct File {
        let name: String
        let text: String
    }

    /// Applies what is missing from `directories`, the first directory first, into `schema`, which is made when it is not there.
    ///
    /// Names must differ between the directories: the name is a migration's identity.
    /// - Returns: the names applied by this call.
    /// - Throws: `migrationRefused`, naming the file, when an applied one was changed, is gone, or would get a predecessor.
    @discardableResult
    package func migrate(directories: [String], schema: String) async throws -> [String] {
        let sets = try directories.map(Self.files)
        let names = sets.joined().map(\.name)
        if let twice = Dictionary(grouping: names, by: { $0 }).first(where: { $0.value.count > 1 }) {
            throw PostgresError(.migrationRefused, "\(twice.key) is in two directories")
        }
        return try await pool.withConnection { connection in
            try await prepare(schema, on: connection)
            var applied: [String] = []
            for set in sets {
                for index in set.indices {
                    let file = set[index]
                    let isNew = try await connection.transaction { transaction in
                        // First, because the lock waits for the migrations of another replica.
                        try await transaction.execute(LimitStatements(within: Self.statementWithin))
                        try await transaction.script(Self.opening(schema))
                        let known = try await transaction.query(AppliedMigrations())
                        if let gone = known.first(where: { !names.contains($0.name) }) {
                            throw PostgresError(.migrationRefused, "\(gone.name) was applied and its file is gone")
                        }
                        let checksum = try await transaction.one(Checksum(text: file.text))
                        if let applied = known.first(where: { $0.name == file.name }) {
                            guard applied.checksum == checksum else {
                                throw PostgresError(
                                    .migrationRefused,
                                    "\(file.name) was changed after it was applied; restore the file, or delete the data of a local stack "
                                        + "with `make clean`")
                            }
                            return false
                        }
                        if let later = set[index...].first(where: { file in known.contains { $0.name == file.name } }) {
                            throw PostgresError(.migrationRefused, "\(file.name) is new and \(later.name) was applied already")
                        }
                        do {
                            try await transaction.script(file.text)
                        } catch var error as PostgresError {
                            error.statement = file.name
                            throw error
                        }
                        try await transaction.execute(RecordMigration(name: file.name, checksum: checksum))
                        return true
                    }
                    if isNew { applied.append(file.name) }
                }
            }
            return applied
        }
    }

    private func prepare(_ schema: String, on connection: PostgresConnection) async throws {
        try await connection.transaction { transaction in
            try await transaction.execute(LimitStatements(within: Self.statementWithin))
            // Two CREATE IF NOT EXISTS at once fail on the catalogue's unique index, hence the lock. A service's role owns a schema
            // and may not make any: CREATE SCHEMA IF NOT EXISTS would be refused even where the schema exists.
            try await transaction.script(
                """
                SELECT pg_advisory_xact_lock(hashtext('schema_migration'));
                DO $migrator$ BEGIN
                    IF to_regnamespace('\(Self.quoted(schema).replacing("'", with: "''"))') IS NULL THEN
                        CREATE SCHEMA \(Self.quoted(schema));
                    END IF;
                END $migrator$;
                CREATE TABLE IF NOT EXISTS \(Self.quoted(schema)).schema_migration (
                    name       text        PRIMARY KEY,
                    checksum   bytea       NOT NULL,
                    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
                );
                """)
        }
    }

    /// The time for one statement of a migration, such as an index over a large table, and for the
    /// migration of another replica.
    private static let statementWithin = Duration.seconds(3_600)

    private static func opening(_ schema: String) -> String {
        """
        SELECT pg_advisory_xact_lock(hashtext('schema_migration'));
        SET LOCAL search_path TO \(quoted(schema)), public;
        """
    }

    private static func quoted(_ name: String) -> String { "\"" + name.replacing("\"", with: "\"\"") + "\"" }

    private static func files(in directory: String) throws -> [File] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".sql") }.sorted()
        } catch {
            throw PostgresError(.migrationRefused, "cannot read the directory \(directory)", cause: error)
        }
        return try names.map { name in
            guard name.prefix(4).allSatisfy({ "0"..."9" ~= $0 }), name.dropFirst(4).first == "_" else {
                throw PostgresError(.migrationRefused, "\(name) is not named NNNN_name.sql")
            }
            guard let data = FileManager.default.contents(atPath: "\(directory)/\(name)"),
                let text = String(validating: data, as: UTF8.self)
            else { throw PostgresError(.migrationRefused, "cannot read \(name) as UTF-8") }
            return File(name: name, text: text)
        }
    }
}

private struct AppliedMigrations: Statement {
    struct Row {
        let name: String
        let checksum: [UInt8]
    }

    static let sql = "SELECT name, checksum FROM schema_migration"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Row {
        Row(name: try row.next(), checksum: try row.next())
    }
}

private struct Checksum: Statement {
    typealias Output = [UInt8]
    let text: String

    static let sql = "SELECT sha256($1)"
    func bind(_ parameters: inout Parameters) { parameters.append(Array(text.utf8)) }
}

private struct RecordMigration: Statement {
    let name: String
    let checksum: [UInt8]

    static let sql = "INSERT INTO schema_migration (name, checksum) VALUES ($1, $2)"

    func bind(_ parameters: inout Parameters) {
        parameters.append(name)
        parameters.append(checksum)
    }
}
