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

    @Test func `one credit is one credit`() {
        #expect(Viewer.test().credits(Credits(whole: 1)).text == #"<span class="amount" title="1 credit">1 credit</span>"#)
        #expect(Viewer.test().text(decimal: "1") == "1 credit")
        #expect(Viewer.test().text(Credits(nano: 1_000_000_001)) == "1 credits")
    }

    @Test func `an amount of a column has its unit in the title only, and one that arrives has a plus sign`() {
        let viewer = Viewer.test()
        #expect(viewer.figure(Credits(whole: 5)).text == #"<span class="amount" title="5 credits">5</span>"#)
        #expect(viewer.change(Credits(whole: 5)).text == #"<span class="amount arrived" title="+5 credits">+5</span>"#)
        #expect(viewer.change(Credits(whole: -5)).text == #"<span class="amount" title="-5 credits">−5</span>"#)
        #expect(viewer.change(.zero).text == #"<span class="amount" title="0 credits">0</span>"#)
    }

    @Test(arguments: [("0.000575", "0.000575"), ("0.02875", "0.02875"), ("0", "0"), ("1234.5", "1,234.5")])
    func `a price has all its digits`(exact: String, text: String) throws {
        let html = Viewer.test().price(try #require(Credits(decimal: exact))).text
        #expect(html == #"<span class="amount" title="\#(exact) credits">\#(text)</span>"#)
    }

    @Test(arguments: [
        ("0.0431", "0.0431"), ("9223372036.5", "9,223,372,036.50"), ("123456789012.5", "123,456,789,012"),
        ("-123456789012.5", "−123,456,789,012"),
    ])
    func `a sum beyond the range of an amount is shown in whole credits`(exact: String, text: String) {
        #expect(Viewer.test().credits(decimal: exact).text == #"<span class="amount" title="\#(exact) credits">\#(text) credits</span>"#)
        #expect(Viewer.test().figure(decimal: exact).text == #"<span class="amount" title="\#(exact) credits">\#(text)</span>"#)
    }

    @Test func `a number of things has groups of three digits`() {
        #expect([0, 999, 4_182, -1_000].map { Viewer.test().number($0) } == ["0", "999", "4,182", "−1,000"])
    }

    @Test func `the least amount is shown too`() {
        #expect(Viewer.test().credits(Credits(nano: .min)).text.contains("−9,223,372,036.8548 credits"))
    }

    @Test(arguments: [
        (0, "$0", "$0.00"), (900, "$9", "$9.00"), (2_610, "$26.10", "$26.10"), (5, "$0.05", "$0.05"),
        (123_456_700, "$1,234,567", "$1,234,567.00"),
        (-900, "−$9", "−$9.00"),
    ])
    func `an amount of money has two fraction digits, and as a price none if it is whole`(cents: Int64, price: String, money: String) {
        #expect(Viewer.test().price(cents: cents) == price)
        #expect(Viewer.test().money(cents: cents) == money)
    }

    @Test func `another currency is named`() {
        #expect(Viewer.test().money(cents: -123_450, "eur") == "−1,234.50 EUR")
    }
}
