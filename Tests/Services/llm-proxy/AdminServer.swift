import AMQP
import Contracts
import HTTP
import HTTPClient
import HTTPWire
import Identity
import JSON
import Messaging
import Postgres
import Telemetry
import TestSupport
import Testing
import Values

@testable import LLMProxy

/// The routes of administrators on a real server and database, without a broker.
///
/// The list has the model `sure` (1 and 4 USD), the model `unsure`, which one source has, and `brush`, whose kind no endpoint serves.
final class AdminServer: Sendable {
    enum Caller: String, CaseIterable { case admin, staleAdmin, adminsKey, user }

    struct Answer: Sendable {
        let status: Int
        let body: [UInt8]

        var json: JSONObject { get throws { try JSONObject(body) } }
        var code: String? { try? json.object("error").string("code") }
        var param: String? { try? json.object("error").optionalString("param") }
    }

    let pool: PostgresPool
    let catalogue = CurrentCatalogue(Catalogue(models: []))
    private let client: HTTPClient
    private let server: HTTPServer

    private static let models = ["sure": "true", "unsure": "null"].sorted { $0.key < $1.key }.map { id, agree in
        """
        {"id":"\(id)","provider":"openai","mode":"chat","max_input_tokens":1000,"max_output_tokens":500,
         "prices":{"input_usd_per_million":"1","output_usd_per_million":"4"},"two_sources_agree":\(agree)}
        """
    }
    private static let brush = #"{"id":"brush","provider":"openai","mode":"rerank","prices":{"input_usd_per_million":"0.1"}}"#
    private static let provider =
        #"{"providers":[{"name":"openai","base_url":"https://h/v1","api_key_variable":"K","models":[]}]}"#

    /// Runs a test with the catalogue of a new installation.
    static func with(_ body: @escaping @Sendable (AdminServer) async throws -> Void) async throws {
        try await TestDatabase.current.withPool { pool in
            try await pool.withConnection {
                try await $0.script(
                    """
                    ALTER TABLE price DISABLE TRIGGER price_append_only; ALTER TABLE unit_price DISABLE TRIGGER unit_price_append_only;
                    DELETE FROM price_confirmation; DELETE FROM unit_price; DELETE FROM price; DELETE FROM route; DELETE FROM model;
                    DELETE FROM credit_offers;
                    ALTER TABLE price ENABLE TRIGGER price_append_only; ALTER TABLE unit_price ENABLE TRIGGER unit_price_append_only;
                    """)
            }
            let list = try ModelList(
                Array(
                    #"{"date":"2026-07-24","about":"two sources","origins":{},"models":[\#((models + [brush]).joined(separator: ","))]}"#
                        .utf8))
            let file = try ProvidersFile(Array(provider.utf8), kinds: ["openai"], variables: { _ in nil })
            try await CatalogueStore(pool: pool).apply(file, .standard, list: list, sellers: ["openai"])
            let server = try AdminServer(pool, list)
            let result: Result<Void, any Error>
            do { result = .success(try await body(server)) } catch { result = .failure(error) }
            await server.server.drain(within: .seconds(1))
            server.client.close()
            try result.get()
        }
    }

    private init(_ pool: PostgresPool, _ list: ModelList) throws {
        self.pool = pool
        client = HTTPClient(loop: pool.loop)
        let log = Logger(service: "llm-proxy", level: .error)
        let amqp = try AMQPConfiguration(url: "amqp://u:p@127.0.0.1:1/x", connectionName: "unused")
        let ledger = LedgerClient(
            requests: RPCClient(amqp, service: "llm-proxy", repliesThrough: Topology.rpcReply.name, answeredBy: "ledger", log: log),
            publisher: AMQPPublisher(amqp, log: log), outbox: ChargeOutbox(pool: pool, loop: pool.loop), replica: "test",
            timing: try ProxySettingsTests.settings([:]).timing, log: log)
        let services = CallServices(
            loop: pool.loop, ledger: ledger,
            providers: ProviderConnections(loop: pool.loop, keys: ProviderKeys(of: []) { _ in nil }, timing: .init()),
            shared: ReplicaState(),
            log: log)
        let gate = CallerGate(known: Self.principal, identify: { _, _ throws(Problem) in throw .invalidAPIKey })
        let router = Routes(
            calls: ModelCalls(
                services: services, catalogue: catalogue,
                repeated: RepeatedCalls(
                    store: IdempotencyStore(pool: pool, record: { ChargeReply(chargeID: $0.chargeID, state: .unknown) }), log: log),
                topUpURL: ""),
            videos: Videos(services: services, catalogue: catalogue, store: VideoStore(pool: pool), topUpURL: ""),
            tokens: CountTokens(providers: services.providers, catalogue: catalogue),
            models: Models(catalogue: catalogue),
            receipts: Receipts(reader: ReceiptReader(pool: pool, record: { ChargeReply(chargeID: $0.chargeID, state: .unknown) })),
            balance: AccountBalance(ask: {
                BalanceReply(accountID: $0, posted: Credits(whole: 7), held: Credits(whole: 2), available: Credits(whole: 5))
            }),
            usage: AdminUsage(pool: pool),
            admin: AdminModels(
                prices: PriceAdministration(pool: pool, list: list, configured: ["openai"], rules: .standard), log: log),
            providers: AdminProviders(providers: ProviderAdministration(pool: pool, configured: ["openai"]), log: log),
            pages: .test(catalogue, viewer: gate.viewer), gate: gate, log: log
        ).router
        server = HTTPServer(
            loop: pool.loop, configuration: HTTPServerConfiguration(host: "127.0.0.1", port: 0), admit: router.admit,
            handler: router.handler(log: log, service: "llm-proxy"), log: log)
        try server.start()
    }

    @Sendable private static func principal(_ headers: HeaderBlock, _ cookie: CookieUse) -> Principal? {
        guard let caller = headers.string(for: "authorization").flatMap({ Caller(rawValue: $0) }) else { return nil }
        let age: Duration = caller == .staleAdmin ? .seconds(901) : .zero
        return Principal(
            userID: .make(), kind: caller == .adminsKey ? .apiKey(APIKeyID(rawValue: "abcdefghij")) : .session(.make()),
            roles: caller == .user ? ["user"] : ["admin"], scopes: [], plan: "free", authenticatedAt: (Instant.now() - age).seconds)
    }

    /// Sends a request, and compares its answer with what the service's document promises.
    func ask(_ method: String, _ path: String, as caller: Caller? = .admin, _ body: String? = nil) async throws -> Answer {
        let headers = caller.map { [(name: "authorization", value: $0.rawValue)] } ?? []
        let answer = try await client.request(
            ClientRequest(method, "http://127.0.0.1:\(server.port)\(path)", headers: headers, body: body.map { Array($0.utf8) }))
        let type = answer.headers.first { $0.name.lowercased() == "content-type" }?.value
        let differences = try ProxyUnderTest.document.get().differences(
            method, path, status: answer.status, contentType: type, body: answer.body)
        #expect(differences == [], "\(method) \(path): \(answer.status)")
        return Answer(status: answer.status, body: answer.body)
    }

    /// Opens a page.
    func open(_ path: String, as caller: Caller? = nil, in language: String = "en") async throws -> (status: Int, text: String) {
        let headers = caller.map { [(name: "authorization", value: $0.rawValue)] } ?? []
        let answer = try await client.request(
            ClientRequest(
                "GET", "http://127.0.0.1:\(server.port)\(path)", headers: headers + [(name: "accept-language", value: language)], body: nil)
        )
        return (answer.status, String(decoding: answer.body, as: UTF8.self))
    }

    /// Asks for the list, and returns one model.
    func model(_ id: String) async throws -> JSONObject {
        let models = try await ask("GET", "/api/admin/models").json.array("models").compactMap(\.object)
        return try #require(try models.first { try $0.string("id") == id })
    }
}

extension JSONObject {
    /// The texts of an array.
    func texts(_ name: String) throws -> [String] { try array(name).compactMap(\.string) }
}
