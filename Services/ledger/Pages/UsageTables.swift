import LedgerCore
import Values
import Web

/// The parts of a page that show usage: a chart of days, and tables by name.
struct UsageTables {
    let viewer: Viewer
    let report: UsageReport
    private var strings: EntryStrings { EntryStrings(language: viewer.language) }

    var isEmpty: Bool { report.days.allSatisfy { $0.sums.entries == 0 } }

    /// The lengths of the chart in days.
    static let lengths = [30, 90]

    /// - Parameter page: the page that has the switch.
    func lengthSwitch(_ label: String, _ days: Int, of page: Link) -> HTML {
        func link(_ days: Int) -> Link { days == Self.lengths[0] ? page : page.with("days", String(days)) }
        return segments(label, Self.lengths.map { (viewer.days(Int64($0)), link($0)) }, current: link(days))
    }

    func chart(_ caption: String) -> HTML {
        let bars = report.days.map { day, sums in
            let name = viewer.day(named: day)
            return Bar(
                name: name, size: Double(sums.used) ?? 0, text: viewer.text(decimal: sums.used),
                cells: [HTML(name), viewer.figure(decimal: sums.used), HTML(viewer.number(sums.entries))])
        }
        let ends = [report.days.first, report.days.last].map { viewer.day(named: $0?.day ?? "", isShort: true) }
        return barChart(
            viewer,
            ChartText(
                summary: summary, caption: caption, columns: [Column(strings.day), .figures(strings.credits), .figures(strings.calls)],
                ends: (ends[0], ends[1])), bars)
    }

    /// The days with the most and the least usage in a sentence.
    private var summary: String {
        let days = report.days.map { (day: $0.day, used: Double($0.sums.used) ?? 0, text: $0.sums.used) }
        guard let most = days.max(by: { $0.used < $1.used }), let last = days.last else { return "" }
        let (day, amount) = (viewer.day(named: most.day), viewer.text(decimal: most.text))
        let today = viewer.text(decimal: last.text)
        return viewer.language(
            en: "Bar chart of \(viewer.days(Int64(days.count))). The highest bar is \(day) with \(amount). The last day has \(today).",
            th: "กราฟแท่ง \(viewer.days(Int64(days.count))) วันที่ใช้มากที่สุดคือ \(day) จำนวน \(amount) วันล่าสุดใช้ \(today)")
    }

    /// The usage of the days of the chart by model and by feature, and all changes of balances by type.
    func panels(_ days: Int) -> HTML {
        let title = strings.changes(viewer.days(Int64(days)))
        return div(.class("columns")) {
            if !isEmpty {
                panel(strings.models) { table(strings.models, strings.model, report.models) }
                panel(strings.operations) { table(strings.operations, strings.operation, report.operations) }
            }
            panel(title) { types(title) }
        }
    }

    private func types(_ caption: String) -> HTML {
        dataTable(
            caption, [Column(strings.type), .figures(strings.calls), .figures(strings.credits)],
            report.types.map { row in
                [tag(strings.name(of: row.type)), HTML(viewer.number(row.sums.entries)), viewer.figure(decimal: row.sums.credits)]
            })
    }

    private func table(_ caption: String, _ title: String, _ rows: [UsageOfName]) -> HTML {
        dataTable(
            caption, [Column(title, isLong: true), .figures(strings.calls), .figures(strings.credits)],
            rows.map { row in [name(row), HTML(viewer.number(row.sums.entries)), viewer.figure(decimal: row.sums.used)] })
    }

    private func name(_ row: UsageOfName) -> HTML {
        guard row.isNamed else { return span(.class("muted")) { strings.others } }
        return row.name.isEmpty ? span(.class("muted")) { strings.without } : bdi { row.name }
    }
}
