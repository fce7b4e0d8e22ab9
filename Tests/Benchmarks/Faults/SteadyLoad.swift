import Contracts
import EventLoop
import Foundation
import HTTPWire
import UpstreamClient

/// Sends chat calls at a fixed rate over both proxies in turn, whether or not earlier calls were
/// answered.
final class SteadyLoad: @unchecked Sendable {
    // @unchecked Sendable: confined to `loop`.

    struct Sample {
        var sent: MonotonicInstant
        var milliseconds: Double
        /// The status of the answer; zero if no answer came.
        var status: Int
        var account: Int

        var answered: MonotonicInstant { sent + .microseconds(Int64(milliseconds * 1_000)) }
    }

    /// The answered calls, in the order of their answers.
    private(set) var samples: [Sample] = []

    private let loop: EventLoop
    private let pools: [UpstreamPool]
    private let accounts: [BenchAccount]
    private let perSecond: Int
    private var running = 0
    private var isStopped = true
    private var sent = 0

    private static let tick = Duration.milliseconds(10)
    private static let runningMax = 4_000
    private static let body =
        Array(#"{"model":"sim-fast","max_tokens":100,"messages":[{"role":"user","content":"Say something."}]}"#.utf8)

    init(_ stack: BenchStack, accounts: [BenchAccount], perSecond: Int, on loop: EventLoop) throws {
        (self.loop, self.accounts, self.perSecond) = (loop, accounts, perSecond)
        pools = try ["llm-proxy-1", "llm-proxy-2"].map { name in
            guard let origin = Origin(try stack.service(name)) else { throw BenchError(description: "the address of \(name)") }
            var configuration = UpstreamPool.Configuration()
            configuration.waitingMax = Self.runningMax
            return try UpstreamPool(loop: loop, origin: origin, configuration: configuration)
        }
    }

    /// Runs until `body` returns, and then until every call is answered.
    func during<Value>(_ body: () async throws -> Value) async throws -> Value {
        isStopped = false
        next(due: 0, begun: .current())
        defer { isStopped = true }
        let value = try await body()
        isStopped = true
        while running > 0 { try await loop.sleep(for: .milliseconds(20)) }
        return value
    }

    func clear() { samples.removeAll() }

    private func next(due: Double, begun: MonotonicInstant) {
        guard !isStopped else { return }
        let passed = Double((MonotonicInstant.current() - begun).nanoseconds) / 1e9
        let until = passed * Double(perSecond)
        var calls = due
        while calls < until {
            if running < Self.runningMax {
                running += 1
                let number = sent
                sent += 1
                Task(executorPreference: loop) { await self.call(number) }
            }
            calls += 1
        }
        loop.schedule(after: Self.tick) { self.next(due: calls, begun: begun) }
    }

    private func call(_ number: Int) async {
        let account = number / pools.count % accounts.count
        var headers: HeaderBlock = ["content-type": "application/json"]
        headers.add("authorization", "Bearer " + accounts[account].apiKey)
        let begun = MonotonicInstant.current()
        var status = 0
        do {
            let answer = try await pools[number % pools.count].send(
                method: "POST", target: Array("/v1/chat/completions".utf8), headers: headers, body: Self.body)
            _ = try await answer.collect(upTo: 1 << 20)
            status = answer.status
        } catch {
            status = 0
        }
        running -= 1
        let took = MonotonicInstant.current() - begun
        samples.append(Sample(sent: begun, milliseconds: took.milliseconds, status: status, account: account))
    }
}

/// The answers that the clients got in one phase of a run.
struct Phase {
    static let header = ["phase", "calls", "200", "503", "other", "p50 ms", "p99 ms", "longest ms"]

    var name: String
    var samples: [SteadyLoad.Sample]

    var row: [String] {
        let times = samples.map(\.milliseconds)
        let served = samples.count { $0.status == 200 }
        let refused = samples.count { $0.status == 503 }
        return [
            name, "\(samples.count)", "\(served)", "\(refused)", "\(samples.count - served - refused)", rounded(times.percentile(50), 1),
            rounded(times.percentile(99), 1), rounded(times.max() ?? .nan, 0),
        ]
    }
}
