import EventLoop
import Foundation
import JSON

/// Ends credentials while both proxies are under load. Measures the time until each proxy has accepted
/// the last call with them. Measures the time until a new API key works, too.
struct RevocationDelay {
    private let stack: BenchStack
    private let loop: EventLoop
    private let rounds: Int
    private let auth: ServiceClient
    private let clients: [ServiceClient]

    private static let proxies = ["llm-proxy-1", "llm-proxy-2"]
    private static let loadAccounts = 50
    private static let loadConnections = 16
    private static let newPassword = "another horse battery staple"

    private enum Change: String, CaseIterable {
        case keyCreated = "API key created"
        case keyDeleted = "API key deleted"
        case signedOut = "signed out"
        case passwordChanged = "password changed"
        case deactivatedToken = "user deactivated: access token"
        case deactivatedKey = "user deactivated: API key"
    }

    /// Milliseconds up to the last call that was accepted, or to the first with a new key.
    private struct Delay {
        /// Since the change was asked for. Not known for a new key.
        var sinceAsked: Double?
        /// Since auth answered. Zero if the last call was accepted before.
        var sinceAnswered: Double
    }

    /// The delays of each round, by proxy.
    private typealias Delays = [Change: [[Delay]]]

    init(stack: BenchStack, loop: EventLoop, rounds: Int) throws {
        (self.stack, self.loop, self.rounds) = (stack, loop, rounds)
        auth = try ServiceClient(try stack.service("auth"), on: loop)
        clients = try Self.proxies.map { try ServiceClient(try stack.service($0), on: loop) }
    }

    func run() async throws {
        print(
            """

            ### From a change to its effect in both proxies

            \(rounds) users. Each proxy is under load: wrk with \(Self.loadConnections) connections and \(Self.loadAccounts) keys of as many \
            accounts, as fast as it is answered. A client of each proxy calls with the credential again and again. Times end with the \
            answer of the last call that was accepted. They begin when the change was asked for, and when auth answered. For a new key the \
            time is that from the answer of auth to that of the first call that was accepted.

            """)
        var keys: [String] = []
        for _ in 0..<Self.loadAccounts { keys.append(try await BenchAccount.make(stack, on: loop).apiKey) }
        let loads = try Self.proxies.map {
            try WrkLoad(
                try stack.service($0) + "/v1/chat/completions", connections: Self.loadConnections, script: Self.script(keys))
        }
        try await loop.sleep(for: .seconds(2))
        var delays: Delays = [:]
        for _ in 0..<rounds { try await round(&delays) }
        report(delays)
        for (proxy, load) in zip(Self.proxies, loads) {
            let run = try WrkRun(reading: await load.end())
            print("\nLoad of \(proxy): \(rounded(run.perSecond, 0)) calls a second, p99 \(rounded(run.p99, 1)) ms, \(run.failed) failed.")
        }
    }

    private static func script(_ keys: [String]) -> String {
        """
        local keys = { \(keys.map { "\"\($0)\"" }.joined(separator: ", ")) }
        local count = 0
        wrk.method = "POST"
        wrk.headers["content-type"] = "application/json"
        wrk.body = [[{"model":"sim-fast","max_tokens":100,"messages":[{"role":"user","content":"Say something."}]}]]
        request = function()
          count = count % #keys + 1
          wrk.headers["authorization"] = "Bearer " .. keys[count]
          return wrk.format()
        end
        \(WrkRun.report)
        """
    }

    private func report(_ delays: Delays) {
        var table = Table(
            header: [
                "change", "proxy", "since asked: median ms", "longest ms", "since answered: median ms", "longest ms", "longer than 1 s",
            ])
        for change in Change.allCases {
            for (index, proxy) in Self.proxies.enumerated() {
                let delays = delays[change]?[index] ?? []
                let (asked, answered) = (delays.compactMap(\.sinceAsked), delays.map(\.sinceAnswered))
                table.rows.append([
                    change.rawValue, proxy, asked.isEmpty ? "" : rounded(asked.median, 1), asked.max().map { rounded($0, 1) } ?? "",
                    rounded(answered.median, 1), rounded(answered.max() ?? .nan, 1),
                    "\((asked.isEmpty ? answered : asked).count { $0 > 1_000 })",
                ])
            }
        }
        table.print()
    }

    // MARK: One user

    private func round(_ delays: inout Delays) async throws {
        let user = try await auth.register()
        let (second, third) = (
            try await auth.session(of: user.email, from: user.network), try await auth.session(of: user.email, from: user.network)
        )
        func note(_ change: Change, _ times: [Delay]) {
            for (index, time) in times.enumerated() {
                delays[change, default: Self.proxies.map { _ in [] }][index].append(time)
            }
        }

        let key = try await auth.ask("POST", "/api/keys", #"{"name":"bench"}"#, token: user.accessToken)
        note(.keyCreated, try await untilAccepted(try key.string("key")))
        let keyPath = try "/api/keys/" + key.string("id")
        note(
            .keyDeleted,
            try await untilRefused([try key.string("key")]) { _ = try await auth.ask("DELETE", keyPath, token: user.accessToken) }[0])
        note(.signedOut, try await untilRefused([second]) { _ = try await auth.ask("POST", "/api/auth/logout", token: second) }[0])

        let change = #"{"current_password":"\#(AuthUser.password)","new_password":"\#(Self.newPassword)"}"#
        note(
            .passwordChanged,
            try await untilRefused([third]) {
                _ = try await auth.ask("POST", "/api/auth/password/change", change, token: user.accessToken, from: user.network)
            }[0])

        let last = try await auth.session(of: user.email, Self.newPassword, from: user.network)
        let lastKey = try await auth.ask("POST", "/api/keys", #"{"name":"bench"}"#, token: last).string("key")
        let admin = try stack.admin
        let token = try await auth.session(of: admin.email, admin.password, from: ClientNetwork.next())
        let ended = try await untilRefused([last, lastKey]) {
            _ = try await auth.ask("POST", "/api/admin/users/\(user.id)/deactivate", token: token)
        }
        note(.deactivatedToken, ended[0])
        note(.deactivatedKey, ended[1])
    }

    // MARK: Calls with a credential

    /// A proxy has refused a credential for good if it has accepted none for this time.
    private static let silence = Duration.milliseconds(500)
    private static let patience = Duration.seconds(15)

    /// Calls each proxy with a new key.
    private func untilAccepted(_ key: String) async throws -> [Delay] {
        let begun = MonotonicInstant.current()
        return try await whileCalling([key]) { probes in
            try await wait("accepts a new key") { probes[0].allSatisfy { $0.firstAccepted != nil } }
            return probes[0].map { Delay(sinceAnswered: $0.firstAccepted.map { ($0 - begun).milliseconds } ?? .nan) }
        }
    }

    /// Calls each proxy with each credential, makes a change and waits until all are refused.
    /// - Returns: the delays by credential and proxy.
    private func untilRefused(_ credentials: [String], _ change: () async throws -> Void) async throws -> [[Delay]] {
        try await whileCalling(credentials) { probes in
            try await wait("accepts the credential") { probes.joined().allSatisfy { $0.accepted >= 5 } }
            let asked = MonotonicInstant.current()
            try await change()
            let answered = MonotonicInstant.current()
            try await wait("refuses the credential") {
                probes.joined().allSatisfy { $0.refused > 0 && $0.lastAccepted + Self.silence < .current() }
            }
            return probes.map { probes in
                probes.map { probe in
                    func since(_ instant: MonotonicInstant) -> Double { max(0, (probe.lastAccepted - instant).milliseconds) }
                    return Delay(sinceAsked: since(asked), sinceAnswered: since(answered))
                }
            }
        }
    }

    /// Runs a client for each credential and proxy until `body` returns.
    private func whileCalling<Value>(
        _ credentials: [String], _ body: (_ probes: [[Probe]]) async throws -> Value
    ) async throws -> Value {
        let probes = credentials.map { credential in clients.map { Probe($0, credential, loop) } }
        let running = probes.joined().map { probe in Task(executorPreference: loop) { try await probe.run() } }
        defer { for task in running { task.cancel() } }
        return try await body(probes)
    }

    private func wait(_ name: String, until isTrue: () -> Bool) async throws {
        let end = MonotonicInstant.current() + Self.patience
        while !isTrue() {
            guard MonotonicInstant.current() < end else { throw BenchError(description: "no proxy \(name) within \(Self.patience)") }
            try await loop.sleep(for: .milliseconds(10))
        }
    }
}

/// A client that calls one proxy with one credential, one call after the other.
private final class Probe: @unchecked Sendable {
    // @unchecked Sendable: confined to `loop`.
    private let client: ServiceClient
    private let credential: String
    private let loop: EventLoop
    private(set) var accepted = 0
    private(set) var refused = 0
    /// The time of the answer.
    private(set) var firstAccepted: MonotonicInstant?
    private(set) var lastAccepted = MonotonicInstant(nanoseconds: 0)

    private static let pause = Duration.milliseconds(2)

    init(_ client: ServiceClient, _ credential: String, _ loop: EventLoop) {
        (self.client, self.credential, self.loop) = (client, credential, loop)
    }

    /// Calls until it is cancelled.
    func run() async throws {
        while true {
            let answer = try await client.send("GET", "/v1/models", token: credential)
            switch answer.status {
            case 200:
                accepted += 1
                firstAccepted = firstAccepted ?? answer.answeredAt
                lastAccepted = answer.answeredAt
            case 401, 403: refused += 1
            default: break
            }
            try await loop.sleep(for: Self.pause)
        }
    }
}
