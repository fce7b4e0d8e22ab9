import EventLoop
import Foundation
import TestSupport
import Testing

/// The simulator through the `stripe` package of PyPI, unchanged. Each line of the program's output
/// is a case.
@Suite(.timeLimit(.minutes(10)))
struct StripeSimulatorTests {
    @Test func `the stripe package reads every object and meets every fault`() async throws {
        let environment = try await Self.makeEnvironment()
        let run = try await Self.execute(environment + "/bin/python", [Self.path(of: "stripe_package.py")])
        #expect(run.status == 0, "\(run.output)")
        #expect(run.output.contains("the stripe package is content"))
    }

    // MARK: Python

    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()

    /// The path of a file next to this one.
    private static func path(of file: String) -> String { folder.appending(path: file).path(percentEncoded: false) }

    /// Makes a virtual environment with the versions that requirements.txt lists. A changed list makes
    /// a new one.
    /// - Returns: its folder.
    private static func makeEnvironment() async throws -> String {
        let environment = TestDatabase.packageRoot + "/.build/stripe-package"
        let installed = URL(filePath: environment + "/installed.txt")
        let wanted = try Data(contentsOf: folder.appending(path: "requirements.txt"))
        guard (try? Data(contentsOf: installed)) != wanted else { return environment }
        for (program, arguments) in [
            ("/usr/bin/python3", ["-m", "venv", "--clear", environment]),
            (environment + "/bin/pip", ["install", "--quiet", "-r", path(of: "requirements.txt")]),
        ] {
            let run = try await execute(program, arguments)
            guard run.status == 0 else {
                throw ChildProcess.Failure(description: "\(program) \(arguments): \(run.output.suffix(2_000))")
            }
        }
        try wanted.write(to: installed)
        return environment
    }

    /// Runs a program on a thread of its own, to its end.
    private static func execute(_ program: String, _ arguments: [String]) async throws -> (status: Int32, output: String) {
        try await withCheckedThrowingContinuation { continuation in
            spawnThread(name: "process") {
                continuation.resume(
                    with: Result {
                        let log = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
                        defer { try? FileManager.default.removeItem(at: log) }
                        let variables = ProcessInfo.processInfo.environment.merging(["PYTHONDONTWRITEBYTECODE": "1"]) { $1 }
                        let child = try ChildProcess(
                            program, arguments, environment: variables, output: log.path(percentEncoded: false))
                        let status = child.wait()
                        return (status >> 8 & 0xFF, try String(contentsOf: log, encoding: .utf8))
                    })
            }
        }
    }
}
