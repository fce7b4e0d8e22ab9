import Foundation
import HTTPClient
import HTTPWire
import JSON
import Testing
import Values

extension SystemTests {
    /// The main job: a call is checked before it starts and charged after it ends.
    struct ChatTests {
        /// 1 USD a million prompt tokens, 4 USD a million completion tokens, 15 % on top, 25 credits a dollar.
        static func price(promptTokens: Int64, completionTokens: Int64) -> Credits {
            let picoUSD = promptTokens * 1_000_000 + completionTokens * 4_000_000
            // nano-credits = picoUSD × 1.15 × 25 × 10⁹ / 10¹²
            let thousandths = picoUSD * 115 * 25
            return Credits(nano: (thousandths + 99_999) / 100_000)
        }

        static func usage(_ json: JSONObject) throws -> (prompt: Int64, completion: Int64, used: Credits, remaining: Credits) {
            let usage = try json.object("usage")
            return (
                try usage.integer("prompt_tokens"), try usage.integer("completion_tokens"),
                try #require(Credits(decimal: usage.decimalText("credits_used"))),
                try #require(Credits(decimal: usage.decimalText("credits_remaining")))
            )
        }

        @Test func `a user who registers has the free plan's ten credits, and a call costs exactly its price`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let answer = try await gateway.chat(account, model: "sim-fast")
                try gateway.expect(answer, 200)
                let (prompt, completion, used, remaining) = try Self.usage(JSONObject(answer.body))
                #expect(prompt > 0 && completion > 0)
                #expect(used == Self.price(promptTokens: prompt, completionTokens: completion))
                #expect(remaining == Credits(whole: 10) - used)
                #expect(answer.header("x-credits-used") == used.description)
                #expect(answer.header("x-credits-remaining") == remaining.description)
                #expect(answer.header("x-provider") == "simulator")
                #expect(answer.header("x-request-id")?.isEmpty == false)
                try await gateway.until("the charge is settled") { try await gateway.balance(of: account).held == .zero }
                let balance = try await gateway.balance(of: account)
                #expect(balance.posted == Credits(whole: 10) - used)
                #expect(try await gateway.charges(of: account).map(\.amount) == [used])
            }
        }

        @Test func `a stream is passed through, its usage event says what it cost, and journal and logs carry its trace id`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let trace = "4bf92f3577b34da6a3ce929d" + UUIDv7.make().description.suffix(8)
                var headers = HeaderBlock()
                headers.add("traceparent", "00-\(trace)-00f067aa0ba902b7-01")
                let streamed = try await gateway.stream(account, model: "sim-fast", headers: headers)
                #expect(streamed.isDone)
                #expect(streamed.headers.string(for: "content-type")?.hasPrefix("text/event-stream") == true)
                let last = try #require(streamed.events.dropLast().last)
                let (prompt, completion, used, remaining) = try Self.usage(JSONObject(Array(last.utf8)))
                #expect(used == Self.price(promptTokens: prompt, completionTokens: completion))
                #expect(remaining == Credits(whole: 10) - used)
                try await gateway.until("the charge is settled") { try await gateway.balance(of: account).held == .zero }
                #expect(try await gateway.balance(of: account).posted == Credits(whole: 10) - used)
                let charge = try #require(try await gateway.charges(of: account).first)
                #expect(charge.traceID == trace)
                let proxies = try gateway.stack.log(of: .proxy1) + gateway.stack.log(of: .proxy2)
                #expect(proxies.contains { $0.contains(trace) })
                #expect(try gateway.stack.log(of: .ledger).contains { $0.contains(trace) })
            }
        }

        @Test func `a registration is one trace through auth, billing and ledger: messages, log lines and journal row`() async throws {
            try await Gateway.run { gateway in
                let trace = "0af7651916cd43dd8448eb21" + UUIDv7.make().description.suffix(8)
                let account = try await gateway.register(trace: trace)
                #expect(try await gateway.grantTraces(of: account) == [trace])
                #expect(try await gateway.messagesSent(by: "auth", in: trace) == ["user.verified.v1"])
                #expect(try await gateway.messagesSent(by: "billing", in: trace) == ["purchase.fulfilled.v1"])
                for service in [Stack.Component.auth, .billing, .ledger] {
                    try await gateway.until("\(service.rawValue) has logged it") {
                        try gateway.stack.log(of: service).contains { $0.contains(trace) }
                    }
                }
            }
        }

        @Test func `a stream shows usage only if asked, and without the provider's usage the delivered part is charged`()
            async throws
        {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let streamed = try await gateway.stream(account, model: "sim-no-usage")
                #expect(streamed.isDone)
                try await gateway.until("the charge is settled") { try await gateway.charges(of: account).count == 1 }
                let charge = try #require(try await gateway.charges(of: account).first)
                #expect(charge.amount > .zero)
                #expect(try JSONObject(Array((charge.metadata ?? "").utf8)).bool("estimated"))
            }
        }

        @Test func `a client that hangs up is charged for the delivered part, and the provider's call is cancelled`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let before = try await gateway.simulatorStats()
                let streamed = try await gateway.stream(account, model: "sim-paced", leaveAfter: 12)
                #expect(!streamed.isDone)
                let heard = streamed.events.count { $0.contains(#""content":""#) && !$0.contains(#""content":"""#) }
                try await gateway.until("the provider's call is cancelled") {
                    let stats = try await gateway.simulatorStats()
                    return stats.aborted == before.aborted + 1 && stats.active == before.active
                }
                try await gateway.until("the charge is settled") { try await gateway.charges(of: account).count == 1 }
                let charge = try #require(try await gateway.charges(of: account).first)
                let metadata = try JSONObject(Array((charge.metadata ?? "").utf8))
                #expect(try metadata.string("end") == "client_disconnected")
                let sent = try metadata.object("usage").integer("output")
                // Events may be under way when the caller leaves: at 20 a second never more than a few.
                #expect(sent >= Int64(heard) && sent <= Int64(heard) * 3 + 10, "\(heard) events heard, \(sent) tokens charged")
                #expect(charge.amount == Self.price(promptTokens: try metadata.object("usage").integer("input"), completionTokens: sent))
                #expect(try await gateway.openHolds(of: account) == 0)
            }
        }

        @Test(arguments: ["sim-429", "sim-500", "sim-503"])
        func `a provider that refuses is named, and costs nothing`(model: String) async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let answer = try await gateway.chat(account, model: model)
                #expect(answer.status == 502)
                let error = try JSONObject(answer.body).object("error")
                #expect(try error.string("code") == "provider_error")
                #expect(try error.string("provider") == "simulator")
                #expect(error.members.map(\.name).prefix(4) == ["message", "type", "code", "param"])
                // An expiry would free the hold too, after HOLD_TTL: the entry must be the void's.
                try await gateway.until("the hold is voided") { try await gateway.ends(of: account) == [.void] }
                #expect(try await gateway.balance(of: account).available == Credits(whole: 10))
            }
        }

        @Test func `a provider that dies in mid-stream ends the stream with an error, and the delivered part is charged`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let streamed = try await gateway.stream(account, model: "sim-dies")
                #expect(!streamed.text.contains("[DONE]"))
                #expect(streamed.failure != nil)
                #expect(streamed.events.last?.contains(#""error":{"message""#) == true)
                try await gateway.until("the charge is settled") { try await gateway.charges(of: account).count == 1 }
                let charge = try #require(try await gateway.charges(of: account).first)
                #expect(try JSONObject(Array((charge.metadata ?? "").utf8)).string("end") == "provider_error")
            }
        }

        @Test func `a call without credits for the least answer is 402 in the gateway's shape, and nothing is sent`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                try await gateway.adjust(account, by: Credits(nano: 1_000) - Credits(whole: 10))
                let before = try await gateway.simulatorStats()
                let answer = try await gateway.chat(account, model: "sim-fast")
                #expect(answer.status == 402)
                #expect(answer.header("x-should-retry") == "false")
                let error = try JSONObject(answer.body).object("error")
                #expect(try error.string("code") == "insufficient_credits")
                #expect(try error.decimalText("balance") == "0.000001")
                #expect(try #require(Credits(decimal: error.decimalText("required"))) > Credits(nano: 1_000))
                #expect(try error.string("top_up_url").hasPrefix("http"))
                #expect(try await gateway.simulatorStats().calls == before.calls)
            }
        }

        @Test(arguments: [
            (#"{"model":"no-such-model","messages":[]}"#, 404, "model_not_found"), (#"{"messages":[]}"#, 400, "missing_parameter"),
            ("{", 400, "invalid_json"),
        ])
        func `a request that cannot be served is refused by name`(body: String, status: Int, code: String) async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let answer = try await gateway.post("/v1/chat/completions", token: account.token, body)
                #expect(answer.status == status)
                #expect(try JSONObject(answer.body).object("error").string("code") == code)
                let stranger = try await gateway.post("/v1/chat/completions", token: "ssk_nonsense", body)
                #expect(stranger.status == 401)
                #expect(stranger.header("www-authenticate") != nil)
            }
        }

        @Test func `models are listed with their prices`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let list = try JSONObject(try await gateway.get("/v1/models", token: account.token).body)
                #expect(try list.array("data").count >= 10)
                let one = try JSONObject(try await gateway.get("/v1/models/sim-fast", token: account.token).body)
                #expect(try one.object("pricing").decimalText("credits_per_1k_completion_tokens") == "0.115")
            }
        }
    }
}

extension Gateway {
    struct SimulatorStats: Sendable {
        var calls: Int64
        var finished: Int64
        var aborted: Int64
        var active: Int64
        var promptTokens: Int64
        var completionTokens: Int64
    }

    func simulatorStats() async throws -> SimulatorStats {
        let answer = try await client.request(.init("GET", try stack.simulator + "/stats"))
        let json = try JSONObject(answer.body)
        return SimulatorStats(
            calls: try json.integer("calls"), finished: try json.integer("finished"), aborted: try json.integer("aborted"),
            active: try json.integer("active"), promptTokens: try json.integer("prompt_tokens"),
            completionTokens: try json.integer("completion_tokens"))
    }
}
