import Contracts
import EventLoop
import Foundation
import HTTPClient
import HTTPWire
import JSON
import Postgres
import Telemetry
import TestSupport
import UpstreamClient
import Values

/// The actions of a test on a running stack: as a user, as a program, as an operator who reads the
/// tables.
///
/// Made and used inside ``Gateway/run(_:)``.
final class Gateway: @unchecked Sendable {
    // @unchecked Sendable: confined to the tests' loop, which every task of `run` and of `concurrently` prefers.

    let stack: Stack
    let loop: EventLoop
    let client: HTTPClient
    let database: PostgresPool
    private let edge: String
    private let streams: UpstreamPool

    private init(_ stack: Stack, on loop: EventLoop) throws {
        self.stack = stack
        self.loop = loop
        edge = try stack.edge
        client = HTTPClient(loop: loop, connectionsMax: 512)
        var configuration = PostgresPool.Configuration(url: try stack.databaseURL, applicationName: "system-test")
        configuration.searchPath = "ledger"
        database = PostgresPool(loop: loop, configuration: configuration, log: Logger(service: "system-test", level: .error))
        guard let origin = Origin(edge) else { throw Stack.Failure(description: "edge \(edge)") }
        streams = try UpstreamPool(loop: loop, origin: origin)
    }

    private static let loop = EventLoop.spawn(name: "system-test")

    /// Runs a test against the shared stack, on the tests' loop.
    static func run<Value: Sendable>(_ body: @escaping @Sendable (Gateway) async throws -> Value) async throws -> Value {
        let stack = try await Stack.shared()
        return try await Task(executorPreference: loop) {
            let gateway = try Gateway(stack, on: loop)
            let result: Result<Value, any Error>
            do {
                try await gateway.everythingIsReady()
                result = .success(try await body(gateway))
            } catch {
                result = .failure(error)
            }
            await gateway.database.close()
            gateway.client.close()
            gateway.streams.close()
            return try result.get()
        }.value
    }

    /// A test before this one may have taken something away: services find it again by themselves, each in its time.
    private func everythingIsReady() async throws {
        for service in [Stack.Component.auth, .ledger, .billing, .proxy1, .proxy2] {
            try await isReady(service)
        }
    }

    /// Waits until a service is ready.
    func isReady(_ service: Stack.Component) async throws {
        let probe = ClientRequest("GET", try stack.health(of: service) + "/readyz")
        try await until("\(service.rawValue) is ready", within: .seconds(60)) { (try? await client.request(probe).status) == 200 }
    }

    // MARK: People

    struct Account: Sendable {
        var id: AccountID
        var email: String
        var token: String
        var refreshToken: String
    }

    static let password = "correct horse battery staple"

    /// A new person, with `credits` besides the free plan's ten, once both are there.
    /// - Parameter trace: 32 hexadecimal digits, to follow the registration by.
    func register(credits: Credits = .zero, trace: String? = nil) async throws -> Account {
        let email = "test-\(UUIDv7.make())@example.com"
        let answer = try await post(
            "/api/auth/register", token: nil, #"{"email":"\#(email)","password":"\#(Self.password)","full_name":"Test"}"#,
            headers: trace.map { [("traceparent", "00-\($0)-00f067aa0ba902b7-01")] } ?? [])
        try expect(answer, 201)
        let json = try JSONObject(answer.body)
        let account = Account(
            id: try json.object("user").id("id"), email: email, token: try json.string("access_token"),
            refreshToken: try json.string("refresh_token"))
        if credits != .zero { try await adjust(account, by: credits) }
        try await until("the free plan's credits are there") {
            try await self.balance(of: account).available == Credits(whole: 10) + credits
        }
        return account
    }

    /// A token of an administrator, once the services admit one: after an outage of the broker they hear of revocations again, each
    /// in its time.
    func adminToken() async throws -> String {
        let answer = try await post(
            "/api/auth/login", token: nil, #"{"email":"\#(try stack.adminEmail)","password":"\#(try stack.adminPassword)"}"#)
        try expect(answer, 200)
        let token = try JSONObject(answer.body).string("access_token")
        for path in ["/api/admin/credits/balance", "/api/admin/plans", "/api/admin/models"] {
            try await until("\(path) admits an administrator", within: .seconds(60)) { try await get(path, token: token).status != 503 }
        }
        return token
    }

    /// Returns the mails to a user, oldest first.
    func mails(to account: Account) async throws -> [MailSink.Message] {
        let answer = try await client.request(ClientRequest("GET", try stack.mailSink + "/messages?to=" + account.email))
        try expect(answer, 200)
        return try MailSink.messages(in: answer.body)
    }

    /// Confirms the address of a user by the link of the first mail.
    func confirmAddress(of account: Account) async throws {
        var token: Substring?
        try await until("the link is there") {
            token = try await self.mails(to: account).first?.links.first?.split(separator: "=").last
            return token != nil
        }
        try expect(try await post("/api/auth/email/verify", token: nil, #"{"token":"\#(token ?? "")"}"#), 204)
    }

    func adjust(_ account: Account, by credits: Credits) async throws {
        let type = credits < .zero ? "adjustment" : "topup"
        let answer = try await post(
            "/api/admin/credits/adjust", token: try await adminToken(),
            #"{"user_id":"\#(account.id)","type":"\#(type)","amount":\#(credits),"reason":"test","idempotency_key":"\#(UUIDv7.make())"}"#)
        guard (200...201).contains(answer.status) else { throw unexpected(answer) }
    }

    struct Balance: Equatable {
        var posted: Credits
        var held: Credits
        var available: Credits
    }

    func balance(of account: Account) async throws -> Balance {
        let answer = try await get("/v1/credits", token: account.token)
        try expect(answer, 200)
        let json = try JSONObject(answer.body)
        func credits(_ name: String) throws -> Credits {
            guard let credits = Credits(decimal: try json.decimalText(name)) else { throw unexpected(answer) }
            return credits
        }
        return Balance(posted: try credits("balance"), held: try credits("held"), available: try credits("available"))
    }

    // MARK: Calls

    func get(_ path: String, token: String?, headers: [(name: String, value: String)] = []) async throws -> ClientResponse {
        try await request("GET", path, token, nil, headers)
    }

    func post(_ path: String, token: String?, _ body: String, headers: [(name: String, value: String)] = []) async throws -> ClientResponse
    {
        try await request("POST", path, token, body, headers)
    }

    func request(
        _ method: String, _ path: String, _ token: String?, _ body: String?, _ headers: [(name: String, value: String)] = []
    ) async throws -> ClientResponse {
        var headers = headers
        if let token { headers.append(("authorization", "Bearer " + token)) }
        if body != nil { headers.append(("content-type", "application/json")) }
        return try await client.request(ClientRequest(method, edge + path, headers: headers, body: body.map { Array($0.utf8) }))
    }

    func chat(_ account: Account, model: String, maxTokens: Int? = nil) async throws -> ClientResponse {
        try await post("/v1/chat/completions", token: account.token, Self.chatBody(model: model, stream: false, maxTokens: maxTokens))
    }

    static func chatBody(model: String, stream: Bool, maxTokens: Int? = nil) -> String {
        let bound = maxTokens.map { #","max_tokens":\#($0)"# } ?? ""
        let options = stream ? #","stream":true,"stream_options":{"include_usage":true}"# : ""
        return #"{"model":"\#(model)","messages":[{"role":"user","content":"Say something."}]\#(bound)\#(options)}"#
    }

    struct Streamed: Sendable {
        var text: String
        /// The end of the connection; nil if the answer ended properly.
        var failure: UpstreamError?
        var headers: HeaderBlock
        var isDone: Bool { text.contains("data: [DONE]") && failure == nil }
        var events: [String] { text.components(separatedBy: "\n\n").filter { $0.hasPrefix("data: ") }.map { String($0.dropFirst(6)) } }
    }

    /// - Parameter leaveAfter: events after which the caller hangs up.
    func stream(
        _ account: Account, model: String, maxTokens: Int? = nil, leaveAfter: Int? = nil, headers extra: HeaderBlock = [:]
    ) async throws -> Streamed {
        try await stream(
            account, "/v1/chat/completions", Self.chatBody(model: model, stream: true, maxTokens: maxTokens), leaveAfter: leaveAfter,
            headers: extra)
    }

    func stream(
        _ account: Account, _ path: String, _ body: String, leaveAfter: Int? = nil, headers extra: HeaderBlock = [:]
    ) async throws -> Streamed {
        var headers: HeaderBlock = ["content-type": "application/json"]
        headers.add("authorization", "Bearer " + account.token)
        headers.add(extra)
        let call = try await streams.send(method: "POST", target: Array(path.utf8), headers: headers, body: Array(body.utf8))
        guard call.status == 200 else {
            throw Stack.Failure(description: "\(call.status): \(String(decoding: try await call.collect(upTo: 65_536), as: UTF8.self))")
        }
        var bytes: [UInt8] = []
        var failure: UpstreamError?
        do {
            try await call.pipe { part in
                bytes.append(contentsOf: part)
                if let leaveAfter, bytes.count(where: { $0 == 0x0A }) / 2 >= leaveAfter { call.cancel() }
            }
        } catch {
            failure = error
        }
        return Streamed(text: String(decoding: bytes, as: UTF8.self), failure: failure, headers: call.headers)
    }

    // MARK: Waiting and expecting

    /// Asks again until it is so, for at most `limit`.
    func until(_ what: String, within limit: Duration = .seconds(30), _ holds: () async throws -> Bool) async throws {
        let deadline = MonotonicInstant.current() + limit
        while !(try await holds()) {
            guard MonotonicInstant.current() < deadline else { throw Stack.Failure(description: "not within \(limit): \(what)") }
            try await loop.sleep(for: .milliseconds(25))
        }
    }

    func expect(_ answer: ClientResponse, _ status: Int) throws {
        if answer.status != status { throw unexpected(answer) }
    }

    func unexpected(_ answer: ClientResponse) -> Stack.Failure {
        Stack.Failure(description: "\(answer.status): \(String(decoding: answer.body, as: UTF8.self))")
    }
}
