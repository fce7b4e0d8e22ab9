import Contracts
import HTTPClient
import JSON
import Testing

extension SystemTests {
    struct OverspendTests {
        @Test func `of 200 concurrent calls exactly the affordable ones succeed, and the books agree to the nano-credit`() async throws {
            try await Gateway.run { gateway in
                // One call tells the price; the last call must be able to hold the least useful answer beside it.
                let scout = try await gateway.register()
                let first = try await gateway.chat(scout, model: "sim-fast", maxTokens: 40)
                try gateway.expect(first, 200)
                let (_, _, price, _) = try ChatTests.usage(JSONObject(first.body))
                let account = try await gateway.register()
                try await gateway.adjust(account, by: Credits(nano: price.nano * 50) - Credits(whole: 10))
                let answers = try await gateway.concurrently(200) { try await gateway.chat(account, model: "sim-fast", maxTokens: 40) }
                let served = answers.filter { $0.status == 200 }
                let refused = answers.filter { $0.status == 402 }
                #expect(served.count + refused.count == 200, "\(Set(answers.map(\.status)))")
                for answer in refused { #expect(try JSONObject(answer.body).object("error").string("code") == "insufficient_credits") }
                for answer in served { #expect(try ChatTests.usage(JSONObject(answer.body)).used == price) }
                try await gateway.until("every charge is settled") { try await gateway.openHolds(of: account) == 0 }
                // The hold is an upper bound of the price: when the rest is less than that, the call is refused.
                let least = try #require(Credits(decimal: try JSONObject(refused[0].body).object("error").decimalText("required")))
                let affordable = (price.nano * 50 - least.nano) / price.nano + 1
                #expect(Int64(served.count) == affordable)
                let books = try await gateway.books(of: account)
                #expect(books.posted == Credits(nano: price.nano * (50 - Int64(served.count))))
                #expect(books.journal == books.posted)
                #expect(books.lowest >= .zero)
                #expect(books.held == .zero)
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
