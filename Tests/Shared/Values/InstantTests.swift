import Testing
import Values

struct InstantTests {
    @Test(
        arguments: [
            ("1970-01-01T00:00:00.000000Z", 0), ("2000-02-29T12:00:00.500000Z", 951_825_600_500_000),
            ("1969-12-31T23:59:59.999999Z", -1), ("2026-11-20T09:30:00.000001Z", 1_795_167_000_000_001),
        ] as [(String, Int64)])
    func `time is written as RFC 3339 and read back`(text: String, microseconds: Int64) {
        #expect(Instant(microseconds: microseconds).description == text)
        #expect(Instant(text) == Instant(microseconds: microseconds))
    }

    @Test(arguments: [
        "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-20 00:00:00Z", "2026-11-20T24:00:00Z", "2026-11-20T00:00:00+01:00",
        "2026-11-20T00:00:00.Z",
    ])
    func `an impossible or local time is refused`(text: String) {
        #expect(Instant(text) == nil)
    }
}
