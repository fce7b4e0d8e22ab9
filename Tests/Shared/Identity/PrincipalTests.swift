import HTTP
import Identity
import Testing
import Values

@Suite struct PrincipalTests {
    private func principal(_ kind: Principal.Kind, roles: [String] = ["user"], scopes: [String] = []) -> Principal {
        Principal(userID: .make(), kind: kind, roles: roles, scopes: scopes, plan: "free")
    }

    private static let key = Principal.Kind.apiKey(APIKeyID(rawValue: "abcdefghij"))

    @Test func `a credential without scopes is unrestricted, and one with scopes has no others`() throws {
        let free = principal(.session(.make()))
        let bound = principal(Self.key, scopes: ["models", "credits"])
        for scope in ["llm", "models", "credits"] { try free.check(.credential(scope: scope)) }
        for scope in ["models", "credits"] { try bound.check(.credential(scope: scope)) }
        try bound.check(.credential())
        for scope in ["llm", "", "model", "models ", "MODELS"] {
            let problem = #expect(throws: Problem.self) { try bound.check(.credential(scope: scope)) }
            #expect(problem?.status == 403)
            #expect(problem?.code.rawValue == "insufficient_scope")
        }
    }

    /// Each access, and the codes with which it refuses a session, an administrator, a key and a service.
    static let matrix: [(access: CallerAccess, codes: [String?])] = [
        (.session(), [nil, nil, "session_required", "session_required"]),
        (.credential(), [nil, nil, nil, nil]),
        (.service, ["insufficient_scope", "insufficient_scope", "insufficient_scope", nil]),
        (.admin(), ["admin_required", nil, "admin_required", "admin_required"]),
    ]

    @Test(arguments: matrix)
    func `an access admits the callers that it names`(access: CallerAccess, codes: [String?]) {
        let callers = [
            principal(.session(.make())), principal(.session(.make()), roles: ["user", "admin"]),
            principal(Self.key, roles: ["user", "admin"]), principal(.service("web-gateway"), roles: ["admin"]),
        ]
        for (caller, code) in zip(callers, codes) {
            var refusal: Problem?
            do throws(Problem) { try caller.check(access) } catch { refusal = error }
            #expect(refusal?.code.rawValue == code, "\(caller.kind)")
        }
    }

    @Test func `a session is fresh for the given time after its sign-in`() throws {
        let now = Instant.now()
        var caller = principal(.session(.make()))
        for (age, isFresh) in [(0, true), (600, true), (601, false), (Int64.max, false)] as [(Int64, Bool)] {
            caller.authenticatedAt = now.seconds.subtractingReportingOverflow(age).partialValue
            var refusal: Problem?
            do throws(Problem) { try caller.check(.session(freshWithin: .seconds(600)), now: now) } catch { refusal = error }
            #expect((refusal == nil) == isFresh, "\(age)")
            #expect(refusal?.code.rawValue == (isFresh ? nil : "reauthentication_required"))
        }
        caller.authenticatedAt = .min
        #expect(throws: Problem.self) { try caller.check(.session(freshWithin: .seconds(600)), now: now) }
        caller.authenticatedAt = nil
        #expect(throws: Problem.self) { try caller.check(.session(freshWithin: .seconds(600)), now: now) }
    }

    @Test func `only a session of an administrator administers`() {
        let roles = ["user", "admin"]
        #expect(principal(.session(.make()), roles: roles).isAdmin)
        #expect(!principal(.session(.make())).isAdmin)
        #expect(!principal(.apiKey(APIKeyID(rawValue: "abcdefghij")), roles: roles).isAdmin)
        #expect(!principal(.service("web-gateway"), roles: roles).isAdmin)
    }
}
