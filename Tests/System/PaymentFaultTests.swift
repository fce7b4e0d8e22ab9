import EventLoop
import Foundation
import HTTPClient
import JSON
import Postgres
import TestSupport
import Testing
import Values

extension SystemTests {
    /// Payments come in while billing, the ledger or the broker is unavailable. Afterwards each paid thing has been granted once.
    ///
    /// `OUTAGE_SECONDS` is the length of an outage of the ledger or the broker, 5 by default.
    struct PaymentFaultTests {
        // MARK: Billing dies between Stripe's act and its own

        /// A call of Stripe that makes or changes an object.
        enum Call: Sendable, CaseIterable {
            case customer, credits, plan, upgrade

            var path: String {
                switch self {
                case .customer: "/v1/customers"
                case .credits, .plan: "/v1/checkout/sessions"
                case .upgrade: "/v1/subscriptions/"
                }
            }

            /// The user's click that leads to the call.
            var click: (path: String, body: String) {
                switch self {
                case .customer, .credits: ("/api/payment/checkout/credits", #"{"credits_amount":250}"#)
                case .plan: ("/api/payment/checkout/subscription", #"{"plan":"enterprise"}"#)
                case .upgrade: ("/api/payment/subscription/change-plan", #"{"plan":"enterprise"}"#)
                }
            }
        }

        @Test(arguments: Call.allCases)
        func `billing dies after Stripe acted and before it stores the answer, and the next click acts no second time`(
            call: Call
        ) async throws {
            try await Gateway.run { gateway in
                let payer = try await gateway.registerPayer()
                if call == .upgrade { try await gateway.subscribeToPro(payer) }
                try await gateway.simulate("DELETE", "requests")
                // No answer arrives, so billing does not store one before it is killed.
                let lost = #"{"kind":"cut_after_effect","method":"POST","path":"\#(call.path)","times":1000}"#
                try await gateway.withFault(lost) {
                    async let click = gateway.ask("POST", call.click.path, call.click.body, as: payer)
                    try await gateway.until("Stripe has acted") { try await gateway.hasLostAnswer(call.path) }
                    try await gateway.stack.kill(.billing)
                    #expect(try await click.status >= 500)
                }
                #expect(try await gateway.database.first(CountPendingCalls(path: call.path)) ?? 0 == 1)
                try await gateway.startBilling()

                let again = try await gateway.insist("POST", call.click.path, call.click.body, as: payer)
                if call == .upgrade {
                    // A refusal says that the plan is so already.
                    #expect([200, 400].contains(again.status))
                } else {
                    try gateway.expect(again, 200)
                    try gateway.expect(try await gateway.pay(try CheckoutPage(JSONObject(again.body))), 303)
                }
                try await gateway.expectPaymentsAgree(of: [payer])
                let granted = try await gateway.history(of: payer).dropFirst()
                switch call {
                case .customer, .credits: #expect(granted == ["purchase 250", "bonus 15"])
                case .plan: #expect(granted == ["plan_grant 5000"])
                case .upgrade: #expect(granted == ["plan_grant 500", "plan_grant 4500"])
                }
                let customer = try #require(try await gateway.stripeList("/v1/customers?email=\(payer.account.email)").first).string("id")
                let sessions = try await gateway.stripeList("/v1/checkout/sessions?customer=\(customer)")
                #expect(sessions.count == 1)
                let invoices = try await gateway.stripeList("/v1/invoices?customer=\(customer)")
                #expect(invoices.count == [.plan: 1, .upgrade: 2][call] ?? 0)
            }
        }

        // MARK: Billing dies at random

        @Test func `billing is killed six times while users buy, subscribe and get money back, and each payment counts once`() async throws
        {
            let seed = drawSeed()
            try await Gateway.run { gateway in
                var random = SplitMix64(seed: seed)
                var shoppers: [Shopper] = []
                let tally = ActTally()
                for _ in 0..<Self.shoppers {
                    shoppers.append(Shopper(payer: try await gateway.registerPayer(), acts: Shopper.acts(Self.acts, &random), tally: tally))
                }
                let kills = (1..<Self.shoppers * Self.acts - 5).shuffled(using: &random).prefix(6).sorted()
                let paths = kills.map { _ in
                    Bool.random(using: &random) ? Call.allCases.randomElement(using: &random)?.path : nil
                }
                async let shopping: Void = Shopper.all(shoppers, gateway)
                for (point, path) in zip(kills, paths) {
                    try await gateway.until("\(point) acts are done", within: .seconds(120)) { tally.count >= point }
                    if let path {
                        // It dies when Stripe has acted and the answer is lost, if such a call comes soon.
                        try await gateway.withFault(#"{"kind":"cut_after_effect","method":"POST","path":"\#(path)"}"#) {
                            try await gateway.until("Stripe has acted") {
                                let isUsed = try await gateway.simulate("GET", "faults").array("faults").isEmpty
                                return isUsed || tally.count >= point + 4 || tally.count == Self.shoppers * Self.acts
                            }
                            try await gateway.stack.kill(.billing)
                        }
                    } else {
                        try await gateway.stack.kill(.billing)
                    }
                    try await gateway.startBilling()
                }
                try await shopping
                try await gateway.expectPaymentsAgree(of: shoppers.map(\.payer), "seed \(seed)")
                print("acts: \(tally)")
            }
        }

        private static let shoppers = 5
        private static let acts = 10

        // MARK: Events that find no billing

        @Test func `payments while billing is stopped arrive by Stripe's next attempt, or by the sweep if Stripe gave up`() async throws {
            try await Gateway.run { gateway in
                var payers: [Payer] = []
                var pages: [CheckoutPage] = []
                for _ in 0..<2 {
                    payers.append(try await gateway.registerPayer())
                    pages.append(try await gateway.orderCredits(100, as: payers[payers.count - 1]))
                }
                try await gateway.workOffEvents()
                try await gateway.without(.billing) {
                    // Stripe delivers the events of the first payment never, and those of the second one again.
                    try gateway.expect(try await gateway.pay(pages[0]), 303)
                    try await gateway.simulate("POST", "webhooks/drop", "{}")
                    try gateway.expect(try await gateway.pay(pages[1]), 303)
                    try await gateway.until("each delivery has failed once") { try await gateway.haveDeliveriesFailed() }
                }
                for payer in payers {
                    try await gateway.until("the credits are there", within: .seconds(60)) {
                        try await gateway.posted(of: payer) == Credits(whole: 115)
                    }
                }
                let found = try await gateway.database.query(FoundBy(session: pages[0].session))
                #expect(found == ["sweep"])
                try await gateway.until("Stripe's next attempt has succeeded", within: .seconds(60)) {
                    try await gateway.database.first(DeliveredTo(session: pages[1].session)) ?? false
                }
                try await gateway.expectPaymentsAgree(of: payers)
            }
        }

        // MARK: Outages

        @Test(arguments: [Stack.Component.ledger, .rabbitmq])
        func `payments come in during an outage, and each is granted once after it`(missing: Stack.Component) async throws {
            let seconds = ProcessInfo.processInfo.environment["OUTAGE_SECONDS"].flatMap { Int($0) } ?? 5
            try await Gateway.run { gateway in
                var payers: [Payer] = []
                for _ in 0..<5 { payers.append(try await gateway.registerPayer()) }
                try await gateway.without(missing) {
                    for (number, payer) in payers.enumerated() {
                        let order = try await gateway.orderCredits(500, as: payer)
                        try gateway.expect(try await gateway.pay(order), 303)
                        #expect(try await gateway.status(of: order, as: payer) == "paid")
                        if number % 2 == 0 {
                            let plan = try await gateway.orderPlan("pro", as: payer)
                            try gateway.expect(try await gateway.pay(plan), 303)
                            #expect(try await gateway.status(of: plan, as: payer) == "paid")
                        }
                        if number % 3 == 0 { try await gateway.refund(order) }
                        try await gateway.loop.sleep(for: .seconds(seconds) / payers.count)
                    }
                    try await gateway.workOffEvents()
                    #expect(try await gateway.entries(of: payers) == 5, "the free credits only")
                }
                try await gateway.expectPaymentsAgree(of: payers)
                for (number, payer) in payers.enumerated() {
                    let expected = 10 + (number % 3 == 0 ? 0 : 540) + (number % 2 == 0 ? 500 : 0)
                    #expect(try await gateway.posted(of: payer) == Credits(whole: Int64(expected)))
                }
            }
        }
    }
}

extension Gateway {
    /// Has the simulator fail for the time of `body`.
    fileprivate func withFault(_ fault: String, _ body: () async throws -> Void) async throws {
        try await simulate("POST", "faults", fault)
        let result: Result<Void, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        try await simulate("DELETE", "faults")
        try result.get()
    }

    /// True if a call had its effect, and its answer was lost.
    fileprivate func hasLostAnswer(_ path: String) async throws -> Bool {
        try await simulate("GET", "requests?method=POST&path=\(path)").array("requests").compactMap(\.object).contains {
            (try? $0.string("status")) == "cut"
        }
    }

    /// True if deliveries wait, and each has been attempted.
    fileprivate func haveDeliveriesFailed() async throws -> Bool {
        let pending = try await simulate("GET", "webhooks/pending").array("pending").compactMap(\.object)
        return try !pending.isEmpty && pending.allSatisfy { try $0.integer("attempts") > 0 }
    }

    /// Returns the number of entries of users in the journal.
    fileprivate func entries(of payers: [Payer]) async throws -> Int64 {
        var count: Int64 = 0
        for payer in payers { count += try await database.first(CountEntries(account: payer.account.id)) ?? 0 }
        return count
    }
}

private struct CountPendingCalls: Statement {
    static let sql = "SELECT count(*) FROM billing.stripe_operation WHERE state = 'pending' AND path LIKE $1 || '%'"
    typealias Output = Int64
    var path: String

    func bind(_ parameters: inout Parameters) { parameters.append(path) }
}

/// The finder of the end of a session: `webhook` or `sweep`.
private struct FoundBy: Statement {
    static let sql = "SELECT found_by FROM billing.stripe_event WHERE object_id = $1 AND type = 'checkout.session.completed'"
    typealias Output = String
    var session: String

    func bind(_ parameters: inout Parameters) { parameters.append(session) }
}

/// True if a delivery has brought the end of a session, before or after the sweep.
private struct DeliveredTo: Statement {
    static let sql = """
        SELECT found_by = 'webhook' OR deliveries > 1
        FROM billing.stripe_event
        WHERE object_id = $1 AND type = 'checkout.session.completed'
        """
    typealias Output = Bool
    var session: String

    func bind(_ parameters: inout Parameters) { parameters.append(session) }
}

private struct CountEntries: Statement {
    static let sql = "SELECT count(*) FROM ledger.journal WHERE account_id = $1 AND seq > 0"
    typealias Output = Int64
    var account: AccountID

    func bind(_ parameters: inout Parameters) { parameters.append(account) }
}
