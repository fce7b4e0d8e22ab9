import Contracts
import Identity
import JSON
import TestSupport
import Testing
import Text
import Values

@testable import Ledger
@testable import LedgerCore

extension PagesTests {
    /// Settles a hold of 5 credits with the facts of a model call.
    private func callWithFacts(
        _ server: RouteServer, _ person: Principal, cost: Int64, isEstimated: Bool = false
    ) async throws -> (charge: ChargeID, conversation: ConversationID) {
        let (charge, conversation) = (ChargeID.make(), ConversationID(rawValue: UUIDv7.make()))
        let call = CallFacts(
            model: "gpt-5.4", provider: "openai", usage: [.input: 1_200, .output: 34], isEstimated: isEstimated, end: .clientDisconnected,
            priceVersion: 3, costPicoUSD: 77_000_000, operation: "chat", apiKeyID: APIKeyID(rawValue: "abcdefghij"))
        let facts = String(decoding: JSONWriter.object { call.encode(into: &$0) }, as: UTF8.self)
        let context = Context(
            description: "gpt-5.4", metadata: facts, trace: UUIDv7(high: 1, low: 2), conversation: conversation,
            usage: Usage(model: "gpt-5.4", operation: "chat", units: call.usage))
        _ = try await server.ledger.do([
            Command(id: charge, account: person.accountID, action: hold(5)),
            Command(id: charge, account: person.accountID, action: .settle(amount: credits(cost)), context: context),
        ])
        return (charge, conversation)
    }

    @Test func `a receipt has the facts of the journal about a call`() async throws {
        try await withServer { server in
            let person = server.browser()
            try await server.grant(.topup, 20, to: person)
            let (charge, conversation) = try await callWithFacts(server, person, cost: 3)
            let page = try await server.open("/transactions/\(charge)", person)
            #expect(page.status == 200)
            for fact in [
                #"<p class="figure"><span class="amount" title="-3 credits">−3</span>"#,
                "<dt>Balance before</dt><dd><span class=\"amount\" title=\"20 credits\">",
                "<dt>Balance after</dt><dd><span class=\"amount\" title=\"17 credits\">",
                "<dt>Held for it</dt><dd><span class=\"amount\" title=\"5 credits\">",
                "<dt>Model</dt><dd><bdi>gpt-5.4</bdi></dd>", "<dt>Provider</dt><dd><bdi>openai</bdi></dd>",
                "<dt>Feature</dt><dd><bdi>chat</bdi></dd>",
                "<dt>Tokens in</dt><dd>1,200</dd>", "<dt>Tokens out</dt><dd>34</dd>", "<dt>How it ended</dt><dd>the client left</dd>",
                "<dt>API key</dt><dd><code>abcdefghij</code></dd>", "<code>\(charge)</code>", "<code>\(conversation)</code>",
                "<code>00000000000000010000000000000002</code>", "<td>Hold</td>", "<td>Charged</td>",
            ] {
                #expect(page.text.contains(fact), "\(fact)")
            }
            // The cost of the provider stays with us.
            #expect(!page.text.contains("77000000") && !page.text.contains("0.000077"))
            #expect(!page.text.contains("estimated"))
        }
    }

    @Test func `a charge by estimate or after its hold says so`() async throws {
        try await withServer { server in
            let person = server.browser()
            try await server.grant(.topup, 20, to: person)
            let (estimated, _) = try await callWithFacts(server, person, cost: 3, isEstimated: true)
            let page = try await server.open("/transactions/\(estimated)", person)
            #expect(page.text.contains(#"<span class="tag warning">estimated</span>"#))
            #expect(page.text.contains("The provider did not say what was used."))
            let late = ChargeID.make()
            try await server.ledger.do(hold(5), on: late, account: person.accountID)
            try await server.tamper("UPDATE open_hold SET expires_at = now(), used_so_far = 1000000000 WHERE charge_id = '\(late)'")
            try await server.ledger.expireOverdue(of: person.accountID)
            try await server.ledger.do(.settle(amount: credits(4)), on: late, account: person.accountID)
            let receipt = try await server.open("/transactions/\(late)", person)
            #expect(receipt.text.contains(#"<span class="tag warning">late</span>"#))
            #expect(receipt.text.contains(#"<p class="figure"><span class="amount" title="-4 credits">"#))
            for step in ["<td>Hold</td>", "<td>Hold ended</td>", "<td>Charged late</td>"] {
                #expect(receipt.text.contains(step), "\(step)")
            }
            #expect(try await server.open("/transactions", person).text.contains(#"<span class="tag warning">late</span>"#))
        }
    }

    @Test func `a receipt of credits that arrived has their end and the reason`() async throws {
        try await withServer { server in
            let person = server.browser()
            let charge = try await server.grant(
                .bonus, 5, to: person, expiresAt: .now() + .seconds(86_400), reason: "Welcome")
            let page = try await server.open("/transactions/\(charge)", person)
            #expect(page.text.contains("title=\"+5 credits\">+5</span>"))
            #expect(page.text.contains("<dt>Description</dt><dd><bdi>Welcome</bdi></dd>"))
            #expect(page.text.contains("<dt>Credits end</dt>"))
            #expect(!page.text.contains("<h2>Steps</h2>") && !page.text.contains("<h2>The call</h2>"))
        }
    }

    @Test func `a foreign, unknown or unfinished charge is 404`() async throws {
        try await withServer { server in
            let (person, other, admin) = (server.browser(), server.browser(), server.browser(isAdmin: true))
            try await server.grant(.topup, 20, to: person)
            let foreign = try await server.grant(.topup, 20, to: other)
            let (open, free) = (ChargeID.make(), ChargeID.make())
            try await server.ledger.do(hold(5), on: open, account: person.accountID)
            try await server.ledger.do(hold(5), on: free, account: person.accountID)
            try await server.ledger.do(.void, on: free, account: person.accountID)
            for id in [foreign.description, open.description, free.description, ChargeID.make().description, "x", "0", "%2e%2e"] {
                let page = try await server.open("/transactions/\(id)", person)
                #expect(page.status == 404, "\(id)")
                #expect(page.isError("This page does not exist"))
                #expect(try await server.open("/admin/credits/\(person.userID)/transactions/\(id)", admin).status == 404, "\(id)")
            }
            #expect(try await server.open("/admin/credits/\(other.userID)/transactions/\(foreign)", admin).status == 200)
        }
    }
}
