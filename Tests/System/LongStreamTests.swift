import HTTPClient
import HTTPWire
import JSON
import Postgres
import Testing
import Values

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
                #expect(steps.map(\.step) == steps.indices.map { Int16($0 + 1) })
                #expect(steps.allSatisfy { $0.status == 0 && $0.charge == charge.charge })
                #expect(steps.count >= 2)
                #expect(steps.reduce(.zero) { $0 + $1.held } > used - ChatTests.price(promptTokens: 500, completionTokens: 512))
                try await gateway.booksAgree(for: account, posted: Credits(whole: 10) - used)
            }
        }

        @Test func `a stream is limited to what the account can pay for, in header and usage, and nothing is overspent`()
            async throws
        {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let funds = try #require(Credits(decimal: "0.2"))
                try await gateway.adjust(account, by: funds - Credits(whole: 10))
                let streamed = try await gateway.stream(account, model: "sim-long")
                #expect(streamed.isDone)
                let clamp = try #require(streamed.headers.string(for: "x-max-tokens-clamped").flatMap(Int64.init))
                let last = try JSONObject(Array(try #require(streamed.events.dropLast().last).utf8))
                let (prompt, completion, used, _) = try ChatTests.usage(last)
                #expect(completion == clamp)
                #expect(try last.object("usage").integer("max_tokens_clamped") == clamp)
                #expect(used == ChatTests.price(promptTokens: prompt, completionTokens: completion))
                // Only the difference between the bound of the prompt and its tokens is left.
                #expect(funds - used < ChatTests.price(promptTokens: 500, completionTokens: 0))
                try await gateway.until("the charge is settled") { try await gateway.charges(of: account).count == 1 }
                try await gateway.booksAgree(for: account, posted: funds - used)
            }
        }

        @Test func `a call of an API key stops at the key's limit, and its owner continues`() async throws {
            try await Gateway.run { gateway in
                let owner = try await gateway.register()
                let made = try await gateway.post("/api/keys", token: owner.token, #"{"name":"k","daily_limit":0.1,"limit":5}"#)
                try gateway.expect(made, 201)
                var holder = owner
                holder.token = try JSONObject(made.body).string("key")
                let streamed = try await gateway.stream(holder, model: "sim-long")
                #expect(streamed.isDone)
                #expect(streamed.headers.contains("x-max-tokens-clamped"))
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

    func booksAgree(for account: Account, posted: Credits) async throws {
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
