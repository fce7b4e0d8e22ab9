import Contracts
import HTTPClient
import HTTPWire
import JSON
import Postgres
import Testing
import UpstreamClient
import Values

extension SystemTests {
    /// The calls of our own servers, which name their user in `x-on-behalf-of`.
    struct ServiceTokenTests {
        private typealias Headers = [(name: String, value: String)]
        private static func naming(_ account: AccountID) -> Headers { [("x-on-behalf-of", account.description)] }

        @Test func `a service token reads its user at every service, and administers nothing`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                func ask(_ path: String, _ headers: Headers) async throws -> ClientResponse {
                    try await gateway.get(path, token: Stack.serviceToken, headers: headers)
                }
                let balance = try await ask("/api/credits/balance", Self.naming(account.id))
                try gateway.expect(balance, 200)
                #expect(try JSONObject(balance.body).decimalText("available") == "10")
                let me = try await ask("/api/auth/me", Self.naming(account.id))
                try gateway.expect(me, 200)
                #expect(try JSONObject(me.body).string("email") == account.email)
                #expect(try JSONObject(me.body).decimalText("credits") == "10")

                for path in ["/api/credits/balance", "/api/auth/me", "/v1/models"] {
                    try gateway.expect(try await ask(path, Self.naming(account.id)), 200)
                    let unnamed = try await ask(path, [])
                    #expect(unnamed.status == 400, "\(path)")
                    #expect(try JSONObject(unnamed.body).object("error").string("param") == "x-on-behalf-of")
                }
                for path in ["/api/admin/credits/audit", "/api/keys"] {
                    #expect(try await ask(path, Self.naming(account.id)).status == 403, "\(path)")
                }
            }
        }

        @Test func `the named user pays for a server's call, and journal and usage show the server and its operation`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let answer = try await gateway.post(
                    "/v1/chat/completions", token: Stack.serviceToken, Gateway.chatBody(model: "sim-fast", stream: false),
                    headers: Self.naming(account.id) + [("x-operation", "tests.service")])
                try gateway.expect(answer, 200)
                let (prompt, completion, used, remaining) = try ChatTests.usage(JSONObject(answer.body))
                #expect(used == ChatTests.price(promptTokens: prompt, completionTokens: completion))
                #expect(remaining == Credits(whole: 10) - used)
                try await gateway.until("the charge is settled") { try await gateway.charges(of: account).count == 1 }
                let charge = try #require(try await gateway.charges(of: account).first)
                #expect(charge.amount == used)
                let metadata = try JSONObject(Array((charge.metadata ?? "").utf8))
                #expect(try metadata.string("service") == "web-gateway")
                #expect(!metadata.has("api_key_id"))
                #expect(try await gateway.balance(of: account).posted == Credits(whole: 10) - used)
                let usage = try await gateway.get(
                    "/api/credits/usage/operations", token: Stack.serviceToken, headers: Self.naming(account.id))
                try gateway.expect(usage, 200)
                #expect(String(decoding: usage.body, as: UTF8.self).contains(#""operation":"tests.service""#))
            }
        }

        @Test func `a server of an unknown user gets 402 for a call, zero credits, and 404 from auth`() async throws {
            try await Gateway.run { gateway in
                let stranger = AccountID.make()
                let before = try await gateway.simulatorStats()
                let call = try await gateway.post(
                    "/v1/chat/completions", token: Stack.serviceToken, Gateway.chatBody(model: "sim-fast", stream: false),
                    headers: Self.naming(stranger))
                #expect(call.status == 402)
                #expect(try JSONObject(call.body).object("error").string("code") == "insufficient_credits")
                #expect(try await gateway.simulatorStats().calls == before.calls)
                let balance = try await gateway.get("/v1/credits", token: Stack.serviceToken, headers: Self.naming(stranger))
                try gateway.expect(balance, 200)
                #expect(try JSONObject(balance.body).decimalText("available") == "0")
                let me = try await gateway.get("/api/auth/me", token: Stack.serviceToken, headers: Self.naming(stranger))
                #expect(me.status == 404)
                #expect(try await gateway.database.first(CountAccounts(account: stranger)) == 0)
            }
        }

        @Test func `a server of a deactivated user gets 403 from every service within two snapshots`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                try await gateway.database.withConnection {
                    try await $0.script(
                        """
                        UPDATE auth.users SET active = false, token_version = token_version + 1, changed_at = now()
                        WHERE id = '\(account.id)'
                        """)
                }
                func isRefused(_ component: Stack.Component, _ path: String) async throws -> Bool {
                    let headers = Self.naming(account.id) + [("authorization", "Bearer \(Stack.serviceToken)")]
                    let answer = try await gateway.client.request(
                        ClientRequest("GET", try gateway.stack.url(of: component) + path, headers: headers))
                    guard answer.status == 403 else { return false }
                    return try JSONObject(answer.body).object("error").string("code") == "user_deactivated"
                }
                let reads: [(Stack.Component, String)] = [
                    (.auth, "/api/auth/me"), (.ledger, "/v1/credits"), (.proxy1, "/v1/models"), (.proxy2, "/v1/models"),
                ]
                for (component, path) in reads {
                    try await gateway.until("\(component) refuses the user", within: .seconds(150)) {
                        try await isRefused(component, path)
                    }
                }
                let call = try await gateway.post(
                    "/v1/chat/completions", token: Stack.serviceToken, Gateway.chatBody(model: "sim-fast", stream: false),
                    headers: Self.naming(account.id))
                #expect(call.status == 403)
                #expect(try await gateway.charges(of: account).isEmpty)
            }
        }

        /// The proxy runs two streams when it dies. One of them is a user's, whose hold expires.
        @Test func `a proxy that dies in the middle of a skipped call leaves nothing of it`() async throws {
            try await Gateway.run { gateway in
                let stack = gateway.stack
                let (named, user) = (try await gateway.register(), try await gateway.register())
                try stack.writeVariables(["WEB_LLM_SKIP_CREDIT_FOR_STATIC=true"])
                let result: Result<Void, any Error>
                do {
                    try await stack.stop(.proxy1)
                    try await stack.start(.proxy1)
                    try await Self.killDuringStreams(gateway, named, user)
                    result = .success(())
                } catch {
                    result = .failure(error)
                }
                try stack.writeVariables()
                try await gateway.until("the proxy is back", within: .seconds(60)) {
                    do { try await stack.start(.proxy1) } catch { return false }
                    return true
                }
                try result.get()
                try await gateway.until("the user's hold has expired", within: .seconds(60)) {
                    try await gateway.openHolds(of: user) == 0
                }
                #expect(try await gateway.ends(of: user) == [.expire])
                #expect(try await gateway.ends(of: named) == [])
                #expect(try await gateway.openHolds(of: named) == 0)
                #expect(try await gateway.database.first(CountReceipts(account: named.id)) == 1)
                try await gateway.booksAgree(for: named, posted: Credits(whole: 10))
            }
        }

        /// Makes a skipped call that ends, and kills the proxy while another one and a user's call
        /// run.
        private static func killDuringStreams(_ gateway: Gateway, _ named: Gateway.Account, _ user: Gateway.Account) async throws {
            let proxy = try #require(Origin(try gateway.stack.url(of: .proxy1)))
            let pool = try UpstreamPool(loop: gateway.loop, origin: proxy)
            defer { pool.close() }
            func stream(_ model: String, token: String, for account: AccountID? = nil) async throws -> UpstreamResponse {
                var headers: HeaderBlock = ["content-type": "application/json"]
                headers.add("authorization", "Bearer " + token)
                if let account { headers.add("x-on-behalf-of", account.description) }
                let body = Array(Gateway.chatBody(model: model, stream: true, maxTokens: 200).utf8)
                let call = try await pool.send(method: "POST", target: Array("/v1/chat/completions".utf8), headers: headers, body: body)
                #expect(call.status == 200)
                return call
            }
            let whole = try await stream("sim-fast", token: Stack.serviceToken, for: named.id).collect(upTo: 1 << 20)
            #expect(String(decoding: whole, as: UTF8.self).contains(#""credits_used":0"#))
            try await gateway.until("the receipt is written") {
                try await gateway.database.first(CountReceipts(account: named.id)) == 1
            }
            let skipped = try await stream("sim-paced", token: Stack.serviceToken, for: named.id)
            let paid = try await stream("sim-paced", token: user.token)
            try await gateway.until("the user's call is held") { try await gateway.openHolds(of: user) == 1 }
            #expect(try await gateway.openHolds(of: named) == 0)
            try await gateway.stack.kill(.proxy1)
            for call in [skipped, paid] {
                await #expect(throws: UpstreamError.self) { try await call.pipe { _ in } }
            }
        }
    }
}

private struct CountAccounts: Statement {
    static let sql = "SELECT count(*) FROM ledger.account WHERE account_id = $1"
    typealias Output = Int64
    var account: AccountID

    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}

private struct CountReceipts: Statement {
    static let sql = "SELECT count(*) FROM llm_proxy.receipt WHERE account_id = $1 AND is_skipped"
    typealias Output = Int64
    var account: AccountID

    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}
