import Configuration
import Contracts
import EventLoop
import HTTP
import HTTPClient
import HTTPWire
import Identity
import JSON
import Postgres
import Synchronization
import Telemetry
import TestSupport
import Testing
import Values

@testable import Billing

/// Billing on a real server and database, next to the simulator of Stripe. Events are held until the test delivers them, and worked on
/// when the test says so.
final class BillingUnderTest: Sendable {
    let pool: PostgresPool
    let billing: UseCases
    let stripe: StripeSimulator
    let clock: TestClock
    let prices: [StripeSettings.PriceSlot: String]
    /// The browsers of users.
    let browsers: Browsers
    /// Stands for the ledger.
    let ledger: LedgerStub
    let client: HTTPClient
    let base: String

    static let log = Logger(service: "billing", level: .error)
    static let publicURL = "https://gateway.example"

    static func with<Value: Sendable>(_ body: @escaping @Sendable (BillingUnderTest) async throws -> Value) async throws -> Value {
        try await TestDatabase.current.withPool(connectionsMax: 16) { pool in
            try await StripeSimulator.with(loop: pool.loop) { stripe in
                // The clock of an earlier test went further than that of this one begins.
                try await pool.withConnection { try await $0.script("DELETE FROM sweep") }
                let clock = TestClock()
                let prices = try await stripe.makePrices()
                let port = Int(try freePorts(1)[0])
                let secret = try await stripe.makeWebhook(url: "http://127.0.0.1:\(port)/api/webhooks/stripe")
                try await stripe.control("POST", "webhooks", #"{"mode":"held"}"#)
                let portal = try await stripe.makePortal()
                let billing = UseCases(
                    pool: pool, settings: try settings(stripe.url, prices, secret, ["STRIPE_PORTAL_CONFIGURATION": portal]),
                    publicURL: publicURL, http: stripe.client,
                    loop: pool.loop,
                    log: log, callsPerSecond: 1_000, clock: { clock.now })
                try await billing.prices.run()
                let (browsers, ledger) = (Browsers(), LedgerStub())
                let router = Routes(
                    billing: billing, gate: gate(browsers), balance: { _ in ledger.balance }, charge: { ledger.reply(to: $0) }, log: log
                ).router
                let server = HTTPServer(
                    loop: pool.loop, configuration: HTTPServerConfiguration(host: "127.0.0.1", port: port), admit: router.admit,
                    handler: router.handler(log: log, service: "billing"), log: log)
                try server.start()
                let test = BillingUnderTest(
                    pool: pool, billing: billing, stripe: stripe, clock: clock, prices: prices, browsers: browsers, ledger: ledger,
                    client: stripe.client, base: "http://127.0.0.1:\(port)")
                let result: Result<Value, any Error>
                do { result = .success(try await body(test)) } catch { result = .failure(error) }
                await server.drain(within: .seconds(5))
                return try result.get()
            }
        }
    }

    private init(
        pool: PostgresPool, billing: UseCases, stripe: StripeSimulator, clock: TestClock, prices: [StripeSettings.PriceSlot: String],
        browsers: Browsers, ledger: LedgerStub, client: HTTPClient, base: String
    ) {
        (self.pool, self.billing, self.stripe, self.clock, self.prices) = (pool, billing, stripe, clock, prices)
        (self.browsers, self.ledger, self.client, self.base) = (browsers, ledger, client, base)
    }

    /// Use cases for a test that never needs Stripe, which does not answer.
    static func withoutStripe(_ pool: PostgresPool, _ client: HTTPClient) throws -> UseCases {
        UseCases(
            pool: pool, settings: try settings("http://127.0.0.1:9", [:], "whsec_0123456789abcdef"), publicURL: publicURL, http: client,
            loop: pool.loop, log: log)
    }

    static func settings(
        _ apiBase: String, _ prices: [StripeSettings.PriceSlot: String], _ secret: String, _ further: [String: String] = [:]
    ) throws -> StripeSettings {
        var variables = [
            "STRIPE_SECRET_KEY": "sk_test_billing", "STRIPE_PUBLISHABLE_KEY": "pk_test_billing", "STRIPE_WEBHOOK_SECRET": secret,
            "STRIPE_API_BASE": apiBase,
        ]
        for (slot, id) in prices {
            variables["STRIPE_PRICE_\(slot.plan.uppercased())_\(slot.interval == .month ? "MONTHLY" : "YEARLY")"] = id
        }
        return try StripeSettings(Environment(variables.merging(further) { $1 }), publicURL: try #require(URLText(publicURL)))
    }

    /// Takes the id of a user for the user's token, and `admin` before it for an administrator's. A browser has a cookie.
    private static func gate(_ browsers: Browsers) -> CallerGate<Principal> {
        CallerGate<Principal>(
            cookieName: Browsers.cookie, origin: publicURL,
            known: { headers, cookie in
                if cookie != .ignored, let browser = browsers.person(headers) { return browser }
                guard let text = headers.string(for: "authorization"), text.hasPrefix("Bearer ") else { return nil }
                let isAdmin = text.hasPrefix("Bearer admin ")
                guard let user = UserID(String(text.dropFirst(isAdmin ? 13 : 7))) else { return nil }
                return Principal(
                    userID: user, kind: .session(.make()), roles: isAdmin ? ["admin"] : [], scopes: [], plan: "free",
                    authenticatedAt: Instant.now().seconds)
            }, identify: { _, _ throws(Problem) in throw .invalidAPIKey })
    }

    // MARK: Users and orders

    /// A user whose address is confirmed, without free credits.
    func user() async throws -> UserID {
        let user = UserID.make()
        try await pool.execute(InsertCustomer(userID: user, email: "\(user)@example.com", verifiedAt: clock.now))
        return user
    }

    func stripeCustomer(of user: UserID) async throws -> String {
        try #require(try await pool.first(FindCustomer(userID: user))?.stripeCustomerID)
    }

    /// Moves both clocks, and works off what Stripe then tells.
    func advance(days: Int64 = 0, hours: Int64 = 0, seconds: Int64 = 0) async throws {
        let seconds = days * 86_400 + hours * 3_600 + seconds
        let answer = try await stripe.control("POST", "clock", #"{"advance":\#(seconds)}"#)
        let now = try answer.integer("now")
        clock.set(Instant(microseconds: now * 1_000_000))
    }

    /// Delivers everything that Stripe holds, and works until nothing is due.
    func deliver() async throws {
        try await stripe.deliverAll()
        try await work()
    }

    func work() async throws { while try await billing.worker.runOnce() > 0 {} }

    /// The grants that billing sent to the ledger for a user, oldest first.
    func granted(to user: UserID) async throws -> [PurchaseFulfilled] {
        try await pool.query(SentMessages(user: user, type: PurchaseFulfilled.name)).map { try PurchaseFulfilled(decoding: $0) }
    }

    /// The reversals that billing sent to the ledger for a user, oldest first.
    func reversed(of user: UserID) async throws -> [PurchaseReversed] {
        try await pool.query(SentMessages(user: user, type: PurchaseReversed.name)).map { try PurchaseReversed(decoding: $0) }
    }

    /// The balance that follows from all messages: of each grant the last statement counts.
    func balance(of user: UserID) async throws -> Credits {
        let taken = Dictionary(try await reversed(of: user).map { ($0.grantID, ($0.version, $0.target)) }) { $0.0 > $1.0 ? $0 : $1 }
        return try await granted(to: user).reduce(.zero) { $0 + $1.amount - (taken[$1.chargeID]?.1 ?? .zero) }
    }

    func plan(of user: UserID) async throws -> String { try await pool.one(FindCustomer(userID: user)).plan }

    func events(in states: String...) async throws -> [ListEvents.Listed] {
        try await pool.query(ListEvents(state: nil, before: nil, limit: 1_000)).filter { states.contains($0.state) }
    }

    // MARK: Asking over HTTP

    func ask(
        _ method: String, _ path: String, _ body: String? = nil, as user: UserID? = nil, admin: Bool = false,
        headers: [(name: String, value: String)] = []
    ) async throws -> Answer {
        try await ask(method, path, bytes: body.map { Array($0.utf8) }, as: user, admin: admin, headers: headers)
    }

    func ask(
        _ method: String, _ path: String, bytes: [UInt8]?, as user: UserID? = nil, admin: Bool = false,
        headers: [(name: String, value: String)] = []
    ) async throws -> Answer {
        var headers = headers
        if let user { headers.append(("authorization", "Bearer \(admin ? "admin " : "")\(user)")) }
        if bytes != nil { headers.append(("content-type", "application/json")) }
        let answer = try await client.request(ClientRequest(method, base + path, headers: headers, body: bytes))
        return Answer(status: answer.status, body: answer.body)
    }

    struct Answer: Sendable {
        var status: Int
        var body: [UInt8]

        func json() throws -> JSONObject { try JSONObject(body) }
        func string(_ name: String) throws -> String { try json().string(name) }
        var errorCode: String { (try? json().object("error").string("code")) ?? String(decoding: body.prefix(300), as: UTF8.self) }
        var errorParam: String? { (try? json().object("error").optionalString("param")) ?? nil }
    }
}

/// A clock that stands still until the test moves it.
final class TestClock: Sendable {
    private let time = Mutex(Instant.now())
    var now: Instant { time.withLock { $0 } }
    func set(_ moment: Instant) { time.withLock { $0 = moment } }
}

/// The bodies of the messages of a type to a user, in the order in which they were written.
private struct SentMessages: Statement {
    static let sql = "SELECT body FROM outbox WHERE type = $2 AND ordering_key = $1 ORDER BY seq"
    var user: UserID
    var type: String

    func bind(_ parameters: inout Parameters) {
        parameters.append(user.description)
        parameters.append(type)
    }
    static func decode(_ row: inout RowReader) throws(PostgresError) -> [UInt8] { try row.next() }
}
