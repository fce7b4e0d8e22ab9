import Contracts
import HTTPClient
import Testing

extension SystemTests {
    /// Decisions of the edge itself.
    struct EdgeTests {
        @Test func `the id that the edge gives a request is the conversation of its journal entries`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let answer = try await gateway.chat(account, model: "sim-fast")
                try gateway.expect(answer, 200)
                let id = try #require(answer.header("x-request-id"))
                #expect(id.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}/) != nil, "\(id)")
                try await gateway.until("the charge is settled") { try await gateway.charges(of: account).count == 1 }
                #expect(try await gateway.conversations(of: account) == [id])
            }
        }
    }
}
