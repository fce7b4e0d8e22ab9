import Testing
import Values

@testable import Billing

struct MonthsTests {
    @Test(arguments: [
        ("2026-01-31T10:00:00Z", 1, "2026-02-28T10:00:00Z"), ("2028-01-31T10:00:00Z", 1, "2028-02-29T10:00:00Z"),
        ("2026-01-31T10:00:00Z", 2, "2026-03-31T10:00:00Z"), ("2026-11-30T23:59:59Z", 3, "2027-02-28T23:59:59Z"),
        ("2028-02-29T00:00:00Z", 12, "2029-02-28T00:00:00Z"), ("2026-03-31T00:00:00Z", -1, "2026-02-28T00:00:00Z"),
        ("2026-12-15T00:00:00Z", 1, "2027-01-15T00:00:00Z"), ("2026-01-15T00:00:00Z", -1, "2025-12-15T00:00:00Z"),
    ])
    func `a month later is the same day, or the last one`(start: String, count: Int64, end: String) throws {
        #expect(try #require(Instant(start)).adding(months: count) == Instant(end))
    }

    @Test(arguments: [
        // The anchor leads to the end of the cycle, and to its beginning.
        ("2026-04-30T08:00:00Z", "2026-01-31T08:00:00Z", 1, "2026-03-31T08:00:00Z"),
        ("2026-03-31T08:00:00Z", "2026-01-31T08:00:00Z", 1, "2026-02-28T08:00:00Z"),
        // It does not: the end itself counts.
        ("2026-04-30T08:00:00Z", "2026-01-15T08:00:00Z", 1, "2026-03-30T08:00:00Z"),
        ("2027-01-31T08:00:00Z", "2026-01-31T08:00:00Z", 12, "2026-01-31T08:00:00Z"),
    ])
    func `a cycle begins where the anchor says`(end: String, anchor: String, months: Int64, start: String) throws {
        #expect(try #require(Instant(end)).cycleStart(months: months, anchor: #require(Instant(anchor))) == Instant(start))
    }
}
