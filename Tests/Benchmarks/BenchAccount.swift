import Contracts
import EventLoop
import HTTPClient
import JSON
import Values

/// A user with enough credits for the whole run, and an API key.
struct BenchAccount {
    var id: AccountID
    var apiKey: String

    static func make(_ stack: BenchStack, on loop: EventLoop) async throws -> BenchAccount {
        let client = HTTPClient(loop: loop)
        defer { client.close() }
        func post(_ path: String, _ token: String?, _ body: String, expecting statuses: ClosedRange<Int>) async throws -> JSONObject {
            var headers: [(name: String, value: String)] = [("content-type", "application/json")]
            if let token { headers.append(("authorization", "Bearer " + token)) }
            let answer = try await client.request(ClientRequest("POST", try stack.edge + path, headers: headers, body: Array(body.utf8)))
            guard statuses.contains(answer.status) else {
                throw BenchError(description: "\(path): \(answer.status) \(String(decoding: answer.body, as: UTF8.self))")
            }
            return try JSONObject(answer.body)
        }
        let email = "bench-\(UUIDv7.make())@example.com"
        let person = try await post(
            "/api/auth/register", nil, #"{"email":"\#(email)","password":"correct horse battery staple"}"#, expecting: 201...201)
        let id = try person.object("user").id("id", as: AccountID.self)
        let key = try await post("/api/keys", try person.string("access_token"), #"{"name":"bench"}"#, expecting: 201...201)
        let admin = try stack.admin
        let login = try await post(
            "/api/auth/login", nil, #"{"email":"\#(admin.email)","password":"\#(admin.password)"}"#, expecting: 200...200)
        _ = try await post(
            "/api/admin/credits/adjust", try login.string("access_token"),
            #"{"user_id":"\#(id)","type":"topup","amount":1000000,"reason":"bench","idempotency_key":"\#(UUIDv7.make())"}"#,
            expecting: 200...201)
        return BenchAccount(id: id, apiKey: try key.string("key"))
    }
}
