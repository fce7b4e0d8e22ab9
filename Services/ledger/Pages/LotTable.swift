import LedgerCore
import Values
import Web

/// The lots of an account: a bar, and the table of its parts.
struct LotTable {
    let viewer: Viewer
    /// In the order in which they are used.
    let lots: [Lot]
    private var strings: DashboardStrings { DashboardStrings(language: viewer.language) }

    /// Further lots stand together in one row.
    private static let rowsMax = 6
    private static let soon: Duration = .seconds(7 * 86_400)

    @HTMLBuilder var html: HTML {
        if !lots.isEmpty {
            stackedBar(rows.map { Share(Double($0.amount.nano), $0.shade) })
            dataTable(
                strings.lots,
                [
                    Column(strings.source), .figures(EntryStrings(language: viewer.language).credits), Column(strings.ends),
                ],
                rows.map { row in
                    [span(.class("lot")) { swatch(row.shade) + HTML(row.source) }, viewer.figure(row.amount), row.end]
                })
        }
    }

    private struct Row {
        var source: String
        var amount: Credits
        var end: HTML
        var shade: Share.Shade
    }

    private var rows: [Row] {
        let shades: [Share.Shade] = [.first, .second, .third]
        let shown = lots.count > Self.rowsMax ? Self.rowsMax - 1 : lots.count
        var rows = lots.prefix(shown).enumerated().map { index, lot in
            Row(
                source: EntryStrings(language: viewer.language).name(of: lot.kind.type), amount: lot.remaining, end: end(of: lot),
                shade: isSoon(lot) ? .soon : shades[index % shades.count])
        }
        let others = lots.dropFirst(shown)
        if !others.isEmpty {
            rows.append(
                Row(
                    source: strings.more(others.count), amount: others.reduce(.zero) { $0 + $1.remaining }, end: .empty,
                    shade: shades[shown % shades.count]))
        }
        return rows
    }

    private func isSoon(_ lot: Lot) -> Bool { lot.expiresAt.map { $0 - viewer.now < Self.soon } ?? false }

    @HTMLBuilder private func end(of lot: Lot) -> HTML {
        if let end = lot.expiresAt {
            viewer.day(end)
            if isSoon(lot) { HTML(" ") + tag(strings.soon, isWarning: true) }
        } else {
            span(.class("muted")) { strings.never }
        }
    }
}
