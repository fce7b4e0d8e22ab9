import JSON
import Testing
import Values

@testable import Billing

struct InvoiceCreditsTests {
    private static let prices: [String: PlanPrice] = {
        func price(_ id: String, _ plan: String, _ interval: Plan.Interval, _ credits: Int64, _ position: Int64) -> PlanPrice {
            PlanPrice(
                priceID: id, plan: plan, interval: interval, amountCents: 100, currency: "usd", monthlyCredits: Credits(whole: credits),
                position: position, isCurrent: true)
        }
        let all = [
            price("pro_m", "pro", .month, 500, 2), price("pro_y", "pro", .year, 500, 2), price("ent_m", "enterprise", .month, 5_000, 3),
            price("ent_y", "enterprise", .year, 5_000, 3),
        ]
        return Dictionary(uniqueKeysWithValues: all.map { ($0.priceID, $0) })
    }()

    private static func line(
        _ price: String?, _ cents: Int64, _ start: String, _ end: String, proration: Bool = false, ofSubscription: Bool = true
    ) throws -> StripeInvoice.Line {
        func seconds(_ text: String) throws -> Int64 { try #require(Instant(text + "T00:00:00Z")).seconds }
        let details = ofSubscription ? #"{"subscription_item_details":{"proration":\#(proration)}}"# : "null"
        let pricing = price.map { #"{"price_details":{"price":"\#($0)"}}"# } ?? "null"
        return try StripeInvoice.Line(
            JSONObject(
                Array(
                    #"{"amount":\#(cents),"currency":"usd","period":{"start":\#(try seconds(start)),"end":\#(try seconds(end))},"pricing":\#(pricing),"parent":\#(details)}"#
                        .utf8)))
    }

    private static func decide(_ reason: String, anchor: String = "2026-11-10", _ lines: StripeInvoice.Line...) throws -> InvoiceOutcome {
        let invoice = try StripeInvoice(
            JSONObject(
                Array(
                    #"{"id":"in_1","status":"paid","customer":"cus_1","billing_reason":"\#(reason)","currency":"usd","total":1,"created":1}"#
                        .utf8)))
        return InvoiceOutcome(invoice, lines: lines, prices: prices, anchor: try #require(Instant(anchor + "T00:00:00Z")))
    }

    private static func amounts(_ outcome: InvoiceOutcome) -> [Credits]? {
        if case .credits(let credits) = outcome { credits.instalments.map(\.amount) } else { nil }
    }

    @Test(arguments: ["subscription_create", "subscription_cycle"])
    func `a paid month gives the plan's credits until its end, and the time of the renewal`(reason: String) throws {
        let outcome = try Self.decide(reason, Self.line("pro_m", 2_900, "2026-11-10", "2026-12-10"))
        guard case .credits(let credits) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(credits.plan == "pro" && credits.isWhole)
        #expect(credits.instalments.map(\.amount) == [Credits(whole: 500)])
        #expect(credits.instalments.map(\.expiresAt) == [Instant("2026-12-10T02:00:00Z")])
    }

    @Test func `a paid year gives twelve months, each at its day`() throws {
        let outcome = try Self.decide("subscription_create", anchor: "2027-01-31", Self.line("pro_y", 31_320, "2027-01-31", "2028-01-31"))
        guard case .credits(let credits) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(credits.instalments.count == 12)
        #expect(credits.instalments.allSatisfy { $0.amount == Credits(whole: 500) })
        #expect(
            credits.instalments.map { String($0.dueAt.description.prefix(10)) }.prefix(3) == ["2027-01-31", "2027-02-28", "2027-03-31"])
        #expect(credits.instalments.last?.expiresAt == Instant("2028-01-31T02:00:00Z"))
    }

    @Test func `an upgrade gives the difference for the rest of the period, rounded up to a credit`() throws {
        func upgrade(at day: String) throws -> [Credits]? {
            Self.amounts(
                try Self.decide(
                    "subscription_update", Self.line("pro_m", -1, day, "2026-12-10", proration: true),
                    Self.line("ent_m", 1, day, "2026-12-10", proration: true)))
        }
        #expect(try upgrade(at: "2026-11-10") == [Credits(whole: 4_500)])
        #expect(try upgrade(at: "2026-11-25") == [Credits(whole: 2_250)])
        #expect(try upgrade(at: "2026-12-09") == [Credits(whole: 150)])
    }

    @Test func `an upgrade of a year gives the difference in each month that is left`() throws {
        let outcome = try Self.decide(
            "subscription_update", anchor: "2026-01-10", Self.line("pro_y", -1, "2026-10-25", "2027-01-10", proration: true),
            Self.line("ent_y", 1, "2026-10-25", "2027-01-10", proration: true))
        guard case .credits(let credits) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(credits.instalments.map(\.number) == [9, 10, 11])
        // 16 of the 31 days of the month are left.
        #expect(credits.instalments.map(\.amount) == [Credits(whole: 2_323), Credits(whole: 4_500), Credits(whole: 4_500)])
        #expect(credits.instalments.first?.dueAt == Instant("2026-10-25T00:00:00Z"))
    }

    @Test func `a change to a year takes the credited time from the first month`() throws {
        let outcome = try Self.decide(
            "subscription_update", anchor: "2026-11-20", Self.line("pro_m", -1_900, "2026-11-20", "2026-12-10", proration: true),
            Self.line("pro_y", 31_320, "2026-11-20", "2027-11-20"))
        // 20 of the 30 days of the month were credited: their 334 credits were granted before.
        #expect(Self.amounts(outcome) == [Credits(whole: 167)] + [Credits](repeating: Credits(whole: 500), count: 11))
    }

    @Test func `a free trial and a line of another thing give nothing`() throws {
        #expect(try Self.decide("subscription_create", Self.line("pro_m", 0, "2026-11-10", "2026-12-10")) == .nothing)
        #expect(
            try Self.decide("subscription_cycle", Self.line(nil, 500, "2026-11-10", "2026-12-10", ofSubscription: false)) == .nothing)
    }

    @Test func `an invoice that does not fit needs a person`() throws {
        let month = try Self.line("pro_m", 2_900, "2026-11-10", "2026-12-10")
        for outcome in [
            try Self.decide("manual", month), try Self.decide("subscription_threshold", month),
            try Self.decide("subscription_cycle", month, month),
            try Self.decide("subscription_cycle", Self.line("price_of_another", 2_900, "2026-11-10", "2026-12-10")),
            try Self.decide("subscription_cycle", Self.line("pro_m", 2_900, "2026-12-10", "2026-12-10")),
            try Self.decide("subscription_update", Self.line("ent_m", -5, "2026-11-20", "2026-12-10", proration: true)),
        ] {
            guard case .review = outcome else {
                Issue.record("\(outcome)")
                continue
            }
        }
    }

    @Test(
        arguments: [
            ("2026-12-09T23:59:59Z", "2026-12-10T02:00:00Z"), ("2026-12-10T00:00:00Z", "2027-01-09T02:00:00Z"),
            ("2027-03-01T00:00:00Z", "2027-03-31T02:00:00Z"),
        ])
    func `a month that is over when it is given gets as much time again`(given: String, end: String) throws {
        let month = Instalment(
            number: 1, dueAt: try #require(Instant("2026-11-10T00:00:00Z")), expiresAt: try #require(Instant("2026-12-10T02:00:00Z")),
            amount: Credits(whole: 500))
        #expect(month.given(at: try #require(Instant(given))).expiresAt == Instant(end))
    }
}
