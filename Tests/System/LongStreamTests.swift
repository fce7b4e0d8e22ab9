import Contracts
import HTTPClient
import JSON
import Postgres
import Testing

extension SystemTests {
    /// `sim-long` says 3,000 tokens, of which 512 are held for at first.
    struct LongStreamTests {
        @Test func `a stream longer than usual is extended on the way and charged in full`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let streamed = try await gateway.stream(account, model: "sim-long")
                #expect(streamed.isDone)
                let last = try #require(streamed.events.dropLast().last)
                let (prompt, completion, used, remaining) = try ChatTests.usage(JSONObject(Array(last.utf8)))
                #expect(completion == 3_000)
                #expect(used == ChatTests.price(promptTokens: prompt, completionTokens: completion))
                #expect(remaining == Credits(whole: 10) - used)
                try await gateway.until("the charge is settled") { try await gateway.charges(of: account).count == 1 }
                let charge = try #require(try await gateway.charges(of: account).first)
                #expect(charge.amount == used)
                #expect(charge.postedDelta == .zero - used)
                let steps = try await gateway.extends(of: account)
                #expect(steps.map(\.step) == Array(1...Int16(steps.count)))
                #expect(steps.allSatisfy { $0.status == 0 && $0.charge == charge.charge })
                #expect(steps.count >= 2)
                #expect(steps.reduce(.zero) { $0 + $1.held } > used - ChatTests.price(promptTokens: 500, completionTokens: 512))
                try await gateway.booksAgree(for: account, posted: Credits(whole: 10) - used)
            }
        }

        @Test func `a stream ends where the credits end: charged for what came, told why, nothing overspent`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let funds = try #require(Credits(decimal: "0.2"))
                try await gateway.adjust(account, by: funds - Credits(whole: 10))
                let before = try await gateway.simulatorStats()
                let streamed = try await gateway.stream(account, model: "sim-long")
                #expect(streamed.failure == nil)
                #expect(!streamed.text.contains("[DONE]"))
                let error = try JSONObject(Array((streamed.events.last ?? "").utf8)).object("error")
                #expect(try error.string("code") == "insufficient_credits")
                try await gateway.until("the charge is settled") { try await gateway.charges(of: account).count == 1 }
                let charge = try #require(try await gateway.charges(of: account).first)
                let facts = try JSONObject(Array((charge.metadata ?? "").utf8))
                #expect(try facts.string("end") == "hold_exhausted")
                let heard = streamed.events.count { $0.contains(#""content":""#) && !$0.contains(#""content":"""#) }
                #expect(try facts.integer("completion_tokens") == Int64(heard))
                #expect(
                    charge.amount
                        == ChatTests.price(promptTokens: try facts.integer("prompt_tokens"), completionTokens: Int64(heard)))
                #expect(charge.postedDelta == .zero - charge.amount)
                // All but what is too little for 64 tokens more, and the prompt's bound beyond what it is charged.
                #expect(funds - charge.amount < ChatTests.price(promptTokens: 500, completionTokens: 64))
                try await gateway.until("the provider's call is over") { try await gateway.simulatorStats().active == before.active }
                try await gateway.booksAgree(for: account, posted: funds - charge.amount)
            }
        }

        @Test func `an API key stops at its own limit, and its owner goes on`() async throws {
            try await Gateway.run { gateway in
                let owner = try await gateway.register()
                let made = try await gateway.post("/api/keys", token: owner.token, #"{"name":"k","daily_limit":0.1,"limit":5}"#)
                try gateway.expect(made, 201)
                var holder = owner
                holder.token = try JSONObject(made.body).string("key")
                let streamed = try await gateway.stream(holder, model: "sim-long")
                let error = try JSONObject(Array((streamed.events.last ?? "").utf8)).object("error")
                #expect(try error.string("code") == "spending_limit_reached")
                #expect(try error.string("limit") == "daily")
                #expect(try error.string("limit_of") == "api_key")
                try await gateway.until("the charge is settled") { try await gateway.charges(of: owner).count == 1 }
                #expect(try await gateway.charges(of: owner)[0].amount <= #require(Credits(decimal: "0.1")))

                let refused = try await gateway.chat(holder, model: "sim-fast")
                #expect(refused.status == 402)
                #expect(refused.header("x-should-retry") == "false")
                let refusal = try JSONObject(refused.body).object("error")
                #expect(try refusal.string("code") == "spending_limit_reached")
                #expect(try refusal.string("resets_at").contains("T00:00:00"))
                let served = try await gateway.chat(owner, model: "sim-fast")
                #expect(served.status == 200)
            }
        }
    }
}

extension Gateway {
    struct Extend: Sendable {
        var charge: ChargeID
        var step: Int16
        var status: Int16
        var held: Credits
    }

    /// The extends of an account's holds, in the order of the account's chain.
    fileprivate func extends(of account: Account) async throws -> [Extend] { try await database.query(ExtendsOf(account: account.id)) }

    fileprivate func booksAgree(for account: Account, posted: Credits) async throws {
        let books = try await books(of: account)
        #expect((books.posted, books.journal, books.held) == (posted, posted, .zero))
        #expect(books.lowest >= .zero)
        #expect(books.chargedTwice == 0)
        #expect(try await openHolds(of: account) == 0)
    }
}

private struct ExtendsOf: Statement {
    static let sql = """
        SELECT charge_id, step, status, held_delta
        FROM ledger.journal
        WHERE account_id = $1 AND kind = 2
        ORDER BY seq
        """
    var account: AccountID

    func bind(_ parameters: inout Parameters) { parameters.append(account) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> Gateway.Extend {
        Gateway.Extend(charge: try row.next(), step: try row.next(), status: try row.next(), held: Credits(nano: try row.next()))
    }
}
