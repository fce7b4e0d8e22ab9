import AMQP
import Contracts
import Crypto
import EventLoop
import HTTPWire
import Identity
import JSON
import TestSupport
import Testing
import Values

@testable import Auth

@Suite(.authDatabase) struct APIKeyTests {
    @Test func `a key is shown once, listed without its secret, and works`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let made = try await auth.ask(
                "POST", "/api/keys",
                #"{"name":" my  laptop ","scopes":["profile","llm","llm"],"expires_at":"2099-01-31T12:00:00Z","limit":2.5,"daily_limit":0.000000001}"#,
                token: member.accessToken)
            #expect(made.status == 201)
            #expect(made.header("cache-control") == "no-store")
            let json = try made.json()
            let text = try json.string("key")
            let key = try #require(APIKey(Array(text.utf8)))
            #expect(try json.string("id") == key.id.rawValue)
            #expect(try json.string("name") == "my laptop")
            #expect(try json.string("last4") == key.last4)
            #expect(try json.decimalText("limit") == "2.5")
            #expect(try json.decimalText("daily_limit") == "0.000000001")
            #expect(try json.array("scopes").compactMap(\.string) == ["llm", "profile"])

            let listed = try await auth.ask("GET", "/api/keys", token: member.accessToken)
            let records = try listed.json().array("data").compactMap(\.object)
            #expect(records.count == 1)
            #expect(try records.first?.string("id") == key.id.rawValue)
            #expect(records.first?.member("key") == nil)
            #expect(try records.first?.decimalText("limit") == "2.5")
            #expect(try records.first?.decimalText("daily_limit") == "0.000000001")

            let me = try await auth.ask("GET", "/api/auth/me", token: text)
            #expect(me.status == 200)
            #expect(try me.string("id") == member.id.description)
            #expect(try me.json().array("sessions").isEmpty)
            let used = try await auth.ask("GET", "/api/keys", token: member.accessToken).json().array("data").first?.object
            #expect(used?.has("last_used_at") == true)
        }
    }

    @Test func `a revoked key is refused at once, and a second revocation is 404`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let made = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: member.accessToken)
            let (id, text) = (try made.string("id"), try made.string("key"))
            let before = try await auth.ask("GET", "/api/auth/me", token: text)
            #expect(before.status == 200)
            let gone = try await auth.ask("DELETE", "/api/keys/\(id)", token: member.accessToken)
            #expect(gone.status == 204)
            let after = try await auth.ask("GET", "/api/auth/me", token: text)
            #expect((after.status, after.errorCode) == (401, "token_revoked"))
            let twice = try await auth.ask("DELETE", "/api/keys/\(id)", token: member.accessToken)
            #expect((twice.status, twice.errorCode) == (404, "not_found"))
            let events = try await auth.outboxCount("apikey.revoked.v1", about: id)
            #expect(events == 1)
        }
    }

    @Test func `another user's key is not found`() async throws {
        try await AuthUnderTest.with { auth in
            let (owner, other) = (try await auth.register(), try await auth.register())
            let made = try await auth.ask(
                "POST", "/api/keys", #"{"name":"k","user_id":"\#(other.id)","userId":"\#(other.id)"}"#, token: owner.accessToken)
            let id = try made.string("id")
            let answer = try await auth.ask("DELETE", "/api/keys/\(id)", token: other.accessToken)
            #expect((answer.status, answer.errorCode) == (404, "not_found"))
            let listed = try await auth.ask("GET", "/api/keys", token: other.accessToken)
            #expect(try listed.json().array("data").isEmpty)
            let me = try await auth.ask("GET", "/api/auth/me", token: try made.string("key"))
            #expect(try me.string("id") == owner.id.description)
        }
    }

    @Test func `an API key cannot make, list or revoke keys, or sign out`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let made = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: member.accessToken)
            let (id, text) = (try made.string("id"), try made.string("key"))
            let asked = [("POST", "/api/keys"), ("GET", "/api/keys"), ("DELETE", "/api/keys/\(id)"), ("POST", "/api/auth/logout")]
            for (method, path) in asked {
                let answer = try await auth.ask(method, path, path == "/api/keys" && method == "POST" ? #"{"name":"n"}"# : nil, token: text)
                #expect((answer.status, answer.errorCode) == (403, "session_required"))
            }
        }
    }

    @Test(
        arguments: [
            ("{}", "name"), (#"{"name":""}"#, "name"), (#"{"name":"   "}"#, "name"), (#"{"name":7}"#, "name"),
            (#"{"name":"\#(String(repeating: "n", count: 65))"}"#, "name"), (#"{"name":"k","scopes":["admin"]}"#, "scopes"),
            (#"{"name":"k","scopes":"llm"}"#, "scopes"), (#"{"name":"k","scopes":[1]}"#, "scopes"),
            (#"{"name":"k","expires_at":"2001-01-01T00:00:00Z"}"#, "expires_at"), (#"{"name":"k","expires_at":"tomorrow"}"#, "expires_at"),
            (#"{"name":"k","limit":0}"#, "limit"), (#"{"name":"k","limit":-1}"#, "limit"), (#"{"name":"k","limit":1e3}"#, "limit"),
            (#"{"name":"k","limit":0.0000000001}"#, "limit"), (#"{"name":"k","limit":99999999999999999999}"#, "limit"),
            (#"{"name":"k","limit":"2"}"#, "limit"), (#"{"name":"k","limit":1,"daily_limit":0}"#, "daily_limit"),
            (#"{"name":"k","daily_limit":-0.5}"#, "daily_limit"), (#"{"name":"k","daily_limit":0.1234567891}"#, "daily_limit"),
        ])
    func `a bad request for a key is 400 and names the field`(body: String, param: String) async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let answer = try await auth.ask("POST", "/api/keys", body, token: member.accessToken)
            #expect((answer.status, answer.errorParam) == (400, param))
        }
    }

    @Test func `forty requests at once make twenty keys`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for index in 0..<40 {
                    group.addTask { try await auth.ask("POST", "/api/keys", #"{"name":"k\#(index)"}"#, token: member.accessToken).status }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.count { $0 == 201 } == 20)
            #expect(statuses.count { $0 == 409 } == 20)
        }
    }

    @Test func `a key expires on time, also when it was just used`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let expiry = auth.clock.now + .seconds(60)
            let made = try await auth.ask("POST", "/api/keys", #"{"name":"k","expires_at":"\#(expiry)"}"#, token: member.accessToken)
            let text = try made.string("key")
            let before = try await auth.ask("GET", "/api/auth/me", token: text)
            #expect(before.status == 200)
            auth.clock.advance(.seconds(60))
            let after = try await auth.ask("GET", "/api/auth/me", token: text)
            #expect((after.status, after.errorCode) == (401, "token_expired"))
        }
    }

    @Test func `a key with any changed character is refused`() async throws {
        try await AuthUnderTest.with { auth in
            let member = try await auth.register()
            let text = try await auth.ask("POST", "/api/keys", #"{"name":"k"}"#, token: member.accessToken).string("key")
            for index in stride(from: 0, to: text.utf8.count, by: 5) {
                var bytes = Array(text.utf8)
                bytes[index] = bytes[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
                let answer = try await auth.ask("GET", "/api/auth/me", token: String(decoding: bytes, as: UTF8.self))
                #expect((answer.status, answer.errorCode) == (401, "invalid_api_key"))
            }
            // The right id with another key's secret, whole and with a right checksum.
            let (key, _) = APIKey.make()
            let id = try #require(APIKey(Array(text.utf8))).id
            let owner = try await auth.useCases.keys.owner(of: IntrospectAPIKey(apiKeyID: id, secretSHA256: key.secretDigest.hexadecimal))
            #expect(owner == nil)
        }
    }
}
