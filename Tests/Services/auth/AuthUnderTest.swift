import AMQP
import Configuration
import Contracts
import Crypto
import EventLoop
import HTTP
import HTTPClient
import Identity
import JSON
import Outbox
import Postgres
import Synchronization
import Telemetry
import TestSupport
import Testing
import Values
import Web

@testable import Auth

/// Auth on a real server, database and, where given, broker; on the loop of the test database.
final class AuthUnderTest: Sendable {
    let pool: PostgresPool
    let useCases: UseCases
    let passwords: Passwords
    let authenticator: Authenticator
    let clock: TestClock
    /// The method and the pattern of every route for programs.
    let operations = programRows.flatMap(\.operations)
    private let client: HTTPClient
    private let base: String

    /// The rows that the document describes.
    static let programRows = Routes.table.map(\.row).filter { !$0.isPage }
    static let document = Result { try OpenAPIDocument(of: "auth") }
    static let publicURL = "https://gateway.example"
    /// The token of the server `web-gateway`.
    static let serviceToken = String(repeating: "w", count: 32)
    static let log = Logger(service: "auth", level: .error)
    static let masterKeyText = "1:\(Base64.standard.encode([UInt8](repeating: 7, count: 32)))"
    static let masterKeys: MasterKeyRing = {
        guard let ring = try? MasterKeyRing(masterKeyText) else { preconditionFailure("the ring of the tests is well-formed") }
        return ring
    }()

    /// The settings of a service with these variables, without limits of registrations.
    static func settings(_ variables: [String: String] = [:]) throws -> AuthSettings {
        try AuthSettings(
            Environment(
                [
                    "MASTER_KEY": masterKeyText, "REGISTER_BURST": "1000000", "REGISTER_PER_SECOND_TOTAL": "1000000",
                    "REQUIRE_VERIFIED_EMAIL": "off", "SMTP_URL": "smtp://127.0.0.1:9", "MAIL_FROM": "SmartSpec <no-reply@gateway.example>",
                ].merging(variables) { $1 }
            ))
    }

    var accounts: Accounts { useCases.accounts }
    var sessions: Sessions { useCases.sessions }

    /// - Parameter broker: nil: events stay in the outbox, and no service can ask over the broker.
    static func with<Value: Sendable>(
        broker: TestBroker? = nil, hashing: PasswordHashing = PasswordHashing(passes: 1, memoryKiB: 64), hashThreads: Int = 2,
        hashQueueMax: Int = 64, credits: Credits? = nil, variables: [String: String] = [:],
        _ body: @escaping @Sendable (AuthUnderTest) async throws -> Value
    ) async throws -> Value {
        try await TestDatabase.current.withPool { pool in
            let auth = try await AuthUnderTest(
                pool: pool, broker: broker, hashing: hashing, hashThreads: hashThreads, hashQueueMax: hashQueueMax, credits: credits,
                settings: try settings(variables))
            let server = HTTPServer(
                loop: pool.loop, configuration: HTTPServerConfiguration(host: "127.0.0.1", port: 0),
                admit: auth.router.admit,
                handler: auth.router.handler(log: log, service: "auth"), log: log)
            try server.start()
            let running = Running(auth: auth, port: server.port)
            let result: Result<Value, any Error>
            do { result = .success(try await running.run(broker: broker, body)) } catch { result = .failure(error) }
            await server.drain(within: .seconds(5))
            running.auth.client.close()
            return try result.get()
        }
    }

    private let router: Router

    private init(
        pool: PostgresPool, broker: TestBroker?, hashing: PasswordHashing, hashThreads: Int, hashQueueMax: Int, credits: Credits?,
        settings: AuthSettings
    ) async throws {
        self.pool = pool
        let clock = TestClock()
        self.clock = clock
        passwords = Passwords(
            masterKeys: settings.masterKeys, hashing: hashing, threads: hashThreads, queueMax: hashQueueMax, metrics: Metrics())
        useCases = UseCases(
            pool: pool, settings: settings, passwords: passwords, publicURL: Self.publicURL, metrics: Metrics(), log: Self.log,
            clock: { clock.now })
        try await useCases.keyring.refresh()
        authenticator = Authenticator(
            service: "auth", publicURL: Self.publicURL,
            serviceTokens: try ServiceTokens(Environment(["WEB_GATEWAY_TOKEN": Self.serviceToken])), amqp: nil, source: useCases.identities,
            clock: { clock.moment }, log: Self.log)
        useCases.revocations.listener = authenticator
        router =
            Routes(
                useCases, authenticator: authenticator,
                balance: { _ in credits.map { Balance(available: $0, alertLevel: Credits(whole: 1)) } }, publicURL: Self.publicURL,
                log: Self.log
            ).router
        client = HTTPClient(loop: pool.loop)
        base = ""
    }

    private init(_ other: AuthUnderTest, port: Int) {
        pool = other.pool
        useCases = other.useCases
        passwords = other.passwords
        authenticator = other.authenticator
        clock = other.clock
        client = other.client
        router = other.router
        base = "http://127.0.0.1:\(port)"
    }

    private struct Running {
        let auth: AuthUnderTest

        init(auth: AuthUnderTest, port: Int) { self.auth = AuthUnderTest(auth, port: port) }

        func run<Value: Sendable>(
            broker: TestBroker?, _ body: @escaping @Sendable (AuthUnderTest) async throws -> Value
        ) async throws -> Value {
            guard let broker else { return try await body(auth) }
            let publisher = AMQPPublisher(try AMQPConfiguration(url: broker.url, connectionName: "auth:publish"), log: log)
            let requests = AMQPConsumer(
                try AMQPConfiguration(url: broker.url, connectionName: "auth:requests"), source: .queue(Topology.authRequests.name),
                prefetch: 64, log: log)
            let introspection = IntrospectionServer(
                consumer: requests, source: auth.useCases.identities, log: log)
            let relay = OutboxRelay(pool: auth.pool, publisher: publisher, log: log)
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await publisher.run() }
                group.addTask { await requests.run() }
                group.addTask { try await introspection.run() }
                group.addTask { try await relay.run() }
                defer { group.cancelAll() }
                #expect(await publisher.connected(within: .seconds(10)))
                return try await body(auth)
            }
        }
    }

    // MARK: Asking over HTTP

    struct Answer: Sendable {
        var status: Int
        var headers: [(name: String, value: String)]
        var body: [UInt8]

        func json() throws -> JSONObject { try JSONObject(body) }
        func string(_ name: String) throws -> String { try json().string(name) }
        func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }

        /// The code of an answer in the contract's error shape, or what is wrong with the shape.
        var errorCode: String {
            guard let error = try? json().object("error"), error.has("message"), error.has("type"), let code = try? error.string("code"),
                error.member("param") != nil
            else { return "not in the shape: \(String(decoding: body.prefix(200), as: UTF8.self))" }
            return code
        }
        var errorParam: String? { try? json().object("error").optionalString("param") }
    }

    /// Sends a request, and compares its answer with what the service's document promises.
    func ask(
        _ method: String, _ path: String, _ body: String? = nil, token: String? = nil, headers: [(name: String, value: String)] = []
    ) async throws -> Answer {
        try await ask(method, path, bytes: body.map { Array($0.utf8) }, token: token, headers: headers)
    }

    func ask(
        _ method: String, _ path: String, bytes body: [UInt8]?, token: String? = nil, headers: [(name: String, value: String)] = []
    ) async throws -> Answer {
        var headers = headers
        if let token { headers.append(("authorization", "Bearer \(token)")) }
        if body != nil, !headers.contains(where: { $0.name == "content-type" }) { headers.append(("content-type", "application/json")) }
        let answer = try await client.request(ClientRequest(method, base + path, headers: headers, body: body))
        let found = Answer(status: answer.status, headers: answer.headers, body: answer.body)
        // The document describes no pages.
        let isPage = found.status == 303 || found.header("content-type")?.hasPrefix("text/html") ?? false
        guard !isPage, !path.hasPrefix("/api/auth/oidc/") else { return found }
        let differences = try Self.document.get().differences(
            method, path, status: found.status, contentType: found.header("content-type"), body: found.body)
        #expect(differences == [], "\(method) \(path): \(found.status)")
        return found
    }

    struct Member: Sendable {
        var id: UserID
        var email: String
        var accessToken: String
        var refreshToken: String
        var session: SessionID
    }

    /// How often a session was refreshed, as the database has it.
    func generation(of session: SessionID) async throws -> Int64 {
        try await pool.transaction { try await $0.one(LockSession(id: session)).session.generation }
    }

    static let password = "a password that is long enough"

    func register(_ email: String? = nil) async throws -> Member {
        let email = email ?? "user-\(UUIDv7.make())@example.com"
        let answer = try await ask("POST", "/api/auth/register", Self.credentials(email))
        guard answer.status == 201 else { throw Unexpected(answer: answer) }
        return try member(answer)
    }

    func member(_ answer: Answer) throws -> Member {
        let json = try answer.json()
        let token = try json.string("access_token")
        let claims = try TokenVerifier(issuer: Self.publicURL).verify(
            Array(token.utf8), keys: Dictionary(uniqueKeysWithValues: useCases.keyring.published.map { ($0.id, $0.key) }), now: clock.now)
        return Member(
            id: claims.userID, email: try json.object("user").string("email"), accessToken: token,
            refreshToken: try json.string("refresh_token"), session: claims.sessionID)
    }

    /// A token of a session, signed with auth's current key.
    func token(of session: SessionID, user: UserID = .make(), version: Int64 = 0) -> String? {
        useCases.keyring.sign(
            AccessTokenClaims(
                issuer: Self.publicURL, audience: AccessToken.audience, userID: user, clientID: "web", sessionID: session, generation: 0,
                version: version, tokenID: .make(), issuedAt: clock.now.seconds, expiresAt: clock.now.seconds + 900,
                authenticatedAt: clock.now.seconds, roles: ["user"], scope: "", plan: "free"))
    }

    static func credentials(_ email: String, _ password: String = password) -> String {
        String(
            decoding: JSONWriter.object { json in
                json.field("email", email)
                json.field("password", password)
            }, as: UTF8.self)
    }

    struct Unexpected: Error, CustomStringConvertible {
        let answer: Answer
        var description: String { "\(answer.status) \(String(decoding: answer.body, as: UTF8.self))" }
    }
}

/// A clock that stands still until the test moves it.
final class TestClock: Sendable {
    private let time = Mutex(Instant.now())
    var now: Instant { time.withLock { $0 } }
    var moment: Moment { Moment(wall: now, monotonic: MonotonicInstant(nanoseconds: UInt64(now.microseconds) * 1_000)) }
    func advance(_ duration: Duration) { time.withLock { $0 = $0 + duration } }
}

extension Trait where Self == TestDatabase.Trait {
    static var authDatabase: TestDatabase.Trait {
        .database(schema: "auth", migrations: "Shared/Outbox/Migrations", "Services/auth/Migrations")
    }
}
