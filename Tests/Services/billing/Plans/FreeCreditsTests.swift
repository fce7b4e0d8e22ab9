import Contracts
import Testing
import Values

@testable import Billing

struct FreeCreditsTests {
    private static func at(_ text: String) throws -> Instant { try #require(Instant(text)) }

    @Test(arguments: [
        ("2026-11-01T00:00:00Z", "2026-11", "2026-12-01T00:00:00Z"), ("2026-11-30T23:59:59Z", "2026-11", "2026-12-01T00:00:00Z"),
        ("2026-12-31T23:59:59Z", "2026-12", "2027-01-01T00:00:00Z"), ("2028-02-29T12:00:00Z", "2028-02", "2028-03-01T00:00:00Z"),
    ])
    func `a month is named by year and number, and ends with its last day in UTC`(moment: String, name: String, end: String) throws {
        let month = CalendarMonth(containing: try Self.at(moment))
        #expect(month.description == name)
        #expect(month.end == (try Self.at(end)))
    }

    @Test func `the free credits of a month have a key of user and month, and end with the month`() throws {
        let (user, chargeID) = (UserID.make(), ChargeID.make())
        let month = CalendarMonth(containing: try Self.at("2026-11-22T10:00:00Z"))
        let effect = Catalogue.atStart.plans[0].freeCredits(of: user, for: month, chargeID: chargeID)
        #expect(effect.key.text == "free:\(user):2026-11")
        let message = effect.message
        #expect((message.chargeID, message.accountID, message.kind) == (chargeID, AccountID(user), .planGrant))
        #expect((message.amount, message.description) == (Credits(whole: 10), "Free plan: credits of 2026-11"))
        #expect(message.expiresAt == (try Self.at("2026-12-01T00:00:00Z")))
    }
}
