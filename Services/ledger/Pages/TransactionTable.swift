import LedgerCore
import Values
import Web

/// Changes of a balance. Each leads to its receipt.
struct TransactionTable {
    let viewer: Viewer
    let caption: String
    let lines: [HistoryLine]
    /// The page of the transactions. A receipt has its place below.
    let link: Link
    private var strings: EntryStrings { EntryStrings(language: viewer.language) }

    var html: HTML {
        dataTable(
            caption,
            [
                Column(strings.when), Column(strings.type), Column(strings.what, isLong: true), .figures(strings.credits),
                .figures(strings.balance, isMinor: true),
            ],
            lines.map { line in
                [
                    a(link.segment(line.entry.charge.description)) { viewer.moment(line.entry.at) }, Self.tags(line, strings), what(line),
                    viewer.change(line.entry.postedDelta), viewer.figure(line.entry.postedAfter),
                ]
            }, isStacked: true)
    }

    @HTMLBuilder static func tags(_ line: HistoryLine, _ strings: EntryStrings) -> HTML {
        tag(strings.name(of: line.entry.kind.type))
        if line.flag != nil { HTML(" ") + tag(strings.late, isWarning: true) }
        if line.isEstimated { HTML(" ") + tag(strings.estimated, isWarning: true) }
    }

    @HTMLBuilder private func what(_ line: HistoryLine) -> HTML {
        if let model = line.fact("model") {
            bdi { model }
            if let operation = line.fact("operation") { span(.class("muted")) { HTML(" · ") + bdi { operation } } }
        } else if let description = line.description {
            bdi { description }
        }
    }
}
