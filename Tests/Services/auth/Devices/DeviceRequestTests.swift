import Crypto
import JSON
import TestSupport
import Testing
import Values

@testable import Auth

/// The request of a device for its codes (RFC 8628 §3.1, §3.2).
@Suite(.authDatabase) struct DeviceRequestTests {
    private static let device = [("client_id", "smartspec-desktop")]

    @Test func `T1, T2, T16: a form or JSON gets all six members`() async throws {
        try await AuthUnderTest.with { auth in
            let form = try await auth.post("/oauth/device_authorization", Self.device)
            let json = try await auth.ask(
                "POST", "/oauth/device_authorization", #"{"client_id":"smartspec-cli","device_name":"Anna's laptop"}"#)
            let app = try await auth.ask("POST", "/api/auth/device/code", "{}")
            for answer in [form, json, app] {
                #expect(answer.status == 200)
                #expect(answer.header("cache-control") == "no-store")
                #expect(answer.header("pragma") == "no-cache")
                let body = try answer.json()
                let code = try body.string("user_code")
                #expect(code.contains(#/^[A-Z2-9]{4}-[A-Z2-9]{4}$/#))
                #expect(try body.string("device_code").count == 47)
                #expect(try body.string("verification_uri") == "https://gateway.example/auth/device")
                #expect(try body.string("verification_uri_complete") == "https://gateway.example/auth/device?user_code=\(code)")
                #expect(try body.integer("expires_in") == 600)
                #expect(try body.integer("interval") == 5)
            }
        }
    }

    @Test func `T3, T4, T8: an empty parameter is omitted, an unknown one ignored, a charset accepted`() async throws {
        try await AuthUnderTest.with { auth in
            for fields in [Self.device + [("scope", "")], Self.device + [("resource", "x")]] {
                let answer = try await auth.post("/oauth/device_authorization", fields)
                #expect(answer.status == 200)
            }
            let charset = try await auth.ask(
                "POST", "/oauth/device_authorization", "client_id=smartspec-desktop",
                headers: [("content-type", "application/x-www-form-urlencoded; charset=utf-8")])
            #expect(charset.status == 200)
            let query = try await auth.ask(
                "POST", "/oauth/device_authorization?client_id=smartspec-desktop&scope=llm", "",
                headers: [("content-type", "application/x-www-form-urlencoded")])
            #expect(query.status == 200)
            let bare = try await auth.ask("POST", "/oauth/device_authorization?client_id=smartspec-desktop&scope=llm")
            #expect(bare.status == 200)
            let empty = try await auth.ask("POST", "/oauth/device_authorization")
            #expect((empty.status, empty.oauthError) == (400, "invalid_request"))
        }
    }

    @Test(
        arguments: [
            ("client_id=smartspec-desktop&client_id=smartspec-cli", "form", "invalid_request"), ("", "form", "invalid_request"),
            ("client_id=", "form", "invalid_request"), ("scope=llm", "form", "invalid_request"),
            ("client_id=%zz", "form", "invalid_request"),
            ("client_id=other", "form", "invalid_client"), ("client_id=smartspec-desktop&scope=admin", "form", "invalid_scope"),
            ("client_id=smartspec-desktop&scope=llm+nothing", "form", "invalid_scope"),
            ("client_id=smartspec-desktop&device_name=%00", "form", "invalid_request"),
            (#"{"client_id":5}"#, "json", "invalid_request"), (#"{"client_id":null}"#, "json", "invalid_request"),
            (#"{"client_id":["a"]}"#, "json", "invalid_request"), (#"{"client_id":{}}"#, "json", "invalid_request"),
            (#"{"client_id":"smartspec-desktop","client_id":"smartspec-cli"}"#, "json", "invalid_request"),
            ("[]", "json", "invalid_request"), ("", "json", "invalid_request"), ("{", "json", "invalid_request"),
            ("client_id=smartspec-desktop", "text/plain", "invalid_request"), ("x", "multipart/form-data; boundary=x", "invalid_request"),
        ])
    func `T5 to T8, T10, T12: a bad request is 400 in the shape of OAuth`(body: String, type: String, error: String) async throws {
        try await AuthUnderTest.with { auth in
            let types = ["form": "application/x-www-form-urlencoded", "json": "application/json"]
            let answer = try await auth.ask(
                "POST", "/oauth/device_authorization", body, headers: [("content-type", types[type] ?? type)])
            #expect((answer.status, answer.oauthError) == (400, error))
        }
    }

    @Test func `T9, T13, T14: methods, and clients that name themselves in the header`() async throws {
        try await AuthUnderTest.with { auth in
            let wrong = try await auth.ask("GET", "/oauth/device_authorization")
            #expect((wrong.status, wrong.header("allow")) == (405, "POST"))
            func basic(_ text: String, _ fields: [(String, String)] = []) async throws -> AuthUnderTest.Answer {
                try await auth.post(
                    "/oauth/device_authorization", fields,
                    headers: [("authorization", "Basic \(Base64.standard.encode(Array(text.utf8)))")])
            }
            let (known, both) = (try await basic("smartspec-desktop:"), try await basic("smartspec-desktop:", Self.device))
            #expect((known.status, both.status) == (200, 200))
            for text in ["other:", "smartspec-desktop:secret", "smartspec-desktop", ":"] {
                let answer = try await basic(text)
                #expect((answer.status, answer.oauthError) == (401, "invalid_client"))
                #expect(answer.header("www-authenticate")?.hasPrefix("Basic") == true)
            }
            let mixed = try await basic("smartspec-cli:", Self.device)
            #expect((mixed.status, mixed.oauthError) == (400, "invalid_request"))
        }
    }

    @Test func `a network has its burst of codes, then its rate`() async throws {
        try await AuthUnderTest.with(variables: ["DEVICE_CODE_BURST": "3", "DEVICE_CODES_PER_HOUR": "60"]) { auth in
            func request(from address: String) async throws -> AuthUnderTest.Answer {
                try await auth.post("/oauth/device_authorization", Self.device, headers: [("x-forwarded-for", address)])
            }
            var statuses: [Int] = []
            for _ in 0..<4 { statuses.append(try await request(from: "192.0.2.1").status) }
            statuses.append(try await request(from: "192.0.2.2").status)
            #expect(statuses == [200, 200, 200, 429, 200])
            #expect(try await request(from: "192.0.2.1").header("retry-after") != nil)
            auth.clock.advance(.seconds(60))
            let later = try await request(from: "192.0.2.1")
            #expect(later.status == 200)
        }
    }

    @Test func `a client of the configuration is known by its name`() async throws {
        try await AuthUnderTest.with(variables: ["OAUTH_CLIENTS": "editor=Code Editor"]) { auth in
            let member = try await auth.register()
            let codes = try await auth.requestDeviceCode([("client_id", "editor")])
            let found = try await auth.ask("GET", "/api/auth/device/verify?user_code=\(codes.userCode)", token: member.accessToken)
            #expect(try found.string("client_name") == "Code Editor")
        }
    }
}
