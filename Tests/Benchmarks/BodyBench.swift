import EventLoop
import Foundation
import HTTPWire
import Synchronization
import UpstreamClient

/// Sends bodies of 15 MiB to the proxy, and short requests on another connection of the same loop
/// meanwhile. The longest answer to a short request is the stall: the time for which the body
/// stopped the loop.
struct BodyBench {
    let stack: BenchStack
    let loop: EventLoop

    static let repetitions = 9
    static let bodyBytes = 15 << 20

    /// A request body under the name that the table gives it.
    struct Body {
        var name: String
        var bytes: [UInt8]

        /// - Parameter unit: repeated between `start` and `end` until the body has its size.
        init(_ name: String, _ start: String, _ unit: (Int) -> String, _ end: String) {
            self.name = name
            bytes = Array(start.utf8)
            bytes.reserveCapacity(BodyBench.bodyBytes)
            var index = 0
            while bytes.count < BodyBench.bodyBytes - 64 {
                bytes.append(contentsOf: unit(index).utf8)
                index += 1
            }
            bytes.append(contentsOf: end.utf8)
        }
    }

    private static func bodies() -> [Body] {
        let model = #""model":"sim-fast","max_tokens":1"#
        let message = #"{\#(model),"messages":[{"role":"user","content":"#
        return [
            Body("plain text", message + #"""#, { _ in "lorem ipsum dolor sit amet " }, #""}]}"#),
            Body("a million members", "{\(model)", { #","a\#($0)":0"# }, "}"),
            Body("a million members in a message", message + #""""#, { #","a\#($0)":0"# }, "}]}"),
            Body("millions of quotes", message + #"[""#, { _ in #"",""# }, #""]}]}"#),
            Body("a million empty messages", #"{\#(model),"messages":[{}"#, { _ in ",{}" }, "]}"),
            Body("millions of escaped quotes", message + #"""#, { _ in #"\""# }, #""}]}"#),
            Body("millions of escaped letters", message + #"""#, { _ in #"\u0e01"# }, #""}]}"#),
        ]
    }

    func run() async throws {
        let account = try await BenchAccount.make(stack, on: loop)
        guard let origin = Origin(try stack.service("llm-proxy-1")) else { throw BenchError(description: "no address of llm-proxy-1") }
        var headers: HeaderBlock = ["content-type": "application/json"]
        headers.add("authorization", "Bearer " + account.apiKey)
        let pool = try UpstreamPool(loop: loop, origin: origin)
        defer { pool.close() }
        let pinger = try await Pinger(origin)
        defer { pinger.stop() }
        let bodies = Self.bodies()
        var stalls: [[Double]] = Array(repeating: [], count: bodies.count)
        var took = stalls
        var statuses = Array(repeating: 0, count: bodies.count)
        print("Machine: \(ProcessInfo.processInfo.activeProcessorCount) cores; client, proxy, provider and broker share them.")
        print("Medians of \(Self.repetitions) alternating runs; bodies of 15 MiB, one loop; ratio = stall / stall of plain text.\n")
        for _ in 0..<Self.repetitions {
            for (index, body) in bodies.enumerated() {
                try await loop.sleep(for: .milliseconds(200))
                pinger.forget()
                let start = MonotonicInstant.current()
                let call = pool.begin(method: "POST", target: Array("/v1/chat/completions".utf8), headers: headers, body: body.bytes)
                try await call.head()
                _ = try await call.collect(upTo: 1 << 20)
                took[index].append((MonotonicInstant.current() - start).milliseconds)
                try await loop.sleep(for: .milliseconds(50))
                guard pinger.longest > .zero else { throw BenchError(description: "llm-proxy-1 does not answer /livez") }
                stalls[index].append(pinger.longest.milliseconds)
                statuses[index] = call.status
            }
        }
        var table = Table(header: ["body", "status", "stall ms", "ratio", "worst ms", "answer ms"])
        for (index, body) in bodies.enumerated() {
            table.rows.append([
                body.name, "\(statuses[index])", rounded(stalls[index].median, 1), rounded(stalls[index].median / stalls[0].median),
                rounded(stalls[index].max() ?? .nan, 1), rounded(took[index].median, 0),
            ])
        }
        table.print()
    }
}

/// Asks `/livez` without a pause on one connection, from a thread of its own, and keeps the longest
/// answer.
private final class Pinger: Sendable {
    private let state = Mutex((longest: Duration.zero, isStopped: false))

    init(_ origin: Origin) async throws {
        let loop = EventLoop.spawn(name: "pinger")
        let pool = try await Task(executorPreference: loop) { try UpstreamPool(loop: loop, origin: origin) }.value
        Task(executorPreference: loop) { [self] in
            while !state.withLock({ $0.isStopped }) {
                let start = MonotonicInstant.current()
                let call = pool.begin(method: "GET", target: Array("/livez".utf8), headers: [:], body: [])
                try await call.head()
                _ = try await call.collect(upTo: 1_024)
                let took = MonotonicInstant.current() - start
                state.withLock { $0.longest = max($0.longest, took) }
            }
            pool.close()
        }
    }

    var longest: Duration { state.withLock { $0.longest } }
    func forget() { state.withLock { $0.longest = .zero } }
    func stop() { state.withLock { $0.isStopped = true } }
}
