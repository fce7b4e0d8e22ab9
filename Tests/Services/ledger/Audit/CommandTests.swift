import Glibc
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Ledger

/// The executable itself, as an operator runs it.
@Suite(.database(schema: "ledger", migrations: "Shared/Outbox/Migrations", "Services/ledger/Migrations"), .serialized)
struct CommandTests {
    @Test func `ledger audit says by its status whether the ledger is consistent`() async throws {
        try await withLedgers { ledgers in
            let people = try await People(in: ledgers[0])
            for arguments in [["audit"], ["audit", "--all"]] {
                let clean = try LedgerProcess(arguments).end()
                #expect(clean.status == 0)
                #expect(clean.output.hasSuffix("consistent\n"))
            }

            try await ledgers[0].pool.withConnection {
                try await $0.script("UPDATE account SET posted = posted + 1 WHERE account_id = '\(people.caller)'")
            }
            let damaged = try LedgerProcess("audit").end()
            #expect(damaged.status == 1)
            #expect(damaged.output.contains("account: account \(people.caller), seq 8: account has seq 8"))
            let json = try LedgerProcess("audit", "--json").end()
            #expect(json.status == 1)
            let report = try JSONObject(Array(json.output.utf8))
            #expect(try report.bool("consistent") == false)
            #expect(try report.array("findings").first?.object?.string("account_id") == people.caller.description)
            #expect(try await Auditor(pool: ledgers[0].pool, log: silent).last()?.audit.findings.count == 1)

            try await ledgers[0].pool.withConnection {
                try await $0.script("UPDATE account SET posted = posted - 1 WHERE account_id = '\(people.caller)'")
            }
        }
    }

    @Test func `ledger audit prints a clean result also if the opening cannot be moved`() async throws {
        try await withLedgers { ledgers in
            try await ledgers[0].pool.script("ALTER FUNCTION journal_start() RENAME TO renamed")
            let clean = try LedgerProcess("audit").end()
            try await ledgers[0].pool.script("ALTER FUNCTION renamed() RENAME TO journal_start")
            #expect(clean.status == 0)
            #expect(clean.output.hasSuffix("consistent\n"))
        }
    }

    @Test func `an audit that could not be run has a status of its own`() throws {
        #expect(try LedgerProcess("audit", database: nil).end() == (2, "ledger: DATABASE_URL is not set\n"))
        #expect(try LedgerProcess("audit", database: "postgresql://nobody@127.0.0.1:1/nowhere").end().status == 2)
        #expect(try LedgerProcess("audit", environment: ["LOG_LEVEL": "loud"]).end().status == 2)
        #expect(try LedgerProcess("audit", "--jsn").end().status == 64)
        #expect(try LedgerProcess("audit", "--all", "--all").end().status == 64)
    }

    @Test func `ledger detach-month reports whether the month can be detached, and why not`() throws {
        let now = JournalMonth(of: Instant.now())
        // A fresh journal begins with the month before this one.
        let first = JournalMonth(index: now.index - 1)
        #expect(
            try LedgerProcess("detach-month", "2020-01", "--dry-run").end() == (1, "refused: the journal begins with \(first)\n"))
        #expect(
            try LedgerProcess("detach-month", first.description).end() == (1, "refused: the running month and the 2 before it stay\n"))
        for arguments in [[], ["2020-13"], ["2020-01", "--dry"], ["January"]] {
            #expect(try LedgerProcess(["detach-month"] + arguments).end().status == 64, "\(arguments)")
        }
    }
}

/// Standard error comes with standard output, but without its log lines.
struct LedgerProcess {
    private let child: ChildProcess
    private let path: String

    init(_ arguments: String..., database: String? = TestDatabase.current.ledgerURL, environment: [String: String] = [:]) throws {
        try self.init(arguments, database: database, environment: environment)
    }

    init(_ arguments: [String], database: String? = TestDatabase.current.ledgerURL, environment: [String: String] = [:]) throws {
        let bundle = try #require(CommandLine.arguments.first { $0.contains(".xctest") })
        let folder = bundle.split(separator: "/", omittingEmptySubsequences: false).prefix { !$0.contains(".xctest") }.joined(
            separator: "/")
        path = "/tmp/ledger-\(ChargeID.make()).out"
        var environment = environment
        environment["DATABASE_URL"] = database
        child = try ChildProcess(folder + "/ledger", arguments, environment: environment, output: path)
    }

    func end() throws -> (status: Int32, output: String) {
        let status = child.wait()
        let file = try #require(fopen(path, "r"))
        defer {
            fclose(file)
            unlink(path)
        }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").filter { !$0.hasPrefix(#"{"time""#) }
        return (status >> 8 & 0xff, lines.map { $0 + "\n" }.joined())
    }
}

extension TestDatabase {
    /// The URL for a process, which does not have the test's search path.
    var ledgerURL: String { url + (url.contains("?") ? "&" : "?") + "options=-csearch_path%3D\(schema)" }
}
