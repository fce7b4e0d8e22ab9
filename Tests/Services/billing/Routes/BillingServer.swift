import Contracts
import EventLoop
import HTTP
import HTTPClient
import HTTPWire
import Identity
import JSON
import Postgres
import Telemetry
import TestSupport
import Testing
import Values

@testable import Billing

/// Billing's HTTP side over a real socket and a real database.
final class BillingServer: Sendable {
    let pool: PostgresPool
    private let client: HTTPClient
    private let server: HTTPServer

    static let document = Result { try OpenAPIDocument(of: "billing") }

    enum Caller: String, CaseIterable { case admin, staleAdmin, adminsKey, user }

    /// Runs a test with the catalogue of a new installation, because the tests of a suite share their database.
    static func with(_ body: @escaping @Sendable (BillingServer) async throws -> Void) async throws {
        try await TestDatabase.current.withPool { pool in
            _ = try await pool.transaction { transaction in
                try await transaction.script(
                    """
                    DELETE FROM plan_price; DELETE FROM plan; DELETE FROM package; DELETE FROM outbox;
                    UPDATE catalogue_version SET version = 1, is_announced = false
                    """)
                for plan in Catalogue.atStart.plans { try await transaction.execute(PutPlan(plan: plan)) }
                try await transaction.execute(PutPackages(packages: Catalogue.atStart.packages))
            }
            let server = try BillingServer(pool)
            let result: Result<Void, any Error>
            do { result = .success(try await body(server)) } catch { result = .failure(error) }
            await server.server.drain(within: .seconds(1))
            server.client.close()
            try result.get()
        }
    }

    private init(_ pool: PostgresPool) throws {
        self.pool = pool
        client = HTTPClient(loop: pool.loop)
        let log = Logger(service: "billing", level: .error)
        let routes = Routes(
            billing: try BillingUnderTest.withoutStripe(pool, client),
            gate: CallerGate(known: Self.principal, identify: { _, _ throws(Problem) in throw .invalidAPIKey }),
            balance: { _ in nil }, charge: { ChargeReply(chargeID: $0.chargeID, state: .unknown) }, log: log)
        let router = routes.router
        server = HTTPServer(
            loop: pool.loop, configuration: HTTPServerConfiguration(host: "127.0.0.1", port: 0), admit: router.admit,
            handler: router.handler(log: log, service: "billing"), log: log)
        try server.start()
    }

    @Sendable private static func principal(_ headers: HeaderBlock, _ cookie: CookieUse) -> Principal? {
        guard let caller = headers.string(for: "authorization").flatMap({ Caller(rawValue: $0) }) else { return nil }
        let age: Duration = caller == .staleAdmin ? .seconds(901) : .zero
        return Principal(
            userID: .make(), kind: caller == .adminsKey ? .apiKey(APIKeyID(rawValue: "abcdefghij")) : .session(.make()),
            roles: caller == .user ? ["user"] : ["admin"], scopes: [], plan: "free", authenticatedAt: (Instant.now() - age).seconds)
    }

    struct Answer: Sendable {
        let status: Int
        let body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }
        var json: JSONObject { get throws { try JSONObject(body) } }
        var code: String? { try? json.object("error").string("code") }
        var param: String? { try? json.object("error").optionalString("param") }
        var message: String? { try? json.object("error").string("message") }
    }

    /// Sends a request, and compares its answer with what the service's document promises.
    func ask(_ method: String, _ path: String, as caller: Caller? = nil, _ body: String? = nil) async throws -> Answer {
        let headers = caller.map { [(name: "authorization", value: $0.rawValue)] } ?? []
        let answer = try await client.request(
            ClientRequest(method, "http://127.0.0.1:\(server.port)\(path)", headers: headers, body: body.map { Array($0.utf8) }))
        let type = answer.headers.first { $0.name.lowercased() == "content-type" }?.value
        let differences = try Self.document.get().differences(
            method, path, status: answer.status, contentType: type, body: answer.body)
        #expect(differences == [], "\(method) \(path): \(answer.status)")
        return Answer(status: answer.status, body: answer.body)
    }
}

extension JSONObject {
    /// A member's own characters.
    func text(of name: String) -> String? { raw(name).map { String(decoding: $0, as: UTF8.self) } }

    func rows(_ name: String) throws -> [JSONObject] { try array(name).compactMap(\.object) }
}
