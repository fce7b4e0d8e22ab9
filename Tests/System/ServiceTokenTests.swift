import Contracts
import HTTPClient
import JSON
import Testing
import Values

extension SystemTests {
    struct ServiceTokenTests {
        @Test func `a service token reads its user's account at the ledger, administers nothing, and is unknown elsewhere`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let user = [("x-on-behalf-of", account.id.description)]
                func ask(_ path: String, _ headers: [(name: String, value: String)]) async throws -> ClientResponse {
                    try await gateway.get(path, token: Stack.serviceToken, headers: headers)
                }
                let balance = try await ask("/api/credits/balance", user)
                try gateway.expect(balance, 200)
                #expect(try JSONObject(balance.body).decimalText("available") == "10")

                let unnamed = try await ask("/api/credits/balance", [])
                #expect(unnamed.status == 400)
                #expect(try JSONObject(unnamed.body).object("error").string("param") == "x-on-behalf-of")
                let audit = try await ask("/api/admin/credits/audit", user)
                #expect(audit.status == 403)
                for path in ["/v1/models", "/api/auth/me"] {
                    let stranger = try await ask(path, user)
                    #expect(stranger.status == 401, "\(path)")
                }
            }
        }
    }
}
