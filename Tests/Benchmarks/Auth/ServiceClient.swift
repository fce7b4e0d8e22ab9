import EventLoop
import HTTPWire
import JSON
import Synchronization
import UpstreamClient
import Values

/// Clients of one service, on its own port. Each request names the network of its client, as the edge
/// does.
struct ServiceClient: Sendable {
    private let pool: UpstreamPool

    /// - Parameter loop: sends every request.
    init(_ url: String, on loop: EventLoop) throws {
        guard let origin = Origin(url) else { throw BenchError(description: "the address \(url)") }
        var configuration = UpstreamPool.Configuration()
        configuration.connectionsMax = 128
        pool = try UpstreamPool(loop: loop, origin: origin, configuration: configuration)
    }

    struct Answer: Sendable {
        var status: Int
        var headers: HeaderBlock
        var body: [UInt8]
        var sentAt: MonotonicInstant
        var answeredAt: MonotonicInstant

        /// The value of `retry-after`, in seconds.
        var retryAfter: Int? { headers.string(for: "retry-after").flatMap { Int($0) } }
        var milliseconds: Double { (answeredAt - sentAt).milliseconds }
    }

    /// Sends one request and reads its whole answer.
    /// - Parameters:
    ///   - token: an access token or an API key.
    ///   - network: the address of the client; nil for this machine.
    ///   - extra: further headers. The body is JSON if they have no type.
    func send(
        _ method: StaticString, _ path: String, _ body: String = "", token: String? = nil, from network: String? = nil,
        with extra: HeaderBlock = [:]
    ) async throws -> Answer {
        var headers = extra
        if !headers.contains("content-type") { headers.add("content-type", "application/json") }
        if let token { headers.add("authorization", "Bearer " + token) }
        if let network { headers.add("x-forwarded-for", network) }
        let sentAt = MonotonicInstant.current()
        let answer = try await pool.send(method: method, target: Array(path.utf8), headers: headers, body: Array(body.utf8))
        let bytes = try await answer.collect(upTo: 1 << 20)
        return Answer(
            status: answer.status, headers: answer.headers, body: bytes, sentAt: sentAt, answeredAt: .current())
    }

    /// Sends one request that must succeed.
    /// - Returns: the object of the answer; an empty one for 204.
    func ask(
        _ method: StaticString, _ path: String, _ body: String = "", token: String? = nil, from network: String? = nil
    ) async throws -> JSONObject {
        let answer = try await send(method, path, body, token: token, from: network)
        guard (200...299).contains(answer.status) else {
            throw BenchError(description: "\(path): \(answer.status) \(String(decoding: answer.body, as: UTF8.self))")
        }
        return try JSONObject(answer.body.isEmpty ? Array("{}".utf8) : answer.body)
    }

    // MARK: Accounts

    func register(from network: String = ClientNetwork.next()) async throws -> AuthUser {
        let email = AuthUser.newAddress()
        return try AuthUser(try await ask("POST", "/api/auth/register", AuthUser.credentials(email), from: network), email, network)
    }

    /// Registers many users, 16 at a time.
    func register(_ count: Int) async throws -> [AuthUser] {
        try await withThrowingTaskGroup(of: AuthUser.self) { group in
            var users: [AuthUser] = []
            for started in 0..<count {
                if started >= 16, let user = try await group.next() { users.append(user) }
                group.addTask { try await register() }
            }
            for try await user in group { users.append(user) }
            return users
        }
    }

    func login(
        _ email: String, _ password: String = AuthUser.password, from network: String, with extra: HeaderBlock = [:]
    ) async throws -> Answer {
        try await send("POST", "/api/auth/login", AuthUser.credentials(email, password), from: network, with: extra)
    }

    /// Returns the access token of a new session.
    func session(of email: String, _ password: String = AuthUser.password, from network: String) async throws -> String {
        try await ask("POST", "/api/auth/login", AuthUser.credentials(email, password), from: network).string("access_token")
    }
}

/// A user that a benchmark registered.
struct AuthUser: Sendable {
    static let password = "correct horse battery staple"

    var id: String
    var email: String
    /// The network of the registration. Its session lives, so it is a known place.
    var network: String
    var accessToken: String
    var refreshToken: String

    fileprivate init(_ json: JSONObject, _ email: String, _ network: String) throws {
        id = try json.object("user").string("id")
        (self.email, self.network) = (email, network)
        (accessToken, refreshToken) = (try json.string("access_token"), try json.string("refresh_token"))
    }

    /// Returns an address without an account. All have the same length.
    static func newAddress() -> String { "auth-\(UUIDv7.make())@example.com" }

    /// Returns the body of a sign-in and of a registration.
    static func credentials(_ email: String, _ password: String = password) -> String {
        #"{"email":"\#(email)","password":"\#(password)"}"#
    }
}

/// Addresses of clients, each of them a network of its own: 198.18.0.0/15, which is set aside for
/// benchmarks (RFC 2544).
enum ClientNetwork {
    private static let used = Atomic<Int>(0)

    static func next() -> String {
        let number = used.wrappingAdd(1, ordering: .relaxed).oldValue
        return "198.\(18 + number >> 16 & 1).\(number >> 8 & 255).\(number & 255)"
    }
}
