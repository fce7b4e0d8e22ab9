import TestSupport
import Testing
import Values

@testable import Contracts

struct CreditsTests {
    @Test(
        arguments: [
            ("0", 0), ("10", 10_000_000_000), ("2.875", 2_875_000_000), ("0.000000001", 1), ("-0.5", -500_000_000),
            ("9223372036.854775807", Int64.max), ("1.10", 1_100_000_000),
        ] as [(String, Int64)])
    func `a decimal is read exactly`(text: String, nano: Int64) {
        #expect(Credits(decimal: text) == Credits(nano: nano))
    }

    @Test(arguments: [
        "", "-", ".5", "5.", "1e3", "+1", "0.0000000001", "9223372036.854775808", "1 ", " 1", "1,5", "NaN", "٣", "1.2.3", "--1",
    ])
    func `anything but a decimal with at most nine fraction digits is refused`(text: String) {
        #expect(Credits(decimal: text) == nil)
    }

    @Test func `a written value reads back the same`() {
        let seed = drawSeed()
        var random = SplitMix64(seed: seed)
        for _ in 0..<10_000 {
            let amount = Credits(nano: Int64(truncatingIfNeeded: random.next()) >> Int64(random.next() % 63))
            #expect(Credits(decimal: amount.description) == amount, "seed \(seed)")
        }
    }

    @Test func `trailing zeros are not written`() {
        #expect(Credits(nano: 2_875_000_000).description == "2.875")
        #expect(Credits(nano: -1).description == "-0.000000001")
        #expect(Credits(whole: 10).description == "10")
    }
}

struct UUIDv7Tests {
    @Test func `ids sort by the millisecond they were made in`() {
        var random = SplitMix64(seed: 7)
        let earlier = UUIDv7.make(milliseconds: 1_000, using: &random)
        let later = UUIDv7.make(milliseconds: 1_001, using: &random)
        #expect(earlier < later)
        #expect(earlier.milliseconds == 1_000)
    }

    @Test func `version and variant are those of RFC 9562`() {
        let text = UUIDv7.make().description
        #expect(Array(text)[14] == "7")
        #expect("89ab".contains(Array(text)[19]))
        #expect(UUIDv7(text)?.description == text)
        #expect(UUIDv7(text)?.bytes.count == 16)
    }

    @Test(arguments: [
        "", "0190b5a0-0000-7000-8000-00000000000", "0190b5a000007000800000000000000001", "0190b5a0-0000-7000-8000-00000000000g",
        "{0190b5a0-0000-7000-8000-000000000001}",
    ])
    func `other spellings are refused`(text: String) {
        #expect(UUIDv7(text) == nil)
    }
}

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
