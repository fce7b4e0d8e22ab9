import Crypto
import EventLoop
import JSON
import Synchronization

/// Sign-ins, refreshes and registrations a second. Sign-ins are compared with bare computations of
/// Argon2id on as many threads.
struct AuthRates {
    let stack: BenchStack
    let loop: EventLoop
    let limit: Duration
    let repetitions: Int

    private static let callers = 16
    private static let threads = [1, 2, 4]

    func run() async throws {
        print(
            """

            ### Sign-ins, refreshes and registrations

            \(Self.callers) callers, each with a user and a network of its own, as fast as they are answered; auth's own port. Bare Argon2id \
            runs in the benchmark's process on as many threads. Medians of \(repetitions) alternating runs of \
            \(rounded(limit / .seconds(1), 0)) s.

            """)
        let variables = try stack.variables()
        let users = try await ServiceClient(try stack.service("auth"), on: loop).register(Self.callers)
        var rows = Self.threads.map { Row("sign-in", threads: $0) } + [Row("refresh"), Row("registration", threads: 1)]
        for _ in 0..<repetitions {
            for (index, threads) in Self.threads.enumerated() {
                _ = try await stack.restart("auth", variables + ["HASH_THREADS=\(threads)"])
                rows[index].bare.append(try await bareHashes(threads))
                rows[index].runs.append(try await logins(users))
            }
            _ = try await stack.restart("auth", variables)
            rows[rows.count - 2].runs.append(try await refreshes(users))
            rows[rows.count - 1].bare.append(try await bareHashes(1))
            rows[rows.count - 1].runs.append(try await registrations())
        }
        report(rows)
    }

    private struct Row {
        var operation: String
        /// The threads of auth that hash its passwords; nil if it needs no hash.
        var threads: Int?
        var runs: [ClosedLoad.Result] = []
        var bare: [Double] = []

        init(_ operation: String, threads: Int? = nil) { (self.operation, self.threads) = (operation, threads) }
    }

    private func report(_ rows: [Row]) {
        var table = Table(header: ["operation", "hash threads", "a second", "bare Argon2id", "ratio", "p50 ms", "p99 ms", "failed"])
        for row in rows {
            let rate = row.runs.map(\.perSecond).median
            table.rows.append([
                row.operation, row.threads.map { "\($0)" } ?? "", rounded(rate, 1), row.bare.isEmpty ? "" : rounded(row.bare.median, 1),
                row.bare.isEmpty ? "" : rounded(rate / row.bare.median), rounded(row.runs.map(\.milliseconds.median).median, 1),
                rounded(row.runs.map { $0.milliseconds.percentile(99) }.median, 1), "\(row.runs.map(\.failed).reduce(0, +))",
            ])
        }
        table.print()
    }

    private var load: ClosedLoad { ClosedLoad(callers: Self.callers, limit: limit) }

    private func logins(_ users: [AuthUser]) async throws -> ClosedLoad.Result {
        let client = try ServiceClient(try stack.service("auth"), on: loop)
        return try await load.run { caller in try await client.login(users[caller].email, from: users[caller].network) }
    }

    /// Refreshes sessions, each with the token of its last refresh.
    private func refreshes(_ users: [AuthUser]) async throws -> ClosedLoad.Result {
        let client = try ServiceClient(try stack.service("auth"), on: loop)
        var first: [String] = []
        for user in users {
            first.append(
                try await client.ask("POST", "/api/auth/login", AuthUser.credentials(user.email), from: user.network).string(
                    "refresh_token"))
        }
        let tokens = Mutex(first)
        return try await load.run { caller in
            let token = tokens.withLock { $0[caller] }
            let answer = try await client.send(
                "POST", "/api/auth/refresh", #"{"refresh_token":"\#(token)"}"#, from: users[caller].network)
            if answer.status == 200 {
                let next = try JSONObject(answer.body).string("refresh_token")
                tokens.withLock { $0[caller] = next }
            }
            return answer
        }
    }

    private func registrations() async throws -> ClosedLoad.Result {
        let client = try ServiceClient(try stack.service("auth"), on: loop)
        return try await load.run { _ in
            try await client.send(
                "POST", "/api/auth/register", AuthUser.credentials(AuthUser.newAddress()),
                from: ClientNetwork.next())
        }
    }

    // MARK: Argon2id alone

    /// Returns the passwords that so many threads verify in a second.
    private func bareHashes(_ threads: Int) async throws -> Double {
        let hashing = PasswordHashing.standard
        let password = Array(AuthUser.password.utf8)
        guard let hash = hashing.hash(password) else { throw BenchError(description: "not enough memory for one password hash") }
        let end = MonotonicInstant.current() + limit
        let sum = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<threads {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        spawnThread(name: "argon2") {
                            var count = 0
                            while MonotonicInstant.current() < end, hashing.verify(password, against: hash) { count += 1 }
                            continuation.resume(returning: count)
                        }
                    }
                }
            }
            return await group.reduce(0, +)
        }
        return Double(sum) / (limit / .seconds(1))
    }
}
