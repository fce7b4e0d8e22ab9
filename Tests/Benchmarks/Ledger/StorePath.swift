import Foundation
import JSON

/// The database path in a process of its own, like pgbench: `ledger-store-load` on a database
/// without other users.
struct StorePath {
    private let program: String
    private let url: String

    init(_ stack: BenchStack, accounts: Int) throws {
        program = Bundle.main.executableURL.map { $0.deletingLastPathComponent().path(percentEncoded: false) + "/ledger-store-load" } ?? ""
        url = try stack.superuserURL(database: "ledger_store")
        try stack.createDatabase("ledger_store")
        _ = try execute(program, ["prepare", url, "Shared/Outbox/Migrations:Services/ledger/Migrations", "\(accounts)"])
    }

    func run(accounts: Int, callers: Int, seconds: Int) throws -> PathResult {
        try result(of: ["seconds", url, "\(accounts)", "\(callers)", "\(seconds)"])
    }

    func run(accounts: Int, callers: Int, operations: Int) throws -> PathResult {
        try result(of: ["operations", url, "\(accounts)", "\(callers)", "\(operations)"])
    }

    private func result(of arguments: [String]) throws -> PathResult {
        let json = try JSONObject(Array(execute(program, arguments).utf8))
        var result = PathResult()
        result.operations = Int(try json.integer("operations"))
        result.operationsInAll = Int(try json.integer("operations_in_all"))
        result.refused = Int(try json.integer("refused"))
        result.seconds = Double(try json.integer("microseconds")) / 1e6
        result.batches = Int(try json.integer("batches"))
        result.batchSeconds = Double(try json.integer("batch_microseconds")) / 1e6
        result.cpuMicroseconds = Double(try json.integer("cpu_microseconds"))
        return result
    }

    /// - Parameter tidied: after a VACUUM and a checkpoint.
    func diskUse(tidied: Bool = true) throws -> DiskUse {
        if tidied { _ = try query(url, "VACUUM", "CHECKPOINT") }
        return try DiskUse(url)
    }
}

/// The size of the ledger's tables, and the WAL since the server's start.
struct DiskUse {
    static let tables = ["journal", "open_hold", "account", "usage_quarter", "credit_grant"]

    /// With indexes, of a partitioned table all partitions.
    var tables: [String: Int] = [:]
    var wal = 0
    var fullPages = 0

    init(_ url: String) throws {
        for table in Self.tables {
            let size = "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('ledger.\(table)')"
            tables[table] = Int(try query(url, size)) ?? 0
        }
        wal = Int(try query(url, "SELECT pg_current_wal_insert_lsn() - '0/0'")) ?? 0
        fullPages = Int(try query(url, "SELECT wal_fpi FROM pg_stat_wal")) ?? 0
    }
}
