import Contracts
import EventLoop
import Foundation
import HTTPWire
import UpstreamClient

/// The proxy (key check, hold, metering, durable charge) next to nginx as a plain reverse proxy: the same client, the same provider
/// simulator, turn by turn.
struct ProxyBench {
    let stack: BenchStack
    let loop: EventLoop

    static let repetitions = 3
    static let seconds = 4

    struct Side {
        var name: String
        var url: String
        var pid: Int32
    }

    func run() async throws {
        let account = try await BenchAccount.make(stack, on: loop)
        let nginx = try PlainNginx(upstream: try stack.simulator)
        defer { nginx.stop() }
        try await nginx.started(on: loop)
        let sides = [
            Side(name: "llm-proxy", url: try stack.service("llm-proxy-1"), pid: try stack.pid("llm-proxy-1")),
            Side(name: "nginx", url: nginx.url, pid: try nginx.workerPID()),
        ]
        print("Machine: \(ProcessInfo.processInfo.activeProcessorCount) cores; client, proxies, provider, broker and database share them.")
        print("Medians of \(Self.repetitions) alternating runs of \(Self.seconds) s; ratio = llm-proxy / nginx.\n")
        try await unary(sides, account)
        try await streams(sides, account)
        try await surfaces(sides, account)
    }

    // MARK: Unary

    /// About 2 KB, as a short conversation is.
    static let unaryBody =
        #"{"model":"sim-fast","max_tokens":250,"messages":[{"role":"user","content":"\#(String(repeating: "lorem ipsum ", count: 160))"}]}"#

    private func unary(_ sides: [Side], _ account: BenchAccount) async throws {
        print("Unary calls, `sim-fast`, wrk with one thread:\n")
        var table = Table(header: [
            "connections", "llm-proxy req/s", "nginx req/s", "ratio", "p50 ms", "nginx p50", "p99 ms", "nginx p99", "CPU µs/req",
            "nginx CPU", "CPU ratio",
        ])
        for connections in [1, 16, 64] {
            var runs: [String: [WrkRun]] = [:]
            for _ in 0..<Self.repetitions {
                for side in sides {
                    runs[side.name, default: []].append(
                        try WrkRun(side, connections: connections, seconds: Self.seconds, key: account.apiKey, .init(body: Self.unaryBody)))
                    try await Backlog(stack).drained(on: loop)
                }
            }
            let ours = runs["llm-proxy"] ?? [], theirs = runs["nginx"] ?? []
            func median(_ runs: [WrkRun], _ value: (WrkRun) -> Double) -> Double { runs.map(value).median }
            let rate = (median(ours, \.perSecond), median(theirs, \.perSecond))
            let cpu = (median(ours, \.cpuMicroseconds), median(theirs, \.cpuMicroseconds))
            table.rows.append([
                "\(connections)", rounded(rate.0, 0), rounded(rate.1, 0), rounded(rate.0 / rate.1),
                rounded(median(ours, \.p50)), rounded(median(theirs, \.p50)), rounded(median(ours, \.p99)), rounded(median(theirs, \.p99)),
                rounded(cpu.0, 1), rounded(cpu.1, 1), rounded(cpu.0 / cpu.1),
            ])
            let failed = ours.map(\.failed).reduce(0, +)
            if failed > 0 { print("llm-proxy: \(failed) answers were not 2xx at \(connections) connections\n") }
        }
        table.print()
    }

    // MARK: Surfaces

    private struct SurfaceCall {
        var name: String
        var call: WrkRun.Call
        var connections = 16
    }

    /// A form with a file of 100 KB.
    private static func form(_ path: String, _ texts: [(name: String, text: String)], file: String) -> WrkRun.Call {
        var body = texts.map { "--bench\r\nContent-Disposition: form-data; name=\"\($0.name)\"\r\n\r\n\($0.text)\r\n" }.joined()
        body += "--bench\r\nContent-Disposition: form-data; name=\"\(file)\"; filename=\"a\"\r\n\r\n"
        body += String(repeating: "x", count: 100_000) + "\r\n--bench--\r\n"
        return WrkRun.Call(path: path, type: "multipart/form-data; boundary=bench", body: body)
    }

    private static let surfaceCalls = [
        SurfaceCall(name: "responses", call: .init(path: "/v1/responses", body: #"{"model":"sim-fast","input":"Say something."}"#)),
        SurfaceCall(
            name: "messages, of Anthropic",
            call: .init(
                path: "/v1/messages",
                body: #"{"model":"sim-claude","max_tokens":250,"messages":[{"role":"user","content":"Say something."}]}"#)
        ),
        SurfaceCall(
            name: "messages, translated",
            call: .init(
                path: "/v1/messages",
                body: #"{"model":"sim-fast","max_tokens":250,"messages":[{"role":"user","content":"Say something."}]}"#)),
        SurfaceCall(name: "completions", call: .init(path: "/v1/completions", body: #"{"model":"sim-fast","prompt":"Say something."}"#)),
        SurfaceCall(name: "embeddings", call: .init(path: "/v1/embeddings", body: #"{"model":"sim-embed","input":["a text","another"]}"#)),
        SurfaceCall(name: "images", call: .init(path: "/v1/images/generations", body: #"{"model":"sim-picture","prompt":"a point"}"#)),
        SurfaceCall(
            name: "image edits, 100 KB", call: form("/v1/images/edits", [("model", "sim-picture"), ("prompt", "a point")], file: "image")),
        SurfaceCall(
            name: "speech, 1 s of 16 KB",
            call: .init(path: "/v1/audio/speech", body: #"{"model":"sim-voice","input":"Some words","voice":"alloy"}"#)),
        SurfaceCall(name: "transcriptions, 100 KB", call: form("/v1/audio/transcriptions", [("model", "sim-scribe")], file: "file")),
        // Each order makes a job, which the proxy follows.
        SurfaceCall(name: "videos", call: .init(path: "/v1/videos", body: #"{"model":"sim-video","prompt":"a cat"}"#), connections: 1),
    ]

    private func surfaces(_ sides: [Side], _ account: BenchAccount) async throws {
        print("\nA call of each other surface, wrk with one thread:\n")
        var table = Table(header: [
            "surface", "connections", "llm-proxy req/s", "nginx req/s", "ratio", "p50 ms", "nginx p50", "CPU µs/req", "nginx CPU",
            "CPU ratio",
            "failed",
        ])
        for surface in Self.surfaceCalls {
            var runs: [[WrkRun]] = [[], []]
            for _ in 0..<Self.repetitions {
                for (index, side) in sides.enumerated() {
                    // The provider has no model of that name.
                    var call = surface.call
                    if index == 1 { call.body = call.body.replacing("sim-claude", with: "sim-fast") }
                    runs[index].append(
                        try WrkRun(side, connections: surface.connections, seconds: Self.seconds / 2, key: account.apiKey, call))
                    try await Backlog(stack).drained(on: loop)
                }
            }
            func median(_ side: Int, _ value: (WrkRun) -> Double) -> Double { runs[side].map(value).median }
            table.rows.append([
                surface.name, "\(surface.connections)", rounded(median(0, \.perSecond), 0), rounded(median(1, \.perSecond), 0),
                rounded(median(0, \.perSecond) / median(1, \.perSecond)), rounded(median(0, \.p50)), rounded(median(1, \.p50)),
                rounded(median(0, \.cpuMicroseconds), 1), rounded(median(1, \.cpuMicroseconds), 1),
                rounded(median(0, \.cpuMicroseconds) / median(1, \.cpuMicroseconds)), "\(runs[0].map(\.failed).reduce(0, +))",
            ])
        }
        table.print()
    }

    // MARK: Streams

    private func streams(_ sides: [Side], _ account: BenchAccount) async throws {
        print("\nStreams; \"paced\" is 20 chunks a second each:\n")
        var table = Table(header: [
            "streams", "side", "chunks/s", "first chunk p50 ms", "p99", "longest gap p99 ms", "CPU µs/chunk", "memory KB/stream", "failed",
        ])
        var ratios: [String] = []
        for (model, count, label) in [("sim-burst", 16, "16 unpaced"), ("sim-paced", 100, "100 paced"), ("sim-paced", 500, "500 paced")] {
            var results: [String: [StreamLoad.Result]] = [:]
            for _ in 0..<Self.repetitions {
                for side in sides {
                    results[side.name, default: []].append(
                        try await Self.load(side, account, model: model, on: loop).run(
                            count, for: .seconds(Self.seconds), measuring: side.pid))
                    try await Backlog(stack).drained(on: loop)
                }
            }
            func median(_ side: String, _ value: (StreamLoad.Result) -> Double) -> Double { (results[side] ?? []).map(value).median }
            // The first run grows the process, later ones find the memory there: the most is what a stream takes.
            func memory(_ side: String) -> Double { (results[side] ?? []).map(\.kilobytesPerStream).max() ?? .nan }
            for side in sides {
                table.rows.append([
                    label, side.name, rounded(median(side.name) { Double($0.chunks) / $0.seconds }, 0),
                    rounded(median(side.name) { $0.first.median }), rounded(median(side.name) { $0.first.percentile(99) }),
                    rounded(median(side.name) { $0.gapMax.percentile(99) }, 1), rounded(median(side.name, \.cpuPerChunk), 1),
                    rounded(memory(side.name), 1),
                    "\((results[side.name] ?? []).map(\.failed).reduce(0, +))",
                ])
            }
            let chunks = { (side: String) in median(side) { Double($0.chunks) / $0.seconds } }
            ratios.append(
                "\(label): chunks/s \(rounded(chunks("llm-proxy") / chunks("nginx"))), CPU a chunk "
                    + "\(rounded(median("llm-proxy", \.cpuPerChunk) / median("nginx", \.cpuPerChunk))), memory a stream "
                    + (memory("nginx") < 1 ? "not measurable" : rounded(memory("llm-proxy") / memory("nginx"))))
        }
        table.print()
        print("\nRatios, llm-proxy / nginx: \(ratios.joined(separator: "; ")).")
    }

    static func load(_ side: Side, _ account: BenchAccount, model: String, on loop: EventLoop) throws -> StreamLoad {
        guard let origin = Origin(side.url) else { throw BenchError(description: "address \(side.url)") }
        var headers: HeaderBlock = ["content-type": "application/json"]
        headers.add("authorization", "Bearer " + account.apiKey)
        let body = #"{"model":"\#(model)","stream":true,"max_tokens":200,"messages":[{"role":"user","content":"Say something."}]}"#
        return StreamLoad(loop: loop, origin: origin, headers: headers, body: Array(body.utf8))
    }
}
