import HTTPClient
import JSON
import Testing

extension SystemTests {
    /// Asks auth while the database is unavailable.
    struct DatabaseOutageTests {
        @Test func `without its database auth answers 503 in the shape of each route, and publishes its keys`() async throws {
            try await Gateway.run { gateway in
                let account = try await gateway.register()
                let auth = try gateway.stack.url(of: .auth)
                func ask(_ method: String, _ path: String, _ body: String? = nil, token: String? = nil) async throws -> ClientResponse {
                    var headers = [(name: "content-type", value: "application/json")]
                    if let token { headers.append(("authorization", "Bearer " + token)) }
                    return try await gateway.client.request(
                        ClientRequest(method, auth + path, headers: headers, body: body.map { Array($0.utf8) }))
                }
                try await gateway.stack.stop(.postgres)
                let result: Result<Void, any Error>
                do {
                    let credentials = #"{"email":"\#(account.email)","password":"\#(Gateway.password)"}"#
                    let refused =
                        [
                            ("POST", "/api/auth/login", credentials, nil), ("POST", "/api/auth/register", credentials, nil),
                            ("POST", "/api/auth/password/forgot", credentials, nil), ("GET", "/api/auth/me", nil, account.token),
                            ("GET", "/api/keys", nil, account.token),
                        ] as [(String, String, String?, String?)]
                    for (method, path, body, token) in refused {
                        let answer = try await ask(method, path, body, token: token)
                        #expect(answer.status == 503, "\(path)")
                        #expect(answer.header("retry-after") != nil, "\(path)")
                        #expect(try JSONObject(answer.body).object("error").string("code") == "unavailable", "\(path)")
                    }
                    let grant = "urn:ietf:params:oauth:grant-type:device_code"
                    let code = "ssd_" + String(repeating: "a", count: 43)
                    let poll = #"{"grant_type":"\#(grant)","device_code":"\#(code)","client_id":"smartspec-cli"}"#
                    for (path, body, token) in [
                        ("/oauth/token", poll, nil), ("/oauth/device_authorization", #"{"client_id":"smartspec-cli"}"#, nil),
                        ("/oauth/introspect", #"{"token":"\#(account.token)"}"#, Stack.serviceToken),
                    ] as [(String, String, String?)] {
                        let answer = try await ask("POST", path, body, token: token)
                        #expect(answer.status == 503, "\(path)")
                        #expect(try JSONObject(answer.body).string("error") == "temporarily_unavailable", "\(path)")
                    }
                    try gateway.expect(try await ask("GET", "/.well-known/jwks.json"), 200)
                    result = .success(())
                } catch {
                    result = .failure(error)
                }
                try await gateway.stack.start(.postgres)
                try result.get()
            }
        }
    }
}
