import Contracts
import Foundation
import HTTPClient
import JSON
import TestSupport
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
                let environment = try await Self.pythonEnvironment.value
                let script = Self.folder.appending(path: "openai_sdk.py")
                let run = try await Stack.execute(
                    environment + "/bin/python", [script.path(percentEncoded: false)],
                    environment: ["OPENAI_BASE_URL": try gateway.stack.edge + "/v1", "OPENAI_API_KEY": secret])
                #expect(run.status == 0, "\(run.output)")
                #expect(run.output.contains("the SDK is content"))
            }
        }

        private static let folder = URL(filePath: #filePath).deletingLastPathComponent()

        /// A virtual environment of this checkout with the versions of `openai_sdk.txt`. A changed
        /// version makes a new one.
        private static let pythonEnvironment = Task {
            let requirements = folder.appending(path: "openai_sdk.txt")
            let environment = TestDatabase.packageRoot + "/.build/openai-sdk"
            let installed = URL(filePath: environment + "/installed.txt")
            let wanted = try Data(contentsOf: requirements)
            if (try? Data(contentsOf: installed)) != wanted {
                for (program, arguments) in [
                    ("/usr/bin/python3", ["-m", "venv", "--clear", environment]),
                    (environment + "/bin/pip", ["install", "--quiet", "-r", requirements.path(percentEncoded: false)]),
                ] {
                    let run = try await Stack.execute(program, arguments)
                    guard run.status == 0 else { throw Stack.Failure(description: "\(program) \(arguments): \(run.output.suffix(2_000))") }
                }
                try wanted.write(to: installed)
            }
            return environment
        }
    }
}
