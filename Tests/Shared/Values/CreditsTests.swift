import TestSupport
import Testing
import Values

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
