import EventLoop
import Foundation
import HTTPWire
import UpstreamClient

/// The llm-proxy of another commit next to this one's: two whole stacks, the same client, turn by turn.
///
/// | variable | default | |
/// |---|---|---|
/// | `BENCH_SECONDS` | `4` | of one run |
/// | `BENCH_REPETITIONS` | `7` | alternating runs a figure is the median of |
struct VersionBench {
    let now: BenchStack
    let other: BenchStack
    let loop: EventLoop

    private struct Side {
        var stack: BenchStack
        var proxy: ProxyBench.Side
        var account: BenchAccount

        init(_ name: String, _ stack: BenchStack, on loop: EventLoop) async throws {
            self.stack = stack
            proxy = ProxyBench.Side(name: name, url: try stack.service("llm-proxy-1"), pid: try stack.pid("llm-proxy-1"))
            account = try await BenchAccount.make(stack, on: loop)
        }
    }

    /// The figures of a run: the proxy's CPU time a call or chunk in µs, and how many of them a second.
    private typealias Figures = (cpu: Double, perSecond: Double)

    func run() async throws {
        let seconds = try BenchSetting.number("BENCH_SECONDS", 4)
        let repetitions = try BenchSetting.number("BENCH_REPETITIONS", 7)
        let sides = [try await Side("now", now, on: loop), try await Side("other", other, on: loop)]
        print("The llm-proxy of this commit next to the other commit's, both with their whole stacks on this machine.")
        print("Medians of \(repetitions) alternating runs of \(seconds) s; ratio = now / other, with the least and the most of a round.\n")
        var table = Table(header: ["load", "now CPU µs", "other CPU µs", "ratio", "rounds", "now per s", "other per s", "ratio"])
        for connections in [1, 16, 64] {
            table.rows.append(
                try await row("\(connections) connections, a call", sides, repetitions) { side in
                    let run = try WrkRun(
                        side.proxy, connections: connections, seconds: seconds, key: side.account.apiKey, .init(body: ProxyBench.unaryBody))
                    guard run.failed == 0 else { throw BenchError(description: "\(run.failed) answers of \(side.proxy.name) were not 2xx") }
                    return (run.cpuMicroseconds, run.perSecond)
                })
        }
        for (model, count, label) in [("sim-burst", 16, "16 streams unpaced"), ("sim-paced", 500, "500 streams paced")] {
            table.rows.append(
                try await row("\(label), a chunk", sides, repetitions) { side in
                    let load = try ProxyBench.load(side.proxy, side.account, model: model, on: loop)
                    let run = try await load.run(count, for: .seconds(seconds), measuring: side.proxy.pid)
                    guard run.failed == 0 else { throw BenchError(description: "\(run.failed) streams of \(side.proxy.name) failed") }
                    return (run.cpuPerChunk, Double(run.chunks) / run.seconds)
                })
        }
        table.print()
    }

    /// Runs `measure` on both sides in turn; the side that begins changes with each round.
    private func row(
        _ label: String, _ sides: [Side], _ repetitions: Int, _ measure: (Side) async throws -> Figures
    ) async throws -> [String] {
        var runs: [[Figures]] = [[], []]
        for round in 0..<repetitions {
            for index in round.isMultiple(of: 2) ? [0, 1] : [1, 0] {
                runs[index].append(try await measure(sides[index]))
                try await Backlog(sides[index].stack).drained(on: loop)
            }
        }
        let cpu = runs.map { $0.map(\.cpu).median }, perSecond = runs.map { $0.map(\.perSecond).median }
        let ratios = zip(runs[0], runs[1]).map { $0.cpu / $1.cpu }
        return [
            label, rounded(cpu[0], 2), rounded(cpu[1], 2), rounded(cpu[0] / cpu[1]),
            "\(rounded(ratios.min() ?? .nan)) to \(rounded(ratios.max() ?? .nan))",
            rounded(perSecond[0], 0), rounded(perSecond[1], 0), rounded(perSecond[0] / perSecond[1]),
        ]
    }
}
