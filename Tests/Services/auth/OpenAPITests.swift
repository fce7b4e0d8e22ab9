import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct OpenAPITests {
    /// ``AuthUnderTest/ask(_:_:_:token:headers:)`` compares each answer with its schema.
    @Test func `every operation answers a caller with credentials as the document promises`() async throws {
        try await AuthUnderTest.with { auth in
            var asked: Set<String> = []
            func ask(
                _ operation: String, _ body: String? = nil, token: String? = nil, id: String = "", expecting status: Int
            ) async throws -> AuthUnderTest.Answer {
                asked.insert(operation)
                let parts = operation.split(separator: " ")
                let answer = try await auth.ask(
                    String(parts[0]), String(parts[1]).replacing("{id}", with: id), body, token: token)
                #expect(answer.status == status, "\(operation)")
                return answer
            }
            for (index, path) in ["/api/auth/register", "/register"].enumerated() {
                _ = try await ask("POST \(path)", AuthUnderTest.credentials("openapi-\(index)@example.com"), expecting: 201)
            }
            let member = try await auth.register()
            for path in ["/api/auth/login", "/login"] {
                _ = try await ask("POST \(path)", AuthUnderTest.credentials(member.email), expecting: 200)
            }
            let key = try await ask("POST /api/keys", #"{"name":"k","limit":2.5}"#, token: member.accessToken, expecting: 201)
            for path in ["/api/auth/me", "/me"] {
                _ = try await ask("GET \(path)", token: member.accessToken, expecting: 200)
                _ = try await ask("GET \(path)", token: key.string("key"), expecting: 200)
            }
            let list = try await ask("GET /api/keys", token: member.accessToken, expecting: 200)
            #expect(try list.json().array("data").count == 1)
            _ = try await ask("DELETE /api/keys/{id}", token: member.accessToken, id: key.string("id"), expecting: 204)
            let tokens = #"{"refresh_token":"\#(member.refreshToken)"}"#
            _ = try await ask("POST /api/auth/refresh", tokens, expecting: 200)
            _ = try await ask("POST /api/auth/logout", token: member.accessToken, expecting: 204)
            let device = try await auth.register()
            asked.formUnion(try await Self.askAboutAccounts(auth))
            asked.formUnion(try await Self.askAsAdministrator(auth))
            asked.formUnion(try await Self.askAboutProviders(auth))
            for path in ["/api/auth/device/code", "/oauth/device_authorization"] {
                let codes = try await ask("POST \(path)", #"{"client_id":"smartspec-desktop"}"#, expecting: 200)
                let (deviceCode, userCode) = (try codes.string("device_code"), try codes.string("user_code"))
                asked.insert("GET /api/auth/device/verify")
                let found = try await auth.ask("GET", "/api/auth/device/verify?user_code=\(userCode)", token: device.accessToken)
                #expect(found.status == 200)
                let decision = #"{"user_code":"\#(userCode)","action":"approve"}"#
                _ = try await ask("POST /api/auth/device/authorize", decision, token: device.accessToken, expecting: 200)
                let poll = path.hasPrefix("/oauth") ? "/oauth/token" : "/api/auth/device/token"
                let grant = "urn:ietf:params:oauth:grant-type:device_code"
                let tokens = try await ask(
                    "POST \(poll)", #"{"grant_type":"\#(grant)","device_code":"\#(deviceCode)","client_id":"smartspec-desktop"}"#,
                    expecting: 200)
                _ = try await ask(
                    "POST /oauth/revoke", #"{"token":"\#(try tokens.string("refresh_token"))","client_id":"smartspec-desktop"}"#,
                    expecting: 200)
            }
            _ = try await ask(
                "POST /oauth/introspect", #"{"token":"\#(device.accessToken)"}"#, token: AuthUnderTest.serviceToken, expecting: 200)
            for name in ["jwks.json", "oauth-authorization-server", "openid-configuration"] {
                _ = try await ask("GET /.well-known/\(name)", expecting: 200)
            }
            #expect(asked == Set(auth.operations))
        }
    }

    /// Asks the operations of sessions, passwords and addresses.
    private static func askAboutAccounts(_ auth: AuthUnderTest) async throws -> [String] {
        let member = try await auth.register()
        let operations: [(String, String?, Int)] = [
            ("PATCH /api/auth/me", #"{"locale":"th"}"#, 200), ("GET /api/auth/sessions", nil, 200), ("DELETE /api/auth/sessions", nil, 204),
            ("POST /api/auth/email/resend", nil, 202), ("POST /api/auth/email/verify", #"{"token":"x"}"#, 400),
            ("POST /api/auth/email/change", #"{"email":"moved@example.com","password":"\#(AuthUnderTest.password)"}"#, 202),
            ("POST /api/auth/password/forgot", #"{"email":"\#(member.email)"}"#, 202),
            ("POST /api/auth/password/reset", #"{"token":"x","new_password":"another long password"}"#, 400),
            (
                "POST /api/auth/password/change",
                #"{"current_password":"\#(AuthUnderTest.password)","new_password":"another long password"}"#, 200
            ),
        ]
        for (operation, body, status) in operations {
            let parts = operation.split(separator: " ").map(String.init)
            let answer = try await auth.ask(parts[0], parts[1], body, token: member.accessToken)
            #expect(answer.status == status, "\(operation)")
        }
        let other = try await auth.register()
        #expect(try await auth.ask("DELETE", "/api/auth/sessions/\(other.session)", token: other.accessToken).status == 204)
        return operations.map(\.0) + ["DELETE /api/auth/sessions/{id}"]
    }

    /// Asks the operations of sign-in with a provider that is not configured, and of identities.
    private static func askAboutProviders(_ auth: AuthUnderTest) async throws -> [String] {
        let member = try await auth.register()
        let browser = try await auth.signInByForm(member.email)
        for path in ["start", "callback"] {
            #expect(try await auth.ask("GET", "/api/auth/oidc/nobody/\(path)").status == 404)
        }
        #expect(try await auth.ask("GET", "/api/auth/identities", token: member.accessToken).status == 200)
        let link = try await auth.submit("/settings/sign-in/link", ["token": "x"], headers: browser.pageHeaders)
        let unlink = try await auth.submit("/settings/sign-in/unlink?issuer=x&subject=x", [:], headers: browser.pageHeaders)
        #expect((link.status, unlink.status) == (400, 404))
        for path in ["/login", "/register"] { #expect(try await auth.ask("GET", path).status == 200) }
        return ["GET /api/auth/identities", "GET /login", "GET /register"]
    }

    /// Asks the operations of administrators.
    private static func askAsAdministrator(_ auth: AuthUnderTest) async throws -> [String] {
        let (member, admin) = (try await auth.register(), try await auth.administrator())
        let operations = [
            "GET /api/admin/users", "GET /api/admin/users/{id}", "GET /api/admin/users/{id}/audit", "POST /api/admin/users/{id}/deactivate",
            "POST /api/admin/users/{id}/reactivate", "POST /api/admin/users/{id}/role", "DELETE /api/admin/users/{id}/sessions",
        ]
        for operation in operations {
            let parts = operation.replacing("{id}", with: member.id.description).split(separator: " ").map(String.init)
            let body = parts[1].hasSuffix("role") ? #"{"role":"admin"}"# : nil
            #expect(try await auth.ask(parts[0], parts[1], body, token: admin.accessToken).status == 200, "\(operation)")
        }
        return operations
    }
}
