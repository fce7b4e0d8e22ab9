import Testing

@testable import Web

struct ChartsTests {
    private func chart(_ sizes: [Double]) -> String {
        let bars = sizes.enumerated().map { index, size in
            Bar(name: "Day \(index)", size: size, text: "\(size) credits", cells: [HTML("Day \(index)"), HTML("\(size)")])
        }
        let text = ChartText(
            summary: "A \(hostile)", caption: "Days", columns: [Column("Day"), .figures("Credits")], ends: ("first", "last"))
        return barChart(.test(), text, bars).text
    }

    @Test func `a chart has a text for those who do not see it, and a table of the same figures, newest first`() {
        let html = chart([1, 4])
        #expect(html.contains(#"role="img" aria-label="A \#(escaped)""#))
        #expect(html.contains("<summary>Show as table</summary>"))
        #expect(html.contains("<tbody><tr><td>Day 1</td><td class=\"figures\">4.0</td></tr><tr><td>Day 0</td>"))
        #expect(html.contains("<span>first</span><span>last</span>"))
        #expect(barChart(.test(.th), ChartText(summary: "", caption: "", columns: [], ends: ("", "")), []).text.contains("แสดงเป็นตาราง"))
    }

    @Test func `bars have attributes only, the height of their share of a round number, and the newest has the accent`() {
        let html = chart([1, 0, 4])
        #expect(!html.contains("style"))
        let rects = html.matches(of: /<rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"( class="newest")?><title>([^<]*)/)
        #expect(
            rects.map { "\($0.output.2) \($0.output.4)\($0.output.5 ?? "") \($0.output.6)" } == [
                "800 200 Day 0: 1.0 credits", #"200 800 class="newest" Day 2: 4.0 credits"#,
            ])
        #expect(html.contains("<span>5</span><span>2.50</span><span>0</span>"))
    }

    @Test func `the smallest usage is seen`() {
        #expect(chart([1_000, 0.000000001]).contains(#"y="990" width="14" height="10""#))
    }

    @Test(arguments: [
        (0, 0.001), (0.001, 0.001), (0.0011, 0.002), (0.03, 0.05), (1, 1), (1.1, 2), (4.2, 5), (9, 10), (182, 200), (3.9e9, 5e9),
        (1e12, 5e9),
    ])
    func `a scale ends at a round number that no bar exceeds`(largest: Double, top: Double) {
        #expect(abs(Scale(reaching: largest).top - top) < top / 1e6)
    }

    @Test func `a stacked bar has parts in the order and the share that they were given`() {
        let html = stackedBar([Share(1, .first), Share(3, .soon)]).text
        #expect(
            html == #"<svg viewBox="0 0 1000 1" preserveAspectRatio="none" class="stack" aria-hidden="true">"#
                + #"<rect x="0" y="0" width="250" height="1" class="share"></rect>"#
                + #"<rect x="250" y="0" width="750" height="1" class="share soon"></rect></svg>"#)
        #expect(stackedBar([]).isEmpty)
        #expect(stackedBar([Share(0, .first)]).isEmpty)
        #expect(swatch(.second).text.contains(#"class="share second""#))
    }
}
