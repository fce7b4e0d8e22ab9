import Contracts
import Foundation
import HTTPClient
import JSON
import Testing

extension SystemTests {
    /// The official `openai` package from PyPI, unchanged, against the edge.
    struct SDKTests {
        @Test(arguments: ["access token", "API key"])
        func `the openai package works unchanged, unary and streaming`(credential: String) async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                var secret = account.token
                if credential == "API key" {
                    let made = try await gateway.post("/api/keys", token: account.token, #"{"name":"sdk test"}"#)
                    try gateway.expect(made, 201)
                    secret = try JSONObject(made.body).string("key")
                }
                let environment = try await Self.pythonEnvironment(gateway.stack)
                let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "openai_sdk.py")
                let run = try await Stack.execute(
                    environment + "/bin/python", [script.path(percentEncoded: false)],
                    environment: ["OPENAI_BASE_URL": try gateway.stack.edge + "/v1", "OPENAI_API_KEY": secret])
                #expect(run.status == 0, "\(run.output)")
                #expect(run.output.contains("the SDK is content"))
            }
        }

        /// A virtual environment with the package, made once.
        private static func pythonEnvironment(_ stack: Stack) async throws -> String { try await making.value }

        private static let making = Task {
            let folder = FileManager.default.temporaryDirectory.appending(path: "smartspec-openai-sdk").path(percentEncoded: false)
            if !FileManager.default.fileExists(atPath: folder + "/ready") {
                for (program, arguments) in [
                    ("/usr/bin/python3", ["-m", "venv", folder]), (folder + "/bin/pip", ["install", "--quiet", "openai"]),
                ] {
                    let run = try await Stack.execute(program, arguments)
                    guard run.status == 0 else { throw Stack.Failure(description: "\(program) \(arguments): \(run.output.suffix(2_000))") }
                }
                try Data().write(to: URL(filePath: folder + "/ready"))
            }
            return folder
        }
    }
}
