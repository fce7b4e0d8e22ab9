import Values

/// A part of a stacked bar.
package struct Share: Sendable {
    /// The colour of a part, which tells it from the parts next to it.
    package enum Shade: Sendable, CaseIterable {
        case first
        case second
        case third
        /// It ends soon.
        case soon

        fileprivate var style: Attribute {
            switch self {
            case .first: .class("share")
            case .second: .class("share second")
            case .third: .class("share third")
            case .soon: .class("share soon")
            }
        }
    }

    fileprivate let size: Double
    fileprivate let shade: Shade

    package init(_ size: Double, _ shade: Shade) { (self.size, self.shade) = (size, shade) }
}

/// A bar of parts that add up to a whole. A table next to it has the same figures, so that screen readers pass it over.
package func stackedBar(_ shares: [Share]) -> HTML {
    let whole = shares.reduce(0) { $0 + $1.size }
    guard whole > 0 else { return .empty }
    var (rects, begin) = (HTML.empty, 0.0)
    for share in shares {
        rects = rects + rect(x: begin / whole * drawingWidth, y: 0, width: share.size / whole * drawingWidth, height: 1, share.shade.style)
        begin += share.size
    }
    return drawing(width: drawingWidth, height: 1, [.class("stack"), .ariaHidden], rects)
}

/// The colour of a part next to its name.
package func swatch(_ shade: Share.Shade) -> HTML {
    drawing(width: 1, height: 1, [.class("swatch"), .ariaHidden], rect(x: 0, y: 0, width: 1, height: 1, shade.style))
}

/// A value of a bar chart.
package struct Bar: Sendable {
    fileprivate let name: String
    /// In credits.
    fileprivate let size: Double
    fileprivate let text: String
    fileprivate let cells: [HTML]

    /// - Parameters:
    ///   - text: the value with its unit.
    ///   - cells: the row of the table.
    package init(name: String, size: Double, text: String, cells: [HTML]) {
        (self.name, self.size, self.text, self.cells) = (name, size, text, cells)
    }
}

/// The texts of a bar chart.
package struct ChartText: Sendable {
    fileprivate let summary: String
    fileprivate let caption: String
    fileprivate let columns: [Column]
    fileprivate let ends: (String, String)

    /// - Parameters:
    ///   - summary: the chart in a sentence, for those who do not see it.
    ///   - caption: the title of the table.
    ///   - ends: the labels below the first and the last bar.
    package init(summary: String, caption: String, columns: [Column], ends: (String, String)) {
        (self.summary, self.caption, self.columns, self.ends) = (summary, caption, columns, ends)
    }
}

/// A chart with a bar for each day; the newest stands last. The same figures are a table behind "Show as table", newest first.
package func barChart(_ viewer: Viewer, _ text: ChartText, _ bars: [Bar]) -> HTML {
    let scale = Scale(reaching: bars.reduce(0) { max($0, $1.size) })
    let width = Double(bars.count) * barWidth
    let lines = [0, 0.5, 1].map { at in
        HTML.element(
            "line",
            [
                Attribute("x1", "0"), Attribute("x2", number(width)), Attribute("y1", number(at * drawingHeight)),
                Attribute("y2", number(at * drawingHeight)), Attribute("vector-effect", "non-scaling-stroke"),
            ], .empty)
    }
    let drawn = bars.enumerated().map { index, bar -> HTML in
        guard bar.size > 0 else { return .empty }
        let height = min(max(bar.size / scale.top, 0.01), 1) * drawingHeight
        return rect(
            x: Double(index) * barWidth + barGap, y: drawingHeight - height, width: barWidth - 2 * barGap, height: height,
            index == bars.count - 1 ? .class("newest") : .none, title: "\(bar.name): \(bar.text)")
    }
    return div(.class("chart")) {
        drawing(
            width: width, height: drawingHeight, [.role("img"), .ariaLabel(text.summary)], HTMLBuilder.buildArray(lines + drawn))
        div(.class("scale"), .ariaHidden) {
            for mark in [scale.top, scale.top / 2, 0] { span { viewer.bare(Credits(nano: Int64(mark * 1e9))) } }
        }
        div(.class("ends"), .ariaHidden) { span { text.ends.0 } + span { text.ends.1 } }
        Element("details")() {
            Element("summary")() { viewer.language(en: "Show as table", th: "แสดงเป็นตาราง") }
            dataTable(text.caption, text.columns, bars.reversed().map(\.cells))
        }
    }
}

/// The top of a chart: a round number of credits that no bar exceeds, at most ``topMax``.
struct Scale {
    let top: Double

    /// The largest round number in the range of ``Credits``. A larger bar is cut.
    private static let topMax = 5e9

    init(reaching largest: Double) {
        var step = 0.001
        while step < largest, step < 1e10 { step *= 10 }
        top = min([0.2, 0.5].map { step * $0 }.first { $0 >= largest && $0 >= 0.001 } ?? step, Self.topMax)
    }
}

private let drawingWidth = 1_000.0
private let drawingHeight = 1_000.0
private let barWidth = 20.0
private let barGap = 3.0

/// A drawing that stretches to the size of its box. Its parts have attributes only: the pages allow no style.
private func drawing(width: Double, height: Double, _ attributes: [Attribute], _ content: HTML) -> HTML {
    HTML.element(
        "svg", [Attribute("viewBox", "0 0 \(number(width)) \(number(height))"), Attribute("preserveAspectRatio", "none")] + attributes,
        content)
}

/// - Parameter title: a text that a browser shows next to the pointer.
private func rect(x: Double, y: Double, width: Double, height: Double, _ style: Attribute, title: String? = nil) -> HTML {
    let attributes = ([("x", x), ("y", y), ("width", width), ("height", height)] as [(StaticString, Double)]).map {
        Attribute($0.0, number($0.1))
    }
    return HTML.element("rect", attributes + [style], title.map { text in Element("title")() { text } } ?? .empty)
}

/// Whole units, which are a thousandth of a drawing.
private func number(_ value: Double) -> String { String(Int64(value.rounded())) }
