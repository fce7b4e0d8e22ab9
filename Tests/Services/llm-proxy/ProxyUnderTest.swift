import AMQP
import Configuration
import Contracts
import EventLoop
import HTTP
import HTTPWire
import Identity
import JSON
import Messaging
import Postgres
import Synchronization
import Telemetry
import TestSupport
import Testing
import UpstreamClient
import Values

@testable import LLMProxy

/// The proxy's calls on a real server, broker and database, between a ledger and a provider that do
/// what the test says.
///
/// `m`, `priced` and `hidden` have all surfaces, other models that of chat.
/// An output token costs a thousandth of a credit. A prompt token costs nothing, except that of the
/// model `priced`, which costs as much as output.
///
/// | model | an answer | its tokens |
/// |---|---|---|
/// | `m`, `priced` | usually 100, at most 4,000, of use from 64 | visible |
/// | `vendor/m`, `claude` | as `m`; `claude` speaks Anthropic's wire format and its prompt costs as much as output | visible |
/// | `thinker` | speaks Anthropic's wire format; usually 100, at most 8,000, of use from 64; its prompt and its cache have prices, and it takes pictures | partly hidden |
/// | `mixed` | is sold by three providers: as `m`, as `claude` and as `moved` | visible |
/// | `picture` | pictures at the price of 40 tokens, HD of 80 | |
/// | `scribe` | 30 s of sound written down at the price of 10 tokens | |
/// | `writer` | sound written down; a token at the price of a token | visible |
/// | `singer` | speech as events; a token of the text or of sound at the price of a token | visible |
/// | `voice` | speech, a character at the price of a token | |
/// | `film` | a second of video at the price of 100 tokens; of 1024x1792 of 500 | |
/// | `film-flat` | videos of 5 credits, of more than 5 s of 10 | |
/// | `backed` | is sold as `m` by `scripted-openai`, and at the double price by `spare`, which comes second | visible |
/// | `backed-dear` | the same, at the thousandfold price by `spare` | visible |
/// | `neighbour` | its provider has a private address that the configuration does not allow | |
/// | `moved` | its row names an address that is not its key's | |
/// | `hidden` | usually 100, at most 4,000, of use from 200; limit in `max_completion_tokens` | partly hidden |
final class ProxyUnderTest: @unchecked Sendable {
    // @unchecked Sendable: used on the test loop only, as are the ledger, the provider and the callers.

    static let document = Result { try OpenAPIDocument(of: "llm-proxy") }

    let ledger: ScriptedLedger
    /// The models whose routes were switched off.
    let switchedOff: SwitchedOff
    /// The job that follows videos. It runs when the test says so.
    let videoKeeper: VideoKeeper
    /// The answers that a repeated call may join.
    let running: RunningAnswers
    private let markers: AMQPPublisher
    let provider: ScriptedProvider
    let server: HTTPServer
    private let identities: KnownKeys
    private let pool: UpstreamPool
    private let broker: TestBroker
    private let database: PostgresPool

    static let tokenPrice = Credits(nano: 1_000_000)
    static func tokens(_ count: Int64) -> Credits { Credits(nano: count * tokenPrice.nano) }
    static let log = Logger(service: "llm-proxy", level: .error)
    /// The tokens of the servers `web-gateway` and `mcp-server`.
    static let (webToken, mcpToken) = (String(repeating: "w", count: 32), String(repeating: "m", count: 32))

    /// The times and sizes that a test may lessen.
    struct Times: Sendable {
        /// The time for the answer of the ledger.
        var holdWithin = Duration.seconds(10)
        var fundsWithin = Duration.zero
        var outagePatience = Duration.seconds(90)
        /// The time for the provider after the client left.
        var listensFor = Duration.seconds(10)
        var holdTimeToLive = Duration.seconds(600)
        /// The time for the outbox to keep a charge.
        var keepWithin = Duration.seconds(10)
        /// The connection to the broker for everything but questions.
        var isPublisherDown = false
        /// False for a proxy that dies before it writes its receipts.
        var writesReceipts = true
        var provider = ProviderConnections.Timing()
        /// True if no account pays for the calls of our own servers.
        var skipsServiceCalls = false
        /// The answers in one piece that are collected at once, in bytes.
        var answersMax = 256 << 20
        /// The bodies of all requests, in bytes.
        var bodiesMax = HTTPServerConfiguration().bufferedBodyBytesMax
    }

    static func with(
        _ times: Times = Times(), _ body: @escaping @Sendable (ProxyUnderTest) async throws -> Void
    ) async throws {
        try await TestBroker.with { broker in
            // Whatever the routing keys are: one queue for questions, one for commands.
            for queue in ["questions", "commands"] { try broker.declareQueue(queue) }
            for (exchange, queue) in [
                (Topology.ledgerRPC, "questions"), (Topology.ledgerQueries, "questions"), (Topology.ledgerCommands, "commands"),
            ] {
                try broker.declareExchange(exchange.name, type: "topic")
                try broker.bind(queue: queue, exchange: exchange.name, routingKey: "#")
            }
            try await TestDatabase.current.withPool { database in
                try await run(broker, database, times, body)
            }
        }
    }

    /// Runs a proxy without videos of earlier tests, and with the row of the provider that makes them.
    static func withVideos(_ body: @escaping @Sendable (ProxyUnderTest) async throws -> Void) async throws {
        try await with { proxy in
            try await proxy.sql(
                """
                DELETE FROM video_job;
                INSERT INTO provider (name, kind, base_url, api_key_variable)
                VALUES ('scripted-openai', 'openai', 'http://127.0.0.1:\(proxy.provider.port)/v1', 'KEY')
                ON CONFLICT (name) DO UPDATE SET base_url = excluded.base_url
                """)
            try await body(proxy)
        }
    }

    private static func run(
        _ broker: TestBroker, _ database: PostgresPool, _ times: Times,
        _ body: @escaping @Sendable (ProxyUnderTest) async throws -> Void
    ) async throws {
        func amqp(_ name: String) throws -> AMQPConfiguration { try AMQPConfiguration(url: broker.url, connectionName: name) }
        let ledger = ScriptedLedger(
            questions: AMQPConsumer(try amqp("ledger:questions"), source: .queue("questions"), prefetch: 100, log: log),
            commands: AMQPConsumer(try amqp("ledger:commands"), source: .queue("commands"), prefetch: 100, log: log))
        let markers = AMQPPublisher(try amqp("test:markers"), log: log)
        let requests = RPCClient(
            try amqp("llm-proxy:rpc"), service: "llm-proxy", repliesThrough: Topology.rpcReply.name, answeredBy: try amqp("").user, log: log
        )
        let publisher = AMQPPublisher(try amqp("llm-proxy:publisher"), log: log)
        let provider = ScriptedProvider()
        let providerServer = try server(provider.router, on: database.loop)
        let identities = KnownKeys()
        provider.port = providerServer.port
        let scripted = providers(port: provider.port)
        let client = LedgerClient(
            requests: requests, publisher: publisher,
            outbox: ChargeOutbox(pool: database, loop: database.loop, enqueueWithin: times.keepWithin),
            replica: "llm-proxy:test",
            timing: .init(
                holdWithin: times.holdWithin, holdTimeToLive: times.holdTimeToLive, fundsWithin: times.fundsWithin,
                confirmWithin: .seconds(10), outagePatience: times.outagePatience),
            log: log)
        let writer = ReceiptWriter(pool: database, log: log)
        let switchedOff = SwitchedOff()
        let shared = ReplicaState(
            keepReceipt: { writer.add($0) }, switchOff: { switchedOff.add($0.id) }, listensFor: times.listensFor,
            skipsServiceCalls: times.skipsServiceCalls)
        let services = CallServices(
            loop: database.loop, ledger: client,
            providers: ProviderConnections(
                loop: database.loop,
                keys: ProviderKeys(of: scripted.map { .init(provider: $0, models: [], isPrivateNetwork: false) }) { _ in
                    Secret("provider-key")
                }, timing: times.provider, room: AnswerRoom(bytesMax: times.answersMax)),
            shared: shared, log: log)
        let videos = VideoStore(pool: database)
        let videoKeeper = VideoKeeper(
            store: videos, providers: services.providers,
            report: { client.prolong($0) }, keepReceipt: { shared.note($0) }, log: log, canReport: { client.isConnected })
        let catalogue = CurrentCatalogue(catalogue(of: scripted))
        let authenticator = Authenticator(
            service: "test", publicURL: "https://gateway.example",
            serviceTokens: try ServiceTokens(Environment(["WEB_GATEWAY_TOKEN": webToken, "MCP_SERVER_TOKEN": mcpToken])), amqp: nil,
            source: identities, log: log)
        let repeated = RepeatedCalls(store: IdempotencyStore(pool: database, record: { try await client.record($0) }), log: log)
        let router = Routes(
            calls: ModelCalls(
                services: services, catalogue: catalogue, repeated: repeated,
                topUpURL: "https://gateway.example/plans"),
            videos: Videos(services: services, catalogue: catalogue, store: videos, topUpURL: "https://gateway.example/plans"),
            tokens: CountTokens(providers: services.providers, catalogue: catalogue),
            models: Models(catalogue: catalogue),
            receipts: Receipts(reader: ReceiptReader(pool: database, record: { try await client.record($0) })),
            balance: AccountBalance(ask: {
                BalanceReply(accountID: $0, posted: Credits(whole: 7), held: Credits(whole: 2), available: Credits(whole: 5))
            }),
            usage: AdminUsage(pool: database),
            admin: AdminModels(
                prices: PriceAdministration(
                    pool: database, list: try ModelList(Array(#"{"date":"2026-07-24","about":"","origins":{},"models":[]}"#.utf8)),
                    configured: [],
                    rules: .standard), log: log),
            providers: AdminProviders(providers: ProviderAdministration(pool: database, configured: []), log: log),
            pages: .test(catalogue), gate: authenticator.gate, log: log
        ).router
        let proxyServer = try server(router, on: database.loop, bodiesMax: times.bodiesMax)
        let proxy = try ProxyUnderTest(
            ledger, switchedOff, videoKeeper, repeated.running, markers, provider, identities, broker, database, proxyServer)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await requests.run() }
            if !times.isPublisherDown { group.addTask { await publisher.run() } }
            group.addTask { await markers.run() }
            group.addTask { try await ledger.run() }
            if times.writesReceipts { group.addTask { try await writer.run() } }
            defer { group.cancelAll() }
            #expect(await requests.connected(within: .seconds(30)))
            if !times.isPublisherDown { #expect(await publisher.connected(within: .seconds(30))) }
            #expect(await markers.connected(within: .seconds(30)))
            try await body(proxy)
        }
        proxy.pool.close()
        for server in [proxyServer, providerServer] { await server.drain(within: .seconds(5)) }
    }

    static func server(
        _ router: Router, on loop: EventLoop, bodiesMax: Int = HTTPServerConfiguration().bufferedBodyBytesMax
    ) throws -> HTTPServer {
        var configuration = HTTPServerConfiguration(host: "127.0.0.1", port: 0)
        configuration.bufferedBodyBytesMax = bodiesMax
        let server = HTTPServer(
            loop: loop, configuration: configuration, admit: router.admit, handler: router.handler(log: log, service: "test"),
            log: log)
        try server.start()
        return server
    }

    /// The scripted provider in each of its wire formats, and one with an address of a private network.
    private static func providers(port: Int) -> [Catalogue.Provider] {
        let scripted = ["openai", "anthropic"].map { kind in
            Catalogue.Provider(name: "scripted-\(kind)", kind: kind, baseURL: "http://127.0.0.1:\(port)/v1", apiKeyVariable: "KEY")
        }
        return scripted + [
            Catalogue.Provider(name: "neighbour", kind: "openai", baseURL: "https://10.0.0.1/v1", apiKeyVariable: "KEY"),
            Catalogue.Provider(name: "spare", kind: "openai", baseURL: "http://127.0.0.1:\(port)/spare", apiKeyVariable: "KEY"),
        ]
    }

    private static func catalogue(of providers: [Catalogue.Provider]) -> Catalogue {
        func model(
            _ id: String, of provider: Catalogue.Provider, promptPicoUSD: Int64 = 0, completionPicoUSD: Int64 = 1_000_000_000,
            least: Int64 = 64, isHidden: Bool = false, surfaces: some Sequence<Surface> = Surface.usual, priority: Int64 = 0
        ) -> Catalogue.Model {
            Catalogue.Model(
                id: id, provider: provider, providerModel: id, surfaces: Set(surfaces),
                price: PriceVersion(prompt: promptPicoUSD, completion: completionPicoUSD),
                limits: ModelLimits(
                    contextTokens: 100_000, maxOutputTokens: 4_000, defaultOutputTokens: 100, outputTokensLeast: least, imageTokensMax: nil,
                    reasoning: isHidden ? .hidden : .none, outputLimitMember: isHidden ? .maxCompletionTokens : .maxTokens),
                createdAt: .now(), priority: priority)
        }
        func media(
            _ id: String, of provider: Catalogue.Provider, _ surface: Surface, _ prices: [(UsageUnit, ServiceTier, Int64)],
            hasTokens: Bool = false
        ) -> Catalogue.Model {
            var media = model(id, of: provider, surfaces: surface == .images ? [.images, .imageEdits] : [surface])
            media.price = PriceVersion(
                version: 1, rule: media.price.rule,
                rows: prices.map { UnitPriceRow(unit: $0.0, tier: $0.1, price: PicoUSD(value: $0.2)) })
            if !hasTokens { media.limits = .none }
            return media
        }
        func thinker(of provider: Catalogue.Provider) -> Catalogue.Model {
            var thinker = model("thinker", of: provider, isHidden: true)
            thinker.price.units = [
                .input: PicoUSD(value: 1_000_000_000), .cachedInput: PicoUSD(value: 100_000_000),
                .cacheWrite: PicoUSD(value: 1_250_000_000),
                .cacheWrite1h: PicoUSD(value: 2_000_000_000), .output: PicoUSD(value: 1_000_000_000),
            ]
            (thinker.limits.maxOutputTokens, thinker.limits.imageTokensMax) = (8_000, 1_000)
            return thinker
        }
        var film = media("film-flat", of: providers[0], .videos, [])
        film.price = PriceVersion(
            version: 1, rule: PricingRule(formula: .flat, minimumCharge: .zero), rows: FlatPrices.rows(for: [.videos]))
        var moved = providers[0]
        (moved.name, moved.baseURL) = ("moved", moved.baseURL.replacing("127.0.0.1", with: "127.0.0.2"))
        return Catalogue(
            models: [
                media("scribe", of: providers[0], .transcriptions, [(.audio30s, .standard, 10_000_000_000)]),
                media(
                    "writer", of: providers[0], .transcriptions, [.input, .audioInput, .output].map { ($0, .standard, 1_000_000_000) },
                    hasTokens: true),
                media("picture", of: providers[0], .images, [(.image, .standard, 40_000_000_000), (.image, .hd, 80_000_000_000)]),
                media(
                    "singer", of: providers[0], .speech,
                    [(.input, .standard, 1_000_000_000), (.audioOutput, .standard, 1_000_000_000)], hasTokens: true),
                media("voice", of: providers[0], .speech, [(.character, .standard, 1_000_000_000)]),
                media(
                    "film", of: providers[0], .videos,
                    [(.videoSecond, .standard, 100_000_000_000), (.videoSecond, .media("1024x1792"), 500_000_000_000)]),
                film,
                model("m", of: providers[0], surfaces: Surface.allCases),
                model("priced", of: providers[0], promptPicoUSD: 1_000_000_000, surfaces: Surface.allCases),
                model("hidden", of: providers[0], least: 200, isHidden: true, surfaces: Surface.allCases),
                model("vendor/m", of: providers[0], surfaces: [.chat]),
                model("claude", of: providers[1], promptPicoUSD: 1_000_000_000), model("moved", of: moved),
                thinker(of: providers[1]), model("neighbour", of: providers[2]), model("mixed", of: providers[0]),
                model("mixed", of: providers[1]),
                model("mixed", of: moved), model("backed", of: providers[0]), model("backed-dear", of: providers[0]),
                model("backed", of: providers[3], completionPicoUSD: 2_000_000_000, priority: 1),
                model("backed-dear", of: providers[3], completionPicoUSD: 1_000_000_000_000, priority: 1),
            ], unpricedRoutes: [.init(model: "unpriced", provider: "scripted-openai")])
    }

    private init(
        _ ledger: ScriptedLedger, _ switchedOff: SwitchedOff, _ videoKeeper: VideoKeeper, _ running: RunningAnswers,
        _ markers: AMQPPublisher,
        _ provider: ScriptedProvider, _ identities: KnownKeys, _ broker: TestBroker,
        _ database: PostgresPool, _ server: HTTPServer
    ) throws {
        self.markers = markers
        self.server = server
        self.broker = broker
        self.database = database
        self.ledger = ledger
        self.switchedOff = switchedOff
        self.videoKeeper = videoKeeper
        self.running = running
        self.provider = provider
        self.identities = identities
        pool = try UpstreamPool(loop: database.loop, origin: try #require(Origin("http://127.0.0.1:\(server.port)")))
    }

    // MARK: Callers

    /// Sends a call and reads its answer as it comes.
    /// - Parameters:
    ///   - members: further members of the body: `,"max_tokens":10`.
    ///   - key: a key of ``person(limits:)``, or a service token; by default a person of its own.
    ///   - headers: further headers of the request.
    func call(
        _ members: String = "", model: String = "m", stream: Bool = true, limits: SpendingLimits? = nil, key: String? = nil,
        operation: String? = nil, headers: HeaderBlock = [:]
    ) -> Caller {
        Caller(
            pool, key: key ?? identities.add(limits: limits), body: Array(Self.body(members, model: model, stream: stream).utf8),
            operation: operation,
            headers: headers)
    }

    static func body(_ members: String = "", model: String = "m", stream: Bool = true) -> String {
        #"{"model":"\#(model)","stream":\#(stream),"messages":[{"role":"user","content":"Say something."}]\#(members)}"#
    }

    /// Sends a body unchanged.
    func send(_ body: String, to path: String = Surface.chat.path, key: String? = nil, headers: HeaderBlock = [:]) -> Caller {
        send(bytes: Array(body.utf8), to: path, key: key, headers: headers)
    }

    func send(bytes: [UInt8], to path: String, key: String? = nil, headers: HeaderBlock = [:]) -> Caller {
        Caller(pool, key: key ?? person(), body: bytes, path: path, headers: headers)
    }

    /// Sends a call in Anthropic's shape.
    /// - Parameter members: further members of the body.
    func message(
        _ members: String = "", model: String = "claude", limit: Int = 70, stream: Bool = true, headers: HeaderBlock = [:]
    ) -> Caller {
        send(
            #"{"model":"\#(model)","max_tokens":\#(limit),"stream":\#(stream),"messages":[{"role":"user","content":"Say something."}]\#(members)}"#,
            to: "/v1/messages", headers: headers)
    }

    /// Reads as the owner of `key`, or as a new person.
    func get(_ path: String, key: String? = nil) async throws -> (status: Int, contentType: String?, body: [UInt8]) {
        try await get(path, ["authorization": "Bearer \(key ?? person())"])
    }

    func get(_ path: String, _ headers: HeaderBlock) async throws -> (status: Int, contentType: String?, body: [UInt8]) {
        let answer = try await pool.send(method: "GET", target: Array(path.utf8), headers: headers, body: [])
        return (answer.status, answer.headers.string(for: "content-type"), try await answer.collect(upTo: 1 << 20))
    }

    /// - Returns: the status.
    func delete(_ path: String, key: String) async throws -> Int {
        let answer = try await pool.send(
            method: "DELETE", target: Array(path.utf8), headers: ["authorization": "Bearer \(key)"], body: [])
        _ = try await answer.collect(upTo: 1 << 20)
        return answer.status
    }

    /// Makes an API key of a new person.
    func person(limits: SpendingLimits? = nil) -> String { identities.add(limits: limits) }

    /// Returns the owner of a key.
    func user(of key: String) -> UserID { identities.owner(of: key) }
}

// MARK: Broker and outbox

extension ProxyUnderTest {
    struct Outboxed: Hashable {
        var type: String
        var key: String?
    }

    /// Returns the messages of the outbox in their order, and removes them.
    func outboxed() async throws -> [Outboxed] { try await database.query(TakeOutbox()) }

    /// Deletes the queue, so that no queue takes further questions of the proxy.
    func loseTheQuestions() throws { try broker.deleteQueue("questions") }

    /// Sends a command after the commands of the proxy.
    func sendMarker() async throws {
        let marker = VoidHold(chargeID: .make(), accountID: .make(), reason: "marker")
        try await markers.publish(OutgoingMessage(marker, from: "llm-proxy"), within: .seconds(10))
    }

    /// Writes the row of the price version that the models of the test have.
    func writePrice(markup: Int64) async throws {
        try await database.withConnection {
            try await $0.script(
                """
                INSERT INTO price (version, model, provider, formula, markup_basis_points, credits_per_usd, minimum_charge)
                OVERRIDING SYSTEM VALUE VALUES (1, 'm', 'scripted-openai', 'cost_plus', \(markup), 1000000000, 0)
                """)
        }
    }

    /// Runs SQL in the proxy's schema.
    func sql(_ text: String) async throws { try await database.withConnection { try await $0.script(text) } }

    /// Holds a lock on the receipts, so that the database does not answer a statement that writes them.
    func withLockedReceipts(_ body: () async throws -> Void) async throws {
        try await database.withConnection { connection in
            try await connection.script("BEGIN; LOCK TABLE receipt")
            try await body()
            try await connection.script("COMMIT")
        }
    }

    func withoutOutbox(_ body: () async throws -> Void) async throws {
        try await database.withConnection { try await $0.script("ALTER TABLE outbox RENAME TO outbox_gone") }
        try await body()
        try await database.withConnection { try await $0.script("ALTER TABLE outbox_gone RENAME TO outbox") }
    }

    /// Holds a lock on the outbox, so that the database does not answer a statement that writes it.
    func withLockedOutbox(_ body: () async throws -> Void) async throws {
        try await database.withConnection { connection in
            try await connection.script("BEGIN; LOCK TABLE outbox")
            try await body()
            try await connection.script("COMMIT")
        }
    }
}

private struct TakeOutbox: Statement {
    static let sql =
        "WITH taken AS (DELETE FROM outbox RETURNING seq, type, ordering_key) SELECT type, ordering_key FROM taken ORDER BY seq"

    static func decode(_ row: inout RowReader) throws(PostgresError) -> ProxyUnderTest.Outboxed {
        ProxyUnderTest.Outboxed(type: try row.next(), key: try row.next(String?.self))
    }
}

final class SwitchedOff: Sendable {
    private let all = Mutex<[String]>([])

    var models: [String] { all.withLock { $0 } }
    func add(_ model: String) { all.withLock { $0.append(model) } }
}

/// Keys of people, each of a person of its own.
private final class KnownKeys: IdentitySource, @unchecked Sendable {
    // @unchecked Sendable: used on the test loop only.
    private var owners: [APIKeyID: APIKeyReply.Owner] = [:]

    func add(limits: SpendingLimits?) -> String {
        let (key, text) = APIKey.make()
        owners[key.id] = APIKeyReply.Owner(userID: .make(), roles: ["user"], scopes: [], plan: "free", expiresAt: nil, limits: limits)
        return text
    }

    func signingKeys(_ question: QuerySigningKeys) async throws -> SigningKeysReply {
        SigningKeysReply(keys: [], revokedSessions: [], revokedAPIKeys: [], readAt: .now())
    }
    func owner(of key: IntrospectAPIKey) async throws -> APIKeyReply.Owner? { owners[key.apiKeyID] }
    func owner(of cookie: IntrospectSession) async throws -> SessionReply.Owner? { nil }

    func owner(of text: String) -> UserID {
        guard let key = APIKey(Array(text.utf8)), let owner = owners[key.id] else { preconditionFailure("unknown key") }
        return owner.userID
    }
}
