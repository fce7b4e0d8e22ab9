import EventLoop
import HTTPClient
import JSON
import Postgres
import Synchronization
import Values

/// A user who pays. A new plan ends access tokens, and the user's client then refreshes.
final class Payer: Sendable {
    private let state: Mutex<Gateway.Account>

    init(_ account: Gateway.Account) { state = Mutex(account) }

    /// The account with its last tokens.
    var account: Gateway.Account { state.withLock(\.self) }
    func use(token: String, refreshToken: String) { state.withLock { ($0.token, $0.refreshToken) = (token, refreshToken) } }
}

/// A checkout session: its id and its page at Stripe.
struct CheckoutPage: Sendable, Equatable {
    var session: String
    var url: String

    init(_ json: JSONObject) throws { (session, url) = (try json.string("session_id"), try json.string("url")) }
}

/// The requests of a user who pays, and of an operator to Stripe's simulator.
extension Gateway {
    func registerPayer() async throws -> Payer { Payer(try await register()) }

    /// Sends a request of a user, a second time if a new plan has ended the access token.
    func ask(_ method: String, _ path: String, _ body: String? = nil, as payer: Payer) async throws -> ClientResponse {
        let account = payer.account
        let answer = try await request(method, path, account.token, body)
        guard answer.status == 401 else { return answer }
        // Requests at one time get the same tokens.
        let refreshed = try await post("/api/auth/refresh", token: nil, #"{"refresh_token":"\#(account.refreshToken)"}"#)
        try expect(refreshed, 200)
        let tokens = try JSONObject(refreshed.body)
        payer.use(token: try tokens.string("access_token"), refreshToken: try tokens.string("refresh_token"))
        return try await request(method, path, payer.account.token, body)
    }

    /// Sends a request of a user until billing answers it.
    func insist(_ method: String, _ path: String, _ body: String? = nil, as payer: Payer) async throws -> ClientResponse {
        var last: ClientResponse?
        try await until("\(method) \(path) is answered", within: .seconds(60)) {
            let answer = try await ask(method, path, body, as: payer)
            last = answer
            return answer.status < 500
        }
        guard let last else { throw Stack.Failure(description: "no answer") }
        return last
    }

    func orderCredits(_ credits: Int, as payer: Payer) async throws -> CheckoutPage {
        let answer = try await insist("POST", "/api/payment/checkout/credits", #"{"credits_amount":\#(credits)}"#, as: payer)
        try expect(answer, 200)
        return try CheckoutPage(JSONObject(answer.body))
    }

    func orderPlan(_ plan: String, as payer: Payer) async throws -> CheckoutPage {
        let answer = try await insist("POST", "/api/payment/checkout/subscription", #"{"plan":"\#(plan)"}"#, as: payer)
        try expect(answer, 200)
        return try CheckoutPage(JSONObject(answer.body))
    }

    /// Sends the form of Stripe's page, as a browser does.
    /// - Returns: 303 to the page after the checkout, or 422 for a declined card.
    @discardableResult
    func pay(_ page: CheckoutPage, card: String = "4242424242424242") async throws -> ClientResponse {
        let headers = [("content-type", "application/x-www-form-urlencoded")]
        let form = "number=\(card)&expiry=12%2F40&cvc=123"
        return try await client.request(ClientRequest("POST", page.url, headers: headers, body: Array(form.utf8)))
    }

    /// Asks billing about an order, as the page after the checkout does.
    func status(of page: CheckoutPage, as payer: Payer) async throws -> String {
        let answer = try await insist("GET", "/api/payment/checkout/\(page.session)", as: payer)
        try expect(answer, 200)
        return try JSONObject(answer.body).string("status")
    }

    func subscription(of payer: Payer) async throws -> JSONObject {
        let answer = try await insist("GET", "/api/payment/subscription", as: payer)
        try expect(answer, 200)
        return try JSONObject(answer.body)
    }

    /// Pays a month of Pro, and waits for its credits.
    func subscribeToPro(_ payer: Payer) async throws {
        let credits = try await posted(of: payer)
        try expect(try await pay(try await orderPlan("pro", as: payer)), 303)
        try await until("the month of Pro is granted", within: .seconds(60)) {
            try await self.posted(of: payer) == credits + Credits(whole: 500)
        }
    }

    func posted(of payer: Payer) async throws -> Credits {
        let answer = try await ask("GET", "/v1/credits", as: payer)
        try expect(answer, 200)
        guard let credits = Credits(decimal: try JSONObject(answer.body).decimalText("balance")) else { throw unexpected(answer) }
        return credits
    }

    /// Returns the user's transactions, oldest first, as `purchase 100`.
    func history(of payer: Payer) async throws -> [String] {
        let answer = try await ask("GET", "/api/credits/transactions?limit=100", as: payer)
        try expect(answer, 200)
        return try JSONObject(answer.body).array("transactions").compactMap(\.object).reversed().map {
            "\(try $0.string("type")) \(try $0.decimalText("amount"))"
        }
    }

    // MARK: Stripe

    /// Calls Stripe's API with the key of an operator.
    /// - Parameter form: encoded.
    @discardableResult
    func stripe(_ method: String, _ path: String, _ form: String? = nil) async throws -> JSONObject {
        try await askSimulator(method, path, form, type: "application/x-www-form-urlencoded")
    }

    /// Returns the first hundred objects of a list.
    func stripeList(_ path: String) async throws -> [JSONObject] { try await stripe("GET", path).array("data").compactMap(\.object) }

    /// Tells the simulator something, or asks it. Its README lists what it can be told.
    @discardableResult
    func simulate(_ method: String, _ path: String, _ json: String? = nil) async throws -> JSONObject {
        try await askSimulator(method, "/simulator/\(path)", json, type: "application/json")
    }

    private func askSimulator(_ method: String, _ path: String, _ body: String?, type: String) async throws -> JSONObject {
        let headers = [("authorization", "Bearer sk_test_operator"), ("content-type", type)]
        let answer = try await client.request(
            ClientRequest(method, try stack.stripeSimulator + path, headers: headers, body: body.map { Array($0.utf8) }))
        try expect(answer, 200)
        return try JSONObject(answer.body)
    }

    /// Gives all of a payment back.
    func refund(_ page: CheckoutPage) async throws {
        let payment = try await stripe("GET", "/v1/checkout/sessions/\(page.session)").string("payment_intent")
        try await stripe("POST", "/v1/refunds", "payment_intent=\(payment)")
    }

    // MARK: Processes

    /// Stops a component for the time of `body`.
    func without(_ component: Stack.Component, _ body: () async throws -> Void) async throws {
        try await stack.stop(component)
        let result: Result<Void, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        try await stack.start(component)
        try result.get()
    }

    /// Starts billing after a kill. No worker lives, so the leases and pauses of events end here: a test need not wait a minute for them.
    func startBilling() async throws {
        try await database.execute(EndLeases())
        try await stack.start(.billing)
    }

    /// Waits until Stripe has delivered every event, and billing has worked on each.
    func workOffEvents() async throws {
        try await until("every event is delivered and worked on", within: .seconds(60)) {
            let delivered = try await self.simulate("POST", "webhooks/deliver", "{}").array("delivered")
            guard delivered.isEmpty else { return false }
            return try await self.database.first(CountOpenEvents()) == 0
        }
    }
}

private struct EndLeases: Statement {
    static let sql = "UPDATE billing.stripe_event SET due_at = now() WHERE state IN ('working', 'retry')"
}

private struct CountOpenEvents: Statement {
    static let sql = "SELECT count(*) FROM billing.stripe_event WHERE state NOT IN ('done', 'ignored', 'dead')"
    typealias Output = Int64
}
