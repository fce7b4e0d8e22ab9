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
import Web

@testable import Ledger
@testable import LedgerCore

struct Answer: Sendable {
    let status: Int
    let headers: [(name: String, value: String)]
    let body: [UInt8]

    var json: JSONObject? { try? JSONObject(body) }
    var text: String { String(decoding: body, as: UTF8.self) }
    var code: String? { try? json?.object("error").string("code") }
    var param: String? { try? json?.object("error").string("param") }
    func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
}

extension JSONObject {
    /// A member's own characters.
    func text(of name: String) -> String? {
        members.first { $0.name == name }.map { String(decoding: bytes[$0.valueRange], as: UTF8.self) }
    }

    func objects(_ name: String) throws -> [JSONObject] {
        try array(name).map { value in
            guard let object = value.object else { throw JSONError.notAnObject }
            return object
        }
    }
}

/// The ledger's HTTP side over a real socket and a real database; a table of tokens names the caller.
final class RouteServer: @unchecked Sendable {
    // @unchecked Sendable: used on the test loop only.
    let ledger: StoreUnderTest
    /// The method and the pattern of every route that programs use.
    let operations = Routes.table.map(\.row).filter { !$0.isPage }.flatMap(\.operations)
    static let document = Result { try OpenAPIDocument(of: "ledger") }
    let slots = CallerSlots(of: "reads of history or usage", loop: TestDatabase.loop, patience: .milliseconds(100))
    let settingSlots = CallerSlots(of: "changes of settings", loop: TestDatabase.loop, patience: .milliseconds(100))
    private var callers: [String: Principal] = [:]
    private var server: HTTPServer?
    let client = HTTPClient(loop: TestDatabase.loop)

    init(_ ledger: StoreUnderTest) { self.ledger = ledger }

    func start() throws {
        let log = Logger(service: "ledger-test", level: .error)
        let routes = Routes(
            store: ledger.store, runner: ledger.runner, auditor: Auditor(pool: ledger.pool, log: silent),
            slots: slots, settingSlots: settingSlots,
            gate: CallerGate(
                cookieName: "session", origin: Self.origin,
                known: { [self] headers, cookie in cookie == .ignored ? nil : browser(headers) },
                identify: { [self] headers, cookie throws(Problem) in
                    if cookie != .ignored, let browser = browser(headers) { return browser }
                    return try principal(headers)
                }),
            topUpURL: "http://gateway/billing", site: Site(service: "ledger", publicURL: Self.origin), log: log)
        let router = routes.router
        let server = HTTPServer(
            loop: TestDatabase.loop, configuration: HTTPServerConfiguration(host: "127.0.0.1", port: 0), admit: router.admit,
            handler: router.handler(log: log, service: "ledger"), log: log)
        try server.start()
        self.server = server
    }

    func stop() async {
        await server?.drain(within: .seconds(1))
        client.close()
    }

    var port: Int { server?.port ?? 0 }

    static let origin = "http://gateway"

    private func browser(_ headers: HeaderBlock) -> Principal? {
        headers.cookie("session").flatMap { callers[String(decoding: $0, as: UTF8.self)] }
    }

    /// A person with a browser.
    func browser(isAdmin: Bool = false, timeZone: String = "UTC") -> Principal {
        var person = person(isAdmin: isAdmin)
        guard let session = person.sessionID else { preconditionFailure("a person has a session") }
        (person.locale, person.timeZone, person.csrf) = ("en", timeZone, SessionCookie.make(for: session).cookie.csrf)
        callers[person.userID.description] = person
        return person
    }

    /// The sign-in of a browser, some time ago.
    func signIn(_ person: Principal, before: Duration) {
        callers[person.userID.description]?.authenticatedAt = (Instant.now() - before).seconds
    }

    private func principal(_ headers: HeaderBlock) throws(Problem) -> Principal {
        guard let token = headers.string(for: "authorization"), var caller = callers[token] else { throw .invalidAPIKey }
        if caller.service != nil {
            guard let user = headers.string(for: "x-on-behalf-of").flatMap({ UserID($0) }) else {
                throw .invalidRequest("A service token needs one x-on-behalf-of header.", param: "x-on-behalf-of")
            }
            caller.userID = user
        }
        return caller
    }

    func person(isAdmin: Bool = false) -> Principal {
        let person = Principal(
            userID: .make(), kind: .session(.make()), roles: isAdmin ? ["admin"] : ["user"], scopes: [], plan: "free",
            authenticatedAt: Instant.now().seconds)
        callers["Bearer \(token(of: person))"] = person
        return person
    }

    /// An API key of `person`.
    func key(of person: Principal, scopes: [String] = []) -> Principal {
        var key = person
        key.kind = .apiKey(APIKeyID(rawValue: "k\(callers.count)"))
        key.scopes = scopes
        callers["Bearer \(token(of: key))"] = key
        return key
    }

    /// One of our own servers; `user` is who it acts for by default.
    func service(_ name: String, for user: Principal) -> Principal {
        var service = user
        (service.kind, service.roles, service.plan) = (.service(name), [], "")
        callers["Bearer \(token(of: service))"] = service
        return service
    }

    private func token(of caller: Principal) -> String { caller.service ?? caller.apiKeyID?.rawValue ?? caller.userID.description }

    /// Sends a request, and compares its answer with what the service's document promises.
    ///
    /// - Parameter onBehalfOf: of a service token; nil sends no such header.
    func ask(
        _ method: String, _ path: String, as caller: Principal?, _ body: String? = nil, onBehalfOf user: UserID? = nil
    ) async throws -> Answer {
        var headers: [(name: String, value: String)] = [("content-type", "application/json")]
        if let caller { headers.append(("authorization", "Bearer \(token(of: caller))")) }
        if let user { headers.append(("x-on-behalf-of", user.description)) }
        var request = ClientRequest(method, "http://127.0.0.1:\(port)\(path)", headers: headers, body: body.map { Array($0.utf8) })
        request.responseBytesMax = 64 << 20
        let response = try await client.request(request)
        let answer = Answer(status: response.status, headers: response.headers, body: response.body)
        let differences = try Self.document.get().differences(
            method, path, status: answer.status, contentType: answer.header("content-type"), body: answer.body)
        #expect(differences == [], "\(method) \(path): \(answer.status)")
        return answer
    }

    func lines(_ path: String, as person: Principal) async throws -> (page: JSONObject, objects: [JSONObject], amounts: [String]) {
        let page = try #require(try await ask("GET", path, as: person).json)
        let objects = try page.objects("transactions")
        return (page, objects, objects.map { $0.text(of: "amount") ?? "" })
    }

    /// Returns the conversations that the journal's charges of a person name.
    func conversations(of person: Principal) async throws -> [String?] {
        try await ledger.pool.query(ReadConversations(account: person.accountID))
    }

    func tamper(_ sql: String) async throws { try await ledger.pool.withConnection { try await $0.script(sql) } }

    /// Charges as a model call does: held, settled, with what the rollups count.
    @discardableResult
    func call(
        _ person: Principal, cost: Credits, model: String, operation: String? = nil, tokens: (Int64, Int64) = (0, 0)
    ) async throws -> ChargeID {
        let id = ChargeID.make()
        let units: UnitQuantities = [.input: tokens.0, .output: tokens.1]
        let metadata = JSONWriter.object { json in
            json.field("model", model)
            if let operation { json.field("operation", operation) }
            json.object("usage") { units.encode(into: &$0) }
        }
        let context = Context(
            description: model, metadata: String(decoding: metadata, as: UTF8.self),
            usage: Usage(model: model, operation: operation, units: units))
        _ = try await ledger.do([
            Command(
                id: id, account: person.accountID,
                action: .hold(HoldAmounts(most: cost, usual: cost, least: cost), timeToLive: .seconds(60))),
            Command(id: id, account: person.accountID, action: .settle(amount: cost), context: context),
        ])
        return id
    }
}

private struct ReadConversations: Statement {
    let account: AccountID

    static let sql = "SELECT conversation_id FROM journal WHERE account_id = $1 AND posted_delta < 0 ORDER BY seq"

    func bind(_ parameters: inout Parameters) { parameters.append(account) }

    static func decode(_ row: inout RowReader) throws(PostgresError) -> String? { try row.next(ConversationID?.self)?.description }
}

func withServer(limits: Limits = Limits(), _ body: @escaping @Sendable (RouteServer) async throws -> Void) async throws {
    try await withLedgers(limits: limits) { ledgers in try await serve(ledgers[0], body) }
}

/// Runs a test that writes times or chains of its own into the tables: nothing is audited at the
/// end.
func withUnauditedServer(_ body: @escaping @Sendable (RouteServer) async throws -> Void) async throws {
    let database = TestDatabase.current
    try await TestDatabase.onLoop {
        let ledger = StoreUnderTest(database)
        try await ledger.start()
        let result: Result<Void, any Error>
        do { result = .success(try await serve(ledger, body)) } catch { result = .failure(error) }
        await ledger.stop()
        try result.get()
    }
}

/// Runs `body` with an HTTP server of the ledger.
func serve(_ ledger: StoreUnderTest, _ body: (RouteServer) async throws -> Void) async throws {
    let server = RouteServer(ledger)
    try server.start()
    let result: Result<Void, any Error>
    do { result = .success(try await body(server)) } catch { result = .failure(error) }
    await server.stop()
    try result.get()
}
