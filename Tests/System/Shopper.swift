import HTTPClient
import JSON
import Synchronization
import Testing
import Values

/// A user who acts at random, and repeats a click until billing answers it.
struct Shopper: Sendable {
    let payer: Payer
    /// Drawn beforehand, so that a seed leads to the same acts whatever billing answers.
    let acts: [Act]
    let tally: ActTally

    enum Act: Sendable {
        case buy(credits: Int, card: String?)
        case subscribe(plan: String, interval: String)
        case changePlan(String)
        case cancel(atPeriodEnd: Bool)
        case resume
        /// A part of a payment in percent.
        case refund(percent: Int64)
    }

    static func acts(_ count: Int, _ random: inout some RandomNumberGenerator) -> [Act] {
        // The plan stays, because an order of another plan leaves the session of the first one open at Stripe.
        let plan = Bool.random(using: &random) ? "pro" : "enterprise"
        let interval = Int.random(in: 0..<4, using: &random) == 0 ? "year" : "month"
        return (0..<count).map { number in
            // Most acts need a subscription.
            if number == 0 { return .subscribe(plan: plan, interval: interval) }
            let other = Bool.random(using: &random) ? "pro" : "enterprise"
            switch Int.random(in: 0..<12, using: &random) {
            case 0..<4:
                return .buy(
                    credits: [50, 100, 250, 500, 1_000].randomElement(using: &random) ?? 100,
                    card: ["4242424242424242", "4242424242424242", "4000000000000002", nil].randomElement(using: &random) ?? nil)
            case 4: return .subscribe(plan: plan, interval: interval)
            case 5..<8: return .changePlan(other)
            case 8: return .cancel(atPeriodEnd: Bool.random(using: &random))
            case 9, 10: return .resume
            default: return .refund(percent: [37, 37, 100].randomElement(using: &random) ?? 37)
            }
        }
    }

    static func all(_ shoppers: [Shopper], _ gateway: Gateway) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for shopper in shoppers { group.addTask { try await shopper.shop(gateway) } }
            try await group.waitForAll()
        }
    }

    private func shop(_ gateway: Gateway) async throws {
        for act in acts {
            switch act {
            case .buy(let credits, let card):
                try await order("credits", #"{"credits_amount":\#(credits)}"#, card: card, gateway)
            case .subscribe(let plan, let interval):
                try await order("subscription", #"{"plan":"\#(plan)","interval":"\#(interval)"}"#, card: "4242424242424242", gateway)
            case .changePlan(let plan): try await change("change-plan", #"{"plan":"\#(plan)"}"#, gateway)
            case .cancel(let atPeriodEnd): try await change("cancel", #"{"at_period_end":\#(atPeriodEnd)}"#, gateway)
            case .resume: try await change("resume", "{}", gateway)
            case .refund(let percent): try await refund(percent, gateway)
            }
        }
    }

    /// Clicks twice at once, which leads to one page, and a third time while the page is paid.
    private func order(_ kind: String, _ body: String, card: String?, _ gateway: Gateway) async throws {
        @Sendable func click() async throws -> ClientResponse {
            try await gateway.insist("POST", "/api/payment/checkout/\(kind)", body, as: payer)
        }
        async let first = click()
        async let second = click()
        let answers = try await [first, second]
        tally.add("\(kind) \(answers[0].status)")
        guard answers.allSatisfy({ $0.status == 200 }) else { return }
        let pages = try answers.map { try CheckoutPage(JSONObject($0.body)) }
        #expect(pages[0] == pages[1])
        guard let card else { return }
        async let paid = gateway.pay(pages[0], card: card)
        let third = try await click()
        _ = try await paid
        // The same page again is paid already. Another one is another order.
        if third.status == 200 { try await gateway.pay(try CheckoutPage(JSONObject(third.body)), card: card) }
        _ = try await gateway.status(of: pages[0], as: payer)
    }

    /// Clicks, and up to three times more after failures, each time when billing is ready.
    private func change(_ act: String, _ body: String, _ gateway: Gateway) async throws {
        let path = "/api/payment/subscription/\(act)"
        var answer = try await gateway.ask("POST", path, body, as: payer)
        for _ in 0..<3 where answer.status >= 500 {
            try await gateway.isReady(.billing)
            answer = try await gateway.ask("POST", path, body, as: payer)
        }
        tally.add("\(act) \(answer.status)")
    }

    private func refund(_ percent: Int64, _ gateway: Gateway) async throws {
        tally.add("refund")
        guard let customer = try await gateway.stripeList("/v1/customers?email=\(payer.account.email)").first?.string("id"),
            let charge = try await gateway.stripeList("/v1/charges?customer=\(customer)").first(where: {
                try $0.bool("paid") && $0.integer("amount_refunded") == 0
            })
        else { return }
        let amount = try charge.integer("amount") * percent / 100
        try await gateway.stripe("POST", "/v1/refunds", "charge=\(try charge.string("id"))&amount=\(amount)")
    }
}

/// Counts the acts of shoppers by their answers.
final class ActTally: Sendable, CustomStringConvertible {
    private let counts = Mutex<[String: Int]>([:])

    var count: Int { counts.withLock { $0.values.reduce(0, +) } }
    func add(_ answer: String) { counts.withLock { $0[answer, default: 0] += 1 } }
    var description: String {
        counts.withLock(\.self).sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
    }
}
