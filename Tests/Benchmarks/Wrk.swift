import EventLoop
import Foundation

/// One run of wrk: what it prints, and what the measured process used meanwhile.
struct WrkRun {
    private var requests = 0.0
    var perSecond = 0.0
    var p50 = 0.0
    var p99 = 0.0
    var failed = 0
    var cpuMicroseconds = 0.0

    /// A request that is sent again and again.
    struct Call {
        var path = "/v1/chat/completions"
        var type = "application/json"
        var body: String
    }

    init(_ side: ProxyBench.Side, connections: Int, seconds: Int, key: String, _ call: Call) throws {
        let name = "bench-\(UUID().uuidString)"
        let (script, body) = (
            FileManager.default.temporaryDirectory.appending(path: name + ".lua"),
            FileManager.default.temporaryDirectory.appending(path: name)
        )
        defer { for file in [script, body] { try? FileManager.default.removeItem(at: file) } }
        try Data(call.body.utf8).write(to: body)
        // A provider with Anthropic's API wants a key and a version of its own.
        try """
        wrk.method = "POST"
        wrk.headers["content-type"] = "\(call.type)"
        wrk.headers["authorization"] = "Bearer \(key)"
        wrk.headers["x-api-key"] = "\(key)"
        wrk.headers["anthropic-version"] = "2023-06-01"
        wrk.body = io.open("\(body.path(percentEncoded: false))", "rb"):read("*a")
        \(Self.report)
        """.write(to: script, atomically: true, encoding: .utf8)
        let before = try ProcessStats(pid: side.pid)
        let output = try execute(
            "/usr/bin/wrk",
            ["-t1", "-c\(connections)", "-d\(seconds)s", "-s", script.path(percentEncoded: false), side.url + call.path])
        let after = try ProcessStats(pid: side.pid)
        self = try WrkRun(reading: output)
        cpuMicroseconds = Double((after.cpu - before.cpu).nanoseconds) / 1e3 / max(1, requests)
    }

    /// The end of a script: it prints the line that ``init(reading:)`` reads.
    static let report = #"""
        done = function(summary, latency)
          io.write(string.format("RESULT %d %d %f %f %d\n", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
            summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
        end
        """#

    /// Reads the output of wrk, without the CPU time of the measured process.
    init(reading output: String) throws {
        let line = output.split(separator: "\n").first { $0.hasPrefix("RESULT ") }
        let numbers = line?.split(separator: " ").dropFirst().compactMap { Double($0) } ?? []
        guard numbers.count == 5 else { throw BenchError(description: "wrk: \(output.suffix(500))") }
        requests = numbers[0]
        perSecond = numbers[0] / (numbers[1] / 1e6)
        p50 = numbers[2] / 1e3
        p99 = numbers[3] / 1e3
        failed = Int(numbers[4])
    }
}

/// Runs a program to its end; its output and errors together.
func execute(_ program: String, _ arguments: [String], environment: [String: String] = [:]) throws -> String {
    let process = Process()
    process.executableURL = URL(filePath: program)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let text = String(decoding: output, as: UTF8.self)
    guard process.terminationStatus == 0 else { throw BenchError(description: "\(program): \(text.suffix(1_000))") }
    return text
}
