import EventLoop
import HTTPWire
import UpstreamClient

/// Many event streams at once over one loop; what their readers see.
struct StreamLoad {
    let loop: EventLoop
    let origin: Origin
    let headers: HeaderBlock
    let body: [UInt8]

    struct Result {
        var chunks = 0
        var finished = 0
        var failed = 0
        var failure: UpstreamError?
        /// Milliseconds from request to first event, one a stream.
        var first: [Double] = []
        /// The longest silence of each stream, in milliseconds.
        var gapMax: [Double] = []
        /// The process's memory while all streams ran, minus before, a stream.
        var kilobytesPerStream = 0.0
        var cpuPerChunk = 0.0
        var seconds = 0.0
    }

    /// Opens `count` streams and, until `limit` has passed, a new one for each that ends; then leaves those that still run.
    func run(_ count: Int, for limit: Duration, measuring pid: Int32) async throws -> Result {
        var configuration = UpstreamPool.Configuration()
        configuration.connectionsMax = count
        configuration.idleMax = 0
        let pool = try UpstreamPool(loop: loop, origin: origin, configuration: configuration)
        defer { pool.close() }
        let state = State()
        let before = try ProcessStats(pid: pid)
        let start = MonotonicInstant.current()
        let deadline = start + limit
        loop.schedule(after: limit / 2) { state.memory = (try? ProcessStats(pid: pid).residentKB) ?? 0 }
        loop.schedule(after: limit) { for call in state.running.values { call.cancel() } }
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<count {
                group.addTask { while MonotonicInstant.current() < deadline { await one(pool, state) } }
            }
        }
        let after = try ProcessStats(pid: pid)
        var result = state.result
        result.seconds = Double((MonotonicInstant.current() - start).nanoseconds) / 1e9
        result.cpuPerChunk = Double((after.cpu - before.cpu).nanoseconds) / 1_000 / Double(max(1, result.chunks))
        result.kilobytesPerStream = Double(state.memory - before.residentKB) / Double(count)
        return result
    }

    /// Opens `count` streams and waits for the end of each.
    func runOnce(_ count: Int, within limit: Duration) async throws -> Result {
        var configuration = UpstreamPool.Configuration()
        configuration.connectionsMax = count
        let pool = try UpstreamPool(loop: loop, origin: origin, configuration: configuration)
        defer { pool.close() }
        let state = State()
        let patience = loop.schedule(after: limit) { for call in state.running.values { call.cancel() } }
        defer { loop.cancel(patience) }
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<count { group.addTask { await one(pool, state) } }
        }
        return state.result
    }

    /// Confined to the loop.
    private final class State: @unchecked Sendable {
        // @unchecked Sendable: every stream runs on the one loop.
        var result = Result()
        var running: [ObjectIdentifier: UpstreamResponse] = [:]
        var memory = 0
    }

    private func one(_ pool: UpstreamPool, _ state: State) async {
        let begun = MonotonicInstant.current()
        let call = pool.begin(method: "POST", target: Array("/v1/chat/completions".utf8), headers: headers, body: body)
        state.running[ObjectIdentifier(call)] = call
        defer { state.running[ObjectIdentifier(call)] = nil }
        var last = begun
        var gap = 0.0
        var hasBegun = false
        do {
            try await call.head()
            try await call.pipe { bytes in
                let now = MonotonicInstant.current()
                if hasBegun {
                    gap = max(gap, (now - last).milliseconds)
                } else {
                    state.result.first.append((now - begun).milliseconds)
                }
                (hasBegun, last) = (true, now)
                // Each event ends with an empty line.
                state.result.chunks += bytes.count { $0 == 0x0A } / 2
            }
            if call.status == 200 { state.result.finished += 1 } else { state.result.failed += 1 }
        } catch {
            if error.code != .cancelled {
                state.result.failed += 1
                state.result.failure = error
            }
        }
        if gap > 0 { state.result.gapMax.append(gap) }
    }
}
