import EventLoop
import Foundation

/// Measures auth, and the check of credentials in other services. Each part prints its own table.
///
/// | variable | default | |
/// |---|---|---|
/// | `BENCH_PARTS` | all | names of ``Part``, separated by commas |
/// | `BENCH_GUESS_SECONDS` | `60` | the length of the guessing, at one guess a second |
/// | `BENCH_FLOODS` | `5` | floods of 10,000 registrations, and pauses between them |
/// | `BENCH_SECONDS` | `4` | the length of one run of ``Part/rates`` |
/// | `BENCH_REPETITIONS` | `3` | alternating runs that a figure is the median of |
/// | `BENCH_TRIES` | `1000` | sign-ins of each group of ``Part/timing`` |
/// | `BENCH_ROUNDS` | `20` | users of ``Part/revocation`` |
/// | `BENCH_KEYS` | `100000` | API keys of ``Part/memory`` |
/// | `TEST_SEED` | drawn | the order of the sign-ins of ``Part/timing`` |
struct AuthBench {
    enum Part: String, CaseIterable {
        case flood, guessing, rates, timing, revocation, verification, memory
    }

    let stack: BenchStack
    let loop: EventLoop
    private let parts: [Part]

    init(stack: BenchStack, loop: EventLoop) throws {
        (self.stack, self.loop) = (stack, loop)
        parts =
            try ProcessInfo.processInfo.environment["BENCH_PARTS"]?.split(separator: ",").map { name in
                guard let part = Part(rawValue: String(name)) else { throw BenchError(description: "BENCH_PARTS: no part '\(name)'") }
                return part
            } ?? Part.allCases
    }

    func run() async throws {
        try Machine(stack).describe()
        let repetitions = try BenchSetting.number("BENCH_REPETITIONS", 3)
        for part in parts {
            switch part {
            case .flood:
                try await RegistrationFlood(stack: stack, loop: loop, rounds: try BenchSetting.number("BENCH_FLOODS", 5)).run()
            case .guessing:
                try await Guessing(stack: stack, loop: loop, seconds: try BenchSetting.number("BENCH_GUESS_SECONDS", 60)).run()
            case .rates:
                try await AuthRates(
                    stack: stack, loop: loop, limit: .seconds(try BenchSetting.number("BENCH_SECONDS", 4)), repetitions: repetitions
                ).run()
            case .timing:
                try await SignInTiming(stack: stack, loop: loop, tries: try BenchSetting.number("BENCH_TRIES", 1_000)).run()
            case .revocation:
                try await RevocationDelay(stack: stack, loop: loop, rounds: try BenchSetting.number("BENCH_ROUNDS", 20)).run()
            case .verification: try await Verifications(repetitions: repetitions).run()
            case .memory:
                try await KeyMemory(stack: stack, loop: loop, count: try BenchSetting.number("BENCH_KEYS", 100_000), restarts: repetitions)
                    .run()
            }
        }
    }
}

extension BenchStack {
    /// The variables that `stack.sh` of the benchmarks gives to every service.
    func variables() throws -> [String] {
        try String(contentsOfFile: folder + "local.env", encoding: .utf8).split(separator: "\n").map(String.init)
    }

    /// Restarts a service, and waits until it is ready.
    /// - Parameter variables: of the service. The file keeps them for the next start.
    /// - Returns: the stack with the new process.
    func restart(_ component: String, _ variables: [String]) async throws -> BenchStack {
        try (variables.joined(separator: "\n") + "\n").write(toFile: folder + "local.env", atomically: true, encoding: .utf8)
        _ = try await executeAside("/bin/bash", ["deploy/local/stack.sh", "restart", component])
        return try BenchStack(folder + "stack.json")
    }
}
