import EventLoop
import Glibc
import HTTPClient
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Billing

/// A simulator of Stripe of a test's own. Its README lists what it can be told to do.
final class StripeSimulator: Sendable {
    let url: String
    let client: HTTPClient

    static func with<Value: Sendable>(
        loop: EventLoop, _ body: @escaping @Sendable (StripeSimulator) async throws -> Value
    ) async throws -> Value {
        let port = try freePorts(1)[0]
        let process = try ChildProcess(
            "/usr/bin/python3",
            [TestDatabase.packageRoot + "/Tests/Simulators/stripe/stripe_simulator.py", "--port", "\(port)", "--first-retry", "1"],
            environment: ["PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"], output: "/dev/null")
        defer {
            process.signal(SIGTERM)
            process.wait()
        }
        let simulator = StripeSimulator(url: "http://127.0.0.1:\(port)", client: HTTPClient(loop: loop))
        defer { simulator.client.close() }
        try await until("the simulator answers") { (try? await simulator.control("GET", "clock")) != nil }
        return try await body(simulator)
    }

    private init(url: String, client: HTTPClient) { (self.url, self.client) = (url, client) }

    struct Refused: Error, CustomStringConvertible {
        let description: String
    }

    /// Tells the simulator something, or asks it.
    @discardableResult
    func control(_ method: String, _ path: String, _ body: String? = nil) async throws -> JSONObject {
        try await send(method, "/simulator/\(path)", body.map { Array($0.utf8) }, type: "application/json")
    }

    /// Calls Stripe's API with the key of an operator.
    @discardableResult
    func api(_ method: String, _ path: String, _ form: StripeForm? = nil) async throws -> JSONObject {
        try await send(method, path, form.map { Array($0.encoded.utf8) }, type: "application/x-www-form-urlencoded")
    }

    private func send(_ method: String, _ path: String, _ body: [UInt8]?, type: String) async throws -> JSONObject {
        let headers = [("authorization", "Bearer sk_test_operator"), ("content-type", type)]
        let answer = try await client.request(ClientRequest(method, url + path, headers: headers, body: body))
        guard answer.status == 200 else {
            throw Refused(description: "\(method) \(path): \(answer.status) \(String(decoding: answer.body.prefix(500), as: UTF8.self))")
        }
        return try JSONObject(answer.body)
    }

    /// The prices of the four paid plans.
    func makePrices() async throws -> [StripeSettings.PriceSlot: String] {
        var prices: [StripeSettings.PriceSlot: String] = [:]
        for (plan, monthly) in [("pro", 2_900), ("enterprise", 19_900)] {
            let product = try await api("POST", "/v1/products", ["name": plan]).string("id")
            for interval in Plan.Interval.allCases {
                let cents = interval == .month ? monthly : monthly * 12 * 9 / 10
                prices[StripeSettings.PriceSlot(plan: plan, interval: interval)] = try await api(
                    "POST", "/v1/prices",
                    [
                        "product": product, "currency": "usd", "unit_amount": "\(cents)", "recurring[interval]": interval.rawValue,
                    ]
                ).string("id")
            }
        }
        return prices
    }

    /// - Returns: the id of a configuration of the customer portal.
    func makePortal() async throws -> String {
        try await api("POST", "/v1/billing_portal/configurations", ["features[invoice_history][enabled]": "true"]).string("id")
    }

    /// - Returns: the secret of its signatures.
    func makeWebhook(url: String) async throws -> String {
        var form: StripeForm = ["url": url, "api_version": StripeClient.version]
        for type in EventTask.types { form.append("enabled_events[]", type) }
        return try await api("POST", "/v1/webhook_endpoints", form).string("secret")
    }

    /// Pays on the page of a session.
    /// - Returns: what came of it, such as `paid` or `declined`.
    @discardableResult
    func pay(_ session: String, card: String = "4242424242424242") async throws -> String {
        try await control("POST", "checkout/\(session)/pay", #"{"card":"\#(card)"}"#).string("outcome")
    }

    /// Delivers everything that is held, and what follows.
    func deliverAll(order: String = "oldest") async throws {
        while true {
            let delivered = try await control("POST", "webhooks/deliver", #"{"order":"\#(order)"}"#).array("delivered")
            guard !delivered.isEmpty else { return }
            for one in delivered {
                // Nil: it was delivered meanwhile.
                guard [nil, 200].contains(try one.object?.optionalInteger("status")) else {
                    throw Refused(description: "a delivery was answered with \(one)")
                }
            }
        }
    }

    /// The calls that were made since the start, newest last.
    func calls(_ method: String, _ path: String) async throws -> Int {
        try await control("GET", "requests?method=\(method)&path=\(path)").array("requests").count
    }
}
