import Testing
import Values

@testable import Web

struct MoneyTests {
    @Test(arguments: [
        ("0", "0"), ("5", "5"), ("182.5", "182.50"), ("182.47", "182.47"), ("182.475", "182.475"), ("182.4756", "182.4756"),
        ("182.47569", "182.4756"), ("0.0001", "0.0001"), ("0.00009", "0"), ("999", "999"), ("1000", "1,000"), ("1182.47", "1,182.47"),
        ("1234567.1", "1,234,567.10"), ("-0.0431", "−0.0431"), ("-0.04311", "−0.0432"), ("-0.000000001", "−0.0001"), ("-1", "−1"),
        ("-1234.5", "−1,234.50"), ("9223372036.854775807", "9,223,372,036.8547"), ("-9223372036.854775807", "−9,223,372,036.8548"),
    ])
    func `an amount has its unit, groups of three digits, and at most four fraction digits rounded down`(exact: String, text: String) throws
    {
        let amount = try #require(Credits(decimal: exact))
        #expect(Viewer.test(.en).credits(amount).text == "<span class=\"amount\" title=\"\(exact) credits\">\(text) credits</span>")
        #expect(Viewer.test(.th).credits(amount).text == "<span class=\"amount\" title=\"\(exact) เครดิต\">\(text) เครดิต</span>")
    }

    @Test func `the least amount is shown too`() {
        #expect(Viewer.test().credits(Credits(nano: .min)).text.contains("−9,223,372,036.8548 credits"))
    }
}
