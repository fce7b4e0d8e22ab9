import Foundation
import TestSupport
import Testing

/// The parsers of JSON and of event streams, next to parsers of others.
struct DifferentialTests {
    /// `make differential` runs millions.
    @Test func `scanner, splicer and event parser agree with Python's json and httpx-sse`() async throws {
        let environment = try await PythonEnvironment.make("differential", requirements: "requirements.txt")
        let run = try await ChildProcess.run(
            environment + "/bin/python",
            [
                PythonEnvironment.path(of: "differential.py"), try ChildProcess.built("parser-probe"), "scanner=20000", "splicer=10000",
                "events=10000",
            ],
            environment: ["SEED": "\(drawSeed())", "PYTHONDONTWRITEBYTECODE": "1"])
        #expect(run.status == 0, "\(run.output)")
        #expect(run.output.components(separatedBy: "none differs").count == 4, "\(run.output)")
    }
}
