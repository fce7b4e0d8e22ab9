import Contracts
import Identity
import JSON
import Postgres
import TestSupport
import Testing
import Values

@testable import Billing

extension PagesTests {
    @Test func `a package is bought, and its credits are there when the page opens`() async throws {
        try await BillingUnderTest.with { test in
            let person = try await test.person()
            let page = try await test.open("/buy", person)
            #expect(page.status == 200)
            for text in ["Basic", "+ 5 credits as a bonus", "Buy for $9<", "$0.086 a credit", "Popular"] {
                #expect(page.text.contains(text), "\(text)")
            }
            #expect(page.header("content-security-policy")?.contains("form-action 'self' \(test.stripe.url);") == true)
            let session = try await test.checkOut("/buy", ["credits": "100"], person)
            // The same form again leads to the same page.
            #expect(try await test.checkOut("/buy", ["credits": "100"], person) == session)
            let done = "/buy/done?session_id=\(session)"
            #expect(try await test.open(done, person).title == "This order is not paid yet")
            try await test.stripe.pay(session)
            try await test.advance(seconds: 2)
            let arrived = try await test.open(done, person)
            #expect(arrived.title == "105 credits were added")
            #expect(arrived.text.contains("100 credits and 5 credits as a bonus"))
            #expect(arrived.text.contains("<dt>Paid</dt><dd>$9.00</dd>"))
            #expect(arrived.text.contains("<dt>Available now</dt>"))
            #expect(!arrived.text.contains("http-equiv"))
            #expect(try await test.granted(to: person.userID).map(\.amount) == [Credits(whole: 100), Credits(whole: 5)])
        }
    }

    @Test func `the page waits for the ledger, asks again by itself, and stops doing so`() async throws {
        try await BillingUnderTest.with { test in
            let person = try await test.person()
            let session = try await test.checkOut("/buy", ["credits": "100"], person)
            try await test.stripe.pay(session)
            test.ledger.be(late: true)
            let done = "/buy/done?session_id=\(session)"
            let waiting = try await test.open(done, person)
            #expect(waiting.title == "Adding your credits")
            #expect(waiting.text.contains(#"<noscript><meta http-equiv="refresh" content="2; url=\#(done)&amp;tries=1"></noscript>"#))
            #expect(waiting.text.contains(#"data-next="\#(done)&amp;tries=1""#))
            let late = try await test.open("\(done)&tries=20", person)
            #expect(late.text.contains("takes longer than usual"))
            #expect(!late.text.contains("http-equiv"))
            #expect(try await test.open("\(done)&tries=21", person).status == 400)
            test.ledger.be(late: false)
            #expect(try await test.open("\(done)&tries=1", person).title == "105 credits were added")
        }
    }

    @Test func `an order of another user, and one that does not exist, is not found`() async throws {
        try await BillingUnderTest.with { test in
            let (person, other) = (try await test.person(), try await test.person())
            let session = try await test.checkOut("/buy", ["credits": "100"], person)
            #expect(try await test.open("/buy/done?session_id=\(session)", other).status == 404)
            #expect(try await test.open("/buy/done?session_id=cs_none", person).status == 404)
            #expect(try await test.open("/buy/done", person).status == 400)
        }
    }

    @Test func `an order that failed, expired or waits for a bank says so`() async throws {
        try await BillingUnderTest.with { test in
            let person = try await test.person()
            let session = try await test.checkOut("/buy", ["credits": "50"], person)
            for (status, title) in [
                (Purchase.Status.failed, "The payment failed"), (.expired, "This order has expired"),
                (.review, "We are checking this payment"),
            ] {
                let order = try #require(try await test.pool.first(PurchaseOfSession(sessionID: session)))
                try await test.pool.execute(SetPurchaseStatus(id: order.id, status: status, review: status == .review ? "a test" : nil))
                #expect(try await test.open("/buy/done?session_id=\(session)", person).title == title)
            }
        }
    }

    @Test func `an amount of the user's own has its price, and can be bought`() async throws {
        try await BillingUnderTest.with { test in
            let person = try await test.person()
            let page = try await test.open("/buy?credits=120", person)
            #expect(page.text.contains("120 credits: $10.80"))
            #expect(page.text.contains("Buy for $10.80"))
            let session = try await test.checkOut("/buy", ["credits": "120"], person)
            try await test.stripe.pay(session)
            #expect(try await test.open("/buy/done?session_id=\(session)", person).title == "120 credits were added")
        }
    }

    @Test(arguments: ["9", "100001", "12.5", "-50", "ten", "99999999999999999999", "٣٠"])
    func `a bad amount is named next to its field, and kept`(text: String) async throws {
        try await BillingUnderTest.with { test in
            let person = try await test.person()
            for page in [
                try await test.open(
                    "/buy?credits=\(text.utf8.map { "%" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())", person),
                try await test.send("/buy", ["credits": text], person),
            ] {
                #expect(page.status == 400)
                #expect(page.error(of: "credits") == "Enter a whole number from 10 to 100,000, like 120.")
                #expect(page.text.contains("value=\"\(text)\""))
            }
            #expect(try await test.send("/buy", [:], person).status == 400)
        }
    }

    @Test func `a user without a confirmed address, or with a disputed payment, reads why, and cannot order`() async throws {
        try await BillingUnderTest.with { test in
            let stranger = test.browsers.signIn(.make())
            let page = try await test.open("/buy", stranger)
            #expect(page.text.contains("Confirm your email address before you buy."))
            #expect(!page.text.contains(#"<form action="/buy" method="post""#))
            let refused = try await test.send("/buy", ["credits": "100"], stranger)
            #expect(refused.status == 403)
            #expect(refused.text.contains("Confirm your email address before you buy."))

            let person = try await test.person()
            let dispute = try StripeDispute(
                JSONObject(
                    Array(#"{"id":"dp_1","amount":900,"status":"needs_response","payment_intent":"pi_1","created":1795330923}"#.utf8)))
            try await test.pool.execute(UpsertDispute(dispute: dispute, userID: person.userID, source: "purchase:x"))
            #expect(try await test.open("/buy", person).text.contains("is disputed at your bank"))
            #expect(try await test.send("/buy", ["credits": "100"], person).status == 403)
        }
    }
}
