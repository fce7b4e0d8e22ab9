import Foundation

/// TPC-B as pgbench has it: three updates, a select and an insert in one transaction of seven round trips.
struct Pgbench {
    /// Its tables stay in memory, as the ledger's do: 300 MB.
    static let scale = 20
    /// More wait for each other's branches, or find no connection.
    static let clientsMax = 64

    private let path: String
    private let url: String

    init(_ stack: BenchStack) throws {
        path = try execute("/bin/sh", ["-c", "ls /usr/lib/postgresql/*/bin/pgbench | sort -V | tail -n 1"])
            .trimmingCharacters(in: .newlines)
        url = try stack.superuserURL(database: "pgbench")
        try stack.createDatabase("pgbench")
        _ = try execute(path, ["-q", "-i", "-s", "\(Self.scale)", url])
    }

    /// - Returns: transactions a second.
    func run(clients: Int, seconds: Int) throws -> Double {
        let count = min(clients, Self.clientsMax)
        let output = try execute(path, ["-n", "-M", "prepared", "-c", "\(count)", "-j", "1", "-T", "\(seconds)", url])
        guard let line = output.split(separator: "\n").first(where: { $0.hasPrefix("tps = ") }),
            let tps = line.split(separator: " ").dropFirst(2).first.flatMap({ Double($0) })
        else { throw BenchError(description: "pgbench: \(output)") }
        return tps
    }
}
