import Contracts
import HTTPClient
import JSON
import TestSupport
import Testing
import Values

extension SystemTests {
    /// The official `openai` and `anthropic` packages from PyPI, unchanged, against the edge.
    struct SDKTests {
        @Test(arguments: ["access token", "API key"])
        func `the openai package works unchanged, unary and streaming`(credential: String) async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register(credits: Credits(whole: 100))
                var secret = account.token
                if credential == "API key" {
                    let made = try await gateway.post("/api/keys", token: account.token, #"{"name":"sdk test"}"#)
                    try gateway.expect(made, 201)
                    secret = try JSONObject(made.body).string("key")
                }
                let environment = try await Self.pythonEnvironment.value
                let run = try await ChildProcess.run(
                    environment + "/bin/python", [PythonEnvironment.path(of: "openai_sdk.py")],
                    environment: ["OPENAI_BASE_URL": try gateway.stack.edge + "/v1", "OPENAI_API_KEY": secret])
                #expect(run.status == 0, "\(run.output)")
                #expect(run.output.contains("the SDK is content"))
            }
        }

        @Test func `the anthropic package works unchanged, with models of Anthropic's API and of OpenAI's`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let made = try await gateway.post("/api/keys", token: account.token, #"{"name":"sdk test"}"#)
                try gateway.expect(made, 201)
                let environment = try await PythonEnvironment.make("anthropic-sdk", requirements: "anthropic_sdk.txt")
                let run = try await ChildProcess.run(
                    environment + "/bin/python", [PythonEnvironment.path(of: "anthropic_sdk.py")],
                    environment: ["ANTHROPIC_BASE_URL": try gateway.stack.edge, "ANTHROPIC_API_KEY": JSONObject(made.body).string("key")])
                #expect(run.status == 0, "\(run.output)")
                #expect(run.output.contains("the SDK is content"))
            }
        }

        private static let pythonEnvironment = Task {
            try await PythonEnvironment.make("openai-sdk", requirements: "openai_sdk.txt")
        }
    }
}
