import Contracts
import EventLoop
import Foundation
import HTTPClient
import HTTPWire
import JSON
import TestSupport
import Testing
import UpstreamClient
import Values

extension SystemTests {
    /// Servers of others between users and the gateway: Python with the official `openai` package.
    struct UserServerTests {
        @Test func `two users at once of a server that forwards their tokens pay for their own calls`() async throws {
            try await PythonServer.run("forwarding.py") { server in
                let gateway = server.gateway
                let users = [(try await gateway.register(), 10), (try await gateway.register(), 30)]
                try await withThrowingTaskGroup { group in
                    for (user, tokens) in users + users + users + users {
                        group.addTask {
                            let answer = try await server.post(#"{"text":"Say something.","max_tokens":\#(tokens)}"#, token: user.token)
                            try gateway.expect(answer, 200)
                            #expect(answer.text.hasSuffix("data: [DONE]\n\n"))
                        }
                    }
                    try await group.waitForAll()
                }
                for (user, tokens) in users {
                    try await gateway.until("the calls are settled") { try await gateway.charges(of: user).count == 4 }
                    for charge in try await gateway.charges(of: user) {
                        let metadata = try JSONObject(Array((charge.metadata ?? "").utf8))
                        #expect(try metadata.object("usage").integer("output") == tokens)
                        #expect(
                            charge.amount
                                == ChatTests.price(
                                    promptTokens: try metadata.object("usage").integer("input"), completionTokens: Int64(tokens)))
                    }
                }
            }
        }

        @Test func `a server that forwards tokens refuses a user at the user's limit, after sign-out, and with a deleted key`() async throws
        {
            try await PythonServer.run("forwarding.py") { server in
                let gateway = server.gateway
                let (user, other) = (try await gateway.register(), try await gateway.register())
                func code(_ token: String?) async throws -> String {
                    let answer = try await server.post(#"{"text":"Say something."}"#, token: token)
                    return answer.status == 200
                        ? "200" : "\(answer.status) \((try? JSONObject(answer.body).object("error").string("code")) ?? "")"
                }
                let made = try await gateway.post("/api/keys", token: user.token, #"{"name":"at a server"}"#)
                try gateway.expect(made, 201)
                let (key, id) = (try JSONObject(made.body).string("key"), try JSONObject(made.body).string("id"))
                #expect(try await code(key) == "200")
                #expect(try await code(nil) == "401 ")
                #expect(try await code("ssk_wrong") == "401 invalid_api_key")
                try gateway.expect(try await gateway.request("PUT", "/api/credits/limits", user.token, #"{"daily":0.000001}"#), 200)
                for token in [user.token, key] { #expect(try await code(token) == "402 spending_limit_reached") }
                try gateway.expect(try await gateway.request("PUT", "/api/credits/limits", user.token, #"{"daily":null}"#), 200)
                #expect(try await code(user.token) == "200")

                try gateway.expect(try await gateway.request("DELETE", "/api/keys/\(id)", user.token, nil), 204)
                try await gateway.until("the key is refused") { try await code(key) == "401 token_revoked" }
                try gateway.expect(try await gateway.post("/api/auth/logout", token: user.token, "{}"), 204)
                try await gateway.until("the token is refused") { try await code(user.token) == "401 token_revoked" }
                #expect(try await code(other.token) == "200")
                try await gateway.until("the call is settled") { try await gateway.charges(of: other).count == 1 }
            }
        }

        /// A server that collected the answer would deliver all of its 200 tokens before the first one.
        @Test func `a user who leaves a forwarded stream pays for the part that was sent`() async throws {
            try await PythonServer.run("forwarding.py") { server in
                let gateway = server.gateway
                let user = try await gateway.register()
                let before = try await gateway.simulatorStats()
                let streamed = try await server.stream(#"{"text":"Say something.","model":"sim-paced"}"#, token: user.token, leaveAfter: 5)
                #expect(!streamed.contains("[DONE]"))
                try await gateway.until("the provider's call is cancelled") {
                    try await gateway.simulatorStats().aborted == before.aborted + 1
                }
                try await gateway.until("the call is settled") { try await gateway.charges(of: user).count == 1 }
                let metadata = try JSONObject(Array((try await gateway.charges(of: user)[0].metadata ?? "").utf8))
                #expect(try metadata.string("end") == "client_disconnected")
                let sent = try metadata.object("usage").integer("output")
                #expect(sent >= 4 && sent < 200)
            }
        }

        @Test func `a server with a service token names the user who pays, and is refused without one or with an unknown one`() async throws
        {
            try await PythonServer.run("service.py", ["SERVICE_TOKEN": Stack.serviceToken]) { server in
                let gateway = server.gateway
                let (user, other) = (try await gateway.register(), try await gateway.register())
                let answer = try await server.post(#"{"user":"\#(user.id)","text":"Say something."}"#, token: nil)
                try gateway.expect(answer, 200)
                let (_, _, used, remaining) = try ChatTests.usage(JSONObject(answer.body))
                #expect(used > .zero && remaining == Credits(whole: 10) - used)
                try await gateway.until("the call is settled") { try await gateway.charges(of: user).count == 1 }
                let charge = try await gateway.charges(of: user)[0]
                let metadata = try JSONObject(Array((charge.metadata ?? "").utf8))
                #expect(charge.amount == used)
                #expect(try metadata.string("service") == "web-gateway")
                #expect(try metadata.string("operation") == "nightly.summary")
                #expect(try await gateway.charges(of: other).isEmpty)

                for (named, status, code, param) in [
                    ("", 400, "invalid_request", "x-on-behalf-of"),
                    (#""user":"\#(user.email)","#, 400, "invalid_request", "x-on-behalf-of"),
                    (#""user":"\#(AccountID.make())","#, 402, "insufficient_credits", nil),
                ] {
                    let refused = try await server.post("{\(named)\"text\":\"Say something.\"}", token: nil)
                    #expect(refused.status == status)
                    let error = try JSONObject(refused.body).object("error")
                    #expect(try error.string("code") == code)
                    #expect(try error.optionalString("param") == param)
                }
            }
        }

        @Test func `a service token that names an administrator administers nothing and makes no keys`() async throws {
            try await Gateway.run { gateway in
                let me = try await gateway.get("/api/auth/me", token: try await gateway.adminToken())
                let headers = [("x-on-behalf-of", try JSONObject(me.body).string("id"))]
                for path in [
                    "/api/admin/credits/audit", "/api/admin/users", "/api/admin/models", "/api/admin/plans", "/api/admin/providers",
                ] {
                    let answer = try await gateway.get(path, token: Stack.serviceToken, headers: headers)
                    #expect(answer.status == 403 || answer.status == 401, "\(path)")
                }
                let key = try await gateway.post("/api/keys", token: Stack.serviceToken, #"{"name":"x"}"#, headers: headers)
                #expect(key.status == 403)
            }
        }
    }
}

/// A server in `servers/` for one test, with the official `openai` package.
private struct PythonServer: Sendable {
    let gateway: Gateway
    private let origin: String

    static func run(
        _ file: String, _ environment: [String: String] = [:], _ body: @escaping @Sendable (PythonServer) async throws -> Void
    ) async throws {
        try await Gateway.run { gateway in
            let python = try await SystemTests.SDKTests.openAIEnvironment.value + "/bin/python"
            let port = try freePorts(1)[0]
            let process = try ChildProcess(
                python, [PythonEnvironment.path(of: "servers/" + file)],
                environment: environment.merging(["GATEWAY_URL": try gateway.stack.edge, "PORT": "\(port)"]) { $1 },
                output: gateway.stack.directory + "/\(file).output")
            let server = PythonServer(gateway: gateway, origin: "http://127.0.0.1:\(port)")
            let result: Result<Void, any Error>
            do {
                try await gateway.until("the server answers", within: .seconds(60)) {
                    (try? await gateway.client.request(ClientRequest("GET", server.origin))) != nil
                }
                result = .success(try await body(server))
            } catch {
                result = .failure(error)
            }
            process.signal(SIGKILL)
            process.wait()
            try result.get()
        }
    }

    func post(_ body: String, token: String?) async throws -> ClientResponse {
        let headers = token.map { [(name: "authorization", value: "Bearer " + $0)] } ?? []
        return try await gateway.client.request(ClientRequest("POST", origin, headers: headers, body: Array(body.utf8)))
    }

    /// - Parameter leaveAfter: events after which the browser hangs up.
    func stream(_ body: String, token: String, leaveAfter: Int) async throws -> String {
        guard let origin = Origin(origin) else { throw Stack.Failure(description: origin) }
        let pool = try UpstreamPool(loop: gateway.loop, origin: origin)
        defer { pool.close() }
        var headers = HeaderBlock()
        headers.add("authorization", "Bearer " + token)
        let call = try await pool.send(method: "POST", target: Array("/".utf8), headers: headers, body: Array(body.utf8))
        #expect(call.status == 200)
        var bytes: [UInt8] = []
        await #expect(throws: UpstreamError.self) {
            try await call.pipe { part in
                bytes.append(contentsOf: part)
                if bytes.count(where: { $0 == 0x0A }) / 2 >= leaveAfter { call.cancel() }
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
