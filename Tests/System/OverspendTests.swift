import HTTPClient
import JSON
import Testing
import Values

extension SystemTests {
    struct OverspendTests {
        @Test func `exactly the affordable calls of 200 concurrent ones succeed, and the sums agree to the nano-credit`() async throws {
            try await Gateway.run { gateway in
                // One call shows the price; the last call must be able to hold the least answer
                // next to it.
                let scout = try await gateway.register()
                let first = try await gateway.chat(scout, model: "sim-fast", maxTokens: 40)
                try gateway.expect(first, 200)
                let (_, _, price, _) = try ChatTests.usage(JSONObject(first.body))
                let account = try await gateway.register()
                try await gateway.adjust(account, by: Credits(nano: price.nano * 50) - Credits(whole: 10))
                let answers = try await gateway.concurrently(200) { try await gateway.chat(account, model: "sim-fast", maxTokens: 40) }
                let served = answers.filter { $0.status == 200 }
                let refused = answers.filter { $0.status == 402 }
                let held = answers.filter { $0.status == 503 }
                #expect(served.count + refused.count + held.count == 200, "\(Set(answers.map(\.status)))")
                for answer in held { #expect(try JSONObject(answer.body).object("error").string("code") == "credits_held") }
                for answer in refused { #expect(try JSONObject(answer.body).object("error").string("code") == "insufficient_credits") }
                for answer in served { #expect(try ChatTests.usage(JSONObject(answer.body)).used == price) }
                try await gateway.until("every charge is settled") { try await gateway.openHolds(of: account) == 0 }
                // The hold is an upper bound of the price: when the rest is less than that, the call is refused.
                let poor = try #require(refused.first)
                let least = try #require(Credits(decimal: try JSONObject(poor.body).object("error").decimalText("required")))
                let affordable = (price.nano * 50 - least.nano) / price.nano + 1
                #expect(Int64(served.count) == affordable)
                let books = try await gateway.books(of: account)
                #expect(books.posted == Credits(nano: price.nano * (50 - Int64(served.count))))
                #expect(books.journal == books.posted)
                #expect(books.lowest >= .zero)
                #expect(books.held == .zero)
            }
        }

        // MARK: No call can cost more than its hold (SPEC §2). `sim-to-limit` and `sim-second` are priced like gpt-4.1.

        @Test func `forty calls without a limit on ten credits are all paid for, and no 402 is false`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let before = try await gateway.simulatorStats()
                let answers = try await gateway.concurrently(40) { try await gateway.chat(account, model: "sim-to-limit") }
                try await gateway.until("every charge is settled") { try await gateway.openHolds(of: account) == 0 }
                let after = try await gateway.simulatorStats()
                #expect(answers.contains { $0.status == 200 })
                let (prompt, completion) = (after.promptTokens - before.promptTokens, after.completionTokens - before.completionTokens)
                // The model costs twice as much as sim-fast.
                let cost = ChatTests.price(promptTokens: prompt * 2, completionTokens: completion * 2)
                let books = try await gateway.books(of: account)
                #expect(cost <= Credits(whole: 10) - books.posted, "\(completion) tokens for \(Credits(whole: 10) - books.posted) credits")
                #expect(books.lowest >= .zero)
                for answer in answers where answer.status != 200 {
                    let error = try JSONObject(answer.body).object("error")
                    guard answer.status == 402 else {
                        #expect(answer.status == 503)
                        #expect(try error.string("code") == "credits_held")
                        continue
                    }
                    // The balance only falls here. If it pays the least amount at the end, it paid
                    // it when the call was refused.
                    #expect(try books.posted < #require(Credits(decimal: error.decimalText("required"))))
                }
            }
        }

        @Test(arguments: [false, true])
        func `forty calls without a limit on ten credits, with answers of 300 tokens in a second, are all served and none is cut`(
            streams: Bool
        ) async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let lengths = try await gateway.concurrently(40) {
                    guard streams else {
                        let answer = try await gateway.chat(account, model: "sim-second")
                        try gateway.expect(answer, 200)
                        return try ChatTests.usage(JSONObject(answer.body)).completion
                    }
                    let streamed = try await gateway.stream(account, model: "sim-second")
                    #expect(streamed.isDone)
                    return try ChatTests.usage(JSONObject(Array(#require(streamed.events.dropLast().last).utf8))).completion
                }
                #expect(lengths == [Int64](repeating: 300, count: 40))
            }
        }

        @Test func `thirty thousand Thai letters, each written as an escape, are served on ten credits`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let text = String(repeating: #"\u0e01"#, count: 30_000)
                let answer = try await gateway.post(
                    "/v1/chat/completions", token: account.token,
                    #"{"model": "sim-second", "messages": [{"role": "user", "content": "\#(text)"}]}"#)
                try gateway.expect(answer, 200)
            }
        }
    }
}

extension Gateway {
    /// Runs `body` so many times at once; the results in any order.
    func concurrently<Value: Sendable>(_ count: Int, _ body: @escaping @Sendable () async throws -> Value) async throws -> [Value] {
        return try await withThrowingTaskGroup(of: Value.self) { group in
            for _ in 0..<count { group.addTask { try await body() } }
            var values: [Value] = []
            for try await value in group { values.append(value) }
            return values
        }
    }
}
