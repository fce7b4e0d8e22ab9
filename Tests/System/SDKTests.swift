import Contracts
import HTTPClient
import JSON
import TestSupport
import Testing
import Values

extension SystemTests {
    /// The official `openai` and `anthropic` packages from PyPI, and clients on top of them, unchanged,
    /// against the edge.
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
                let environment = try await Self.openAIEnvironment.value
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

        /// The client compares the price of the tokens that each answer names with the balance.
        @Test(arguments: ["langchain_client.py", "litellm_client.py"])
        func `clients on top of both APIs work unchanged, and each call costs its tokens`(client: String) async throws {
            try await Gateway.run { gateway in
                let (account, poor) = (try await gateway.register(), try await gateway.register())
                try await gateway.adjust(poor, by: Credits(nano: 1_000) - Credits(whole: 10))
                func key(_ account: Gateway.Account) async throws -> String {
                    let made = try await gateway.post("/api/keys", token: account.token, #"{"name":"client test"}"#)
                    try gateway.expect(made, 201)
                    return try JSONObject(made.body).string("key")
                }
                let environment = try await Self.clientsEnvironment.value
                let run = try await ChildProcess.run(
                    environment + "/bin/python", [PythonEnvironment.path(of: "clients/" + client)],
                    environment: [
                        "EDGE": try gateway.stack.edge, "API_KEY": try await key(account), "POOR_KEY": try await key(poor),
                        "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONDONTWRITEBYTECODE": "1",
                    ])
                #expect(run.status == 0, "\(run.output)")
                #expect(run.output.contains("the client is content"))
            }
        }

        /// Several packages need the same versions of the libraries below them, and share an environment.
        private static let clientsEnvironment = Task {
            try await PythonEnvironment.make("model-clients", requirements: "clients/requirements.txt")
        }

        static let openAIEnvironment = Task {
            try await PythonEnvironment.make("openai-sdk", requirements: "openai_sdk.txt")
        }
    }
}
