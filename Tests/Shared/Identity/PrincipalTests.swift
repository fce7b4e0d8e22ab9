import HTTP
import Identity
import Testing
import Values

@Suite struct PrincipalTests {
    private func principal(_ kind: Principal.Kind, roles: [String] = ["user"], scopes: [String] = []) -> Principal {
        Principal(userID: .make(), kind: kind, roles: roles, scopes: scopes, plan: "free")
    }

    @Test func `without scopes a credential may do everything, with some nothing else`() throws {
        let free = principal(.session(.make()))
        let bound = principal(.apiKey(APIKeyID(rawValue: "abcdefghij")), scopes: ["models", "credits"])
        for scope in ["llm", "models", "credits"] { try free.require(scope) }
        for scope in ["models", "credits"] { try bound.require(scope) }
        for scope in ["llm", "", "model", "models ", "MODELS"] {
            let problem = #expect(throws: Problem.self) { try bound.require(scope) }
            #expect(problem?.status == 403)
            #expect(problem?.code == "insufficient_scope")
        }
    }

    @Test func `only a session of an administrator administers`() {
        let roles = ["user", "admin"]
        #expect(principal(.session(.make()), roles: roles).isAdmin)
        #expect(!principal(.session(.make())).isAdmin)
        #expect(!principal(.apiKey(APIKeyID(rawValue: "abcdefghij")), roles: roles).isAdmin)
        #expect(!principal(.service("web-gateway"), roles: roles).isAdmin)
    }
}
