import HTTPClient
import Synchronization
import Testing
import Values

extension SystemTests {
    /// Restarts of a proxy under load. nginx skips a proxy that refuses connections.
    struct RestartTests {
        private static let clients = 12
        private static let restarts = 3

        /// A proxy that dies breaks off the calls that it runs, at most one of each client. nginx sends a call that has left
        /// to no second proxy. Every other call is served by the proxy that runs.
        @Test func `three kills and starts of a proxy under twelve clients end only the calls that it ran`() async throws {
            let tally = try await Self.restart { try await $0.kill(.proxy1) }
            #expect(tally.statuses.isSubset(of: [200, 502, 503]), "\(tally)")
            #expect(tally.count { $0 != 200 } <= Self.clients * Self.restarts, "\(tally)")
        }

        /// A proxy that is told to stop answers what is on its way to it.
        @Test func `three orderly stops and starts of a proxy under twelve clients end no call early`() async throws {
            let tally = try await Self.restart { try await $0.stop(.proxy1) }
            #expect(tally.statuses == [200], "\(tally)")
        }

        /// Ends and starts a proxy under load.
        private static func restart(ending end: @escaping @Sendable (Stack) async throws -> Void) async throws -> StatusTally {
            try await Gateway.run { gateway in
                let account = try await gateway.register(credits: Credits(whole: 1_000))
                let tally = StatusTally()
                async let calls: [Void] = gateway.concurrently(clients) {
                    while !tally.isEnough {
                        tally.add(try await gateway.chat(account, model: "sim-fast", maxTokens: 1).status)
                    }
                }
                func served(_ count: Int) async throws {
                    let enough = tally.count(of: 200) + count
                    try await gateway.until("\(count) more calls are served", within: .seconds(60)) { tally.count(of: 200) >= enough }
                }
                do {
                    for _ in 0..<restarts {
                        try await served(100)
                        try await end(gateway.stack)
                        try await served(100)
                        try await gateway.stack.start(.proxy1)
                    }
                    try await served(200)
                } catch {
                    tally.finish()
                    _ = try? await calls
                    throw error
                }
                tally.finish()
                _ = try await calls
                return tally
            }
        }

        /// Counts the answers by status.
        private final class StatusTally: Sendable, CustomStringConvertible {
            private let state = Mutex((counts: [Int: Int](), isEnough: false))

            var isEnough: Bool { state.withLock(\.isEnough) }
            func finish() { state.withLock { $0.isEnough = true } }
            func add(_ status: Int) { state.withLock { $0.counts[status, default: 0] += 1 } }
            var statuses: Set<Int> { state.withLock { Set($0.counts.keys) } }
            func count(of status: Int) -> Int { state.withLock { $0.counts[status] ?? 0 } }
            func count(_ isCounted: (Int) -> Bool) -> Int {
                state.withLock { state in state.counts.filter { isCounted($0.key) }.values.reduce(0, +) }
            }
            var description: String {
                let counts = state.withLock(\.counts)
                return counts.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
            }
        }
    }
}
