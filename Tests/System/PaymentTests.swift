import HTTPClient
import JSON
import Testing
import Values

extension SystemTests {
    /// The way of a user's money: an order, a plan, its changes, and a refund.
    struct PaymentTests {
        @Test func `a user buys, subscribes, upgrades, cancels, resumes and gets money back, and each step is in the history`() async throws
        {
            try await Gateway.run { gateway in
                let payer = try await gateway.registerPayer()
                try await gateway.confirmAddress(of: payer.account)
                var history = ["plan_grant 10"]
                func expectHistory(_ further: String...) async throws {
                    history += further
                    try await gateway.until("the history has \(further)") { try await gateway.history(of: payer).count >= history.count }
                    #expect(try await gateway.history(of: payer) == history)
                }

                // Credits
                let order = try await gateway.orderCredits(100, as: payer)
                #expect(try await gateway.status(of: order, as: payer) == "open")
                #expect(try await gateway.pay(order, card: "4000000000000002").status == 422)
                #expect(try await gateway.status(of: order, as: payer) == "open")
                let paid = try await gateway.pay(order)
                #expect(paid.header("location") == (try gateway.stack.edge) + "/buy/done?session_id=\(order.session)")
                // Billing asks Stripe once a second.
                try await gateway.until("the order is paid") { try await gateway.status(of: order, as: payer) == "paid" }
                try await expectHistory("purchase 100", "bonus 5")
                #expect(try await gateway.posted(of: payer) == Credits(whole: 115))

                // A plan, and a higher one
                try await gateway.subscribeToPro(payer)
                try await expectHistory("plan_grant 500")
                #expect(try await gateway.subscription(of: payer).string("plan") == "pro")
                try await gateway.until("auth knows the plan") { try await Self.plan(of: payer, gateway) == "pro" }
                let upgrade = try await gateway.ask("POST", "/api/payment/subscription/change-plan", #"{"plan":"enterprise"}"#, as: payer)
                try gateway.expect(upgrade, 200)
                #expect(try JSONObject(upgrade.body).string("plan") == "enterprise")
                // The difference of 4,500 for the rest of the month is rounded up to a credit, so the first ten minutes take nothing.
                try await expectHistory("plan_grant 4500")
                #expect(try await gateway.posted(of: payer) == Credits(whole: 5_115))
                try await gateway.until("auth knows the plan") { try await Self.plan(of: payer, gateway) == "enterprise" }

                // The end, ordered and taken back
                for (act, hasEnd) in [("cancel", true), ("resume", false)] {
                    let answer = try await gateway.ask("POST", "/api/payment/subscription/\(act)", "{}", as: payer)
                    try gateway.expect(answer, 200)
                    #expect(try JSONObject(answer.body).has("cancel_at") == hasEnd, "\(act)")
                    let atStripe = try await gateway.stripe("GET", "/v1/subscriptions/\(try JSONObject(answer.body).string("id"))")
                    #expect(try atStripe.bool("cancel_at_period_end") == hasEnd, "\(act)")
                }
                try await expectHistory()

                // The credits of the order go back with its money. Those of the plan stay.
                try await gateway.refund(order)
                try await gateway.until("the credits are taken back") { try await gateway.posted(of: payer) == Credits(whole: 5_010) }
                let reversals = try await gateway.history(of: payer).dropFirst(history.count)
                #expect(reversals.sorted() == ["clawback -100", "clawback -5"])
                #expect(try await gateway.subscription(of: payer).string("plan") == "enterprise")

                let invoices = try await Self.invoices(of: payer, gateway)
                #expect(invoices.count == 2)
                #expect(invoices.last == "29.00")
                try await gateway.expectPaymentsAgree(of: [payer])
                let audit = try await gateway.get("/api/admin/credits/audit", token: try await gateway.adminToken())
                #expect(try JSONObject(audit.body).bool("consistent"), "\(String(decoding: audit.body, as: UTF8.self))")
            }
        }

        private static func plan(of payer: Payer, _ gateway: Gateway) async throws -> String {
            let answer = try await gateway.ask("GET", "/api/auth/me", as: payer)
            try gateway.expect(answer, 200)
            return try JSONObject(answer.body).string("plan")
        }

        /// Returns the totals in USD, newest first.
        private static func invoices(of payer: Payer, _ gateway: Gateway) async throws -> [String] {
            let answer = try await gateway.ask("GET", "/api/payment/invoices", as: payer)
            try gateway.expect(answer, 200)
            return try JSONObject(answer.body).array("invoices").compactMap(\.object).map { try $0.decimalText("total") }
        }
    }
}
