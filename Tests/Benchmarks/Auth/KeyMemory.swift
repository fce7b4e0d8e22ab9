import Crypto
import EventLoop
import Foundation
import Identity
import Values

/// The memory of a proxy that knows many API keys: the table of the keys that exist, and then the
/// answers of auth about each.
struct KeyMemory {
    let stack: BenchStack
    let loop: EventLoop
    let count: Int
    /// The starts of the proxy that a figure is the median of.
    let restarts: Int

    private static let proxy = "llm-proxy-1"
    private static let keysOfUser = 10

    func run() async throws {
        print(
            """

            ### API keys in a proxy's memory

            Resident memory of a proxy that has just started and answered calls of one key, medians of \(restarts) starts: without the \
            \(count) keys, with them in the table, and after one call with each.

            """)
        let account = try await BenchAccount.make(stack, on: loop)
        let without = try await started(account).map(\.kilobytes)
        let keys = try insertKeys()
        let loaded = try await started(account)
        guard let pid = loaded.last?.pid else { return }
        let (answered, perSecond) = try await useAll(keys, pid)
        let (table, answers) = (loaded.map(\.kilobytes).median - without.median, answered - (loaded.last?.kilobytes ?? .nan))
        var rows = Table(header: ["the proxy knows", "resident MB", "growth MB", "bytes a key"])
        func row(_ name: String, _ kilobytes: Double, _ growth: Double) -> [String] {
            [name, rounded(kilobytes / 1_024, 1), rounded(growth / 1_024, 1), rounded(growth * 1_024 / Double(count), 0)]
        }
        rows.rows = [
            ["no key of them", rounded(without.median / 1_024, 1), "", ""],
            row("all keys in the table", loaded.map(\.kilobytes).median, table),
            row("and an answer about each", answered, answers),
        ]
        rows.print()
        print("\nFirst calls with a key, 64 at a time: \(rounded(perSecond, 0)) a second, each with a question to auth.")
    }

    // MARK: The proxy

    /// Starts the proxy again and again.
    /// - Returns: its process and its memory after each start.
    private func started(_ account: BenchAccount) async throws -> [(pid: Int32, kilobytes: Double)] {
        var starts: [(pid: Int32, kilobytes: Double)] = []
        for _ in 0..<restarts {
            let pid = try await stack.restart(Self.proxy, try stack.variables()).pid(Self.proxy)
            let client = try ServiceClient(try stack.service(Self.proxy), on: loop)
            let load = try await ClosedLoad(callers: 64, limit: .seconds(3)).run { _ in
                try await client.send("GET", "/v1/models", token: account.apiKey)
            }
            guard load.failed == 0 else { throw BenchError(description: "\(load.failed) calls of a good key failed") }
            starts.append((pid, try await steadyMemory(of: pid)))
        }
        return starts
    }

    /// Waits until the memory has not changed for two seconds.
    private func steadyMemory(of pid: Int32) async throws -> Double {
        var (kilobytes, unchanged) = (0, 0)
        for _ in 0..<300 {
            let now = try ProcessStats(pid: pid).residentKB
            unchanged = abs(now - kilobytes) < 64 ? unchanged + 1 : 0
            kilobytes = now
            if unchanged == 20 { return Double(now) }
            try await loop.sleep(for: .milliseconds(100))
        }
        throw BenchError(description: "the memory of \(Self.proxy) does not settle")
    }

    /// Calls once with each key.
    private func useAll(_ keys: [String], _ pid: Int32) async throws -> (kilobytes: Double, perSecond: Double) {
        let client = try ServiceClient(try stack.service(Self.proxy), on: loop)
        let turns = Turns(keys.count)
        let begun = MonotonicInstant.current()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<64 {
                group.addTask {
                    while let index = turns.next() { _ = try await client.ask("GET", "/v1/models", token: keys[index]) }
                }
            }
            try await group.waitForAll()
        }
        let seconds = (MonotonicInstant.current() - begun) / .seconds(1)
        return (try await steadyMemory(of: pid), Double(keys.count) / seconds)
    }

    // MARK: The keys

    /// Writes users and keys into the tables of auth: over the API each key would cost an event.
    /// - Returns: the texts of the keys.
    private func insertKeys() throws -> [String] {
        var users = ""
        var rows = ""
        var texts: [String] = []
        var user = ""
        for index in 0..<count {
            if index % Self.keysOfUser == 0 {
                user = UserID.make().description
                users += "\(user),keys-\(user)@example.com,user,free,now\n"
            }
            let (key, text) = APIKey.make()
            texts.append(text)
            let scopes = #""{credits,llm,models,profile,storage}""#
            rows += "\(key.id.rawValue),\(user),\\x\(key.secretDigest.hexadecimal),\(key.last4),bench,\(scopes),now,\(user)\n"
        }
        try copy(users, into: "auth.users (id, email, role, plan, created_at)")
        try copy(rows, into: "auth.api_key (id, user_id, secret_sha256, last4, name, scopes, created_at, created_by_session)")
        return texts
    }

    private func copy(_ rows: String, into table: String) throws {
        let path = stack.folder + "rows.csv"
        try rows.write(toFile: path, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        _ = try query(try stack.superuserURL(database: "smartspec"), "\\copy \(table) FROM '\(path)' WITH (FORMAT csv)")
    }
}
