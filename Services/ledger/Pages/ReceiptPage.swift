import Contracts
import HTTP
import JSON
import LedgerCore
import Values
import Web

/// `/transactions/{id}`: what the journal knows about one charge.
struct ReceiptPage {
    let viewer: Viewer
    let owner: TransactionOwner
    let receipt: Receipt
    private var strings: TransactionStrings { TransactionStrings(language: viewer.language) }
    private var entries: EntryStrings { EntryStrings(language: viewer.language) }
    private var main: HistoryLine { receipt.main.line }

    func show() -> Response {
        viewer.show(Page(strings.receipt, place: owner.place, isWide: true)) {
            p(.class("back")) { a(owner.link) { strings.back } }
            h1 { strings.receipt }
            div(.class("columns")) {
                panel {
                    figure(viewer.change(receipt.amount) + small { " \(viewer.unit(of: receipt.amount))" })
                    p { TransactionTable.tags(main, entries) }
                    facts(balance)
                    if main.flag != nil { p(.class("small muted")) { strings.lateNote } }
                    if main.isEstimated { p(.class("small muted")) { strings.estimatedNote } }
                }
                div {
                    if !call.isEmpty { panel(strings.call) { facts(call) } }
                    panel(strings.ids) { facts(ids) }
                }
            }
            if receipt.lines.count > 1 { panel(strings.steps) { steps } }
        }
    }

    private typealias Facts = [(name: String, value: HTML)]

    private var balance: Facts {
        let (first, last) = (receipt.changes.first?.line.entry, receipt.changes.last?.line.entry)
        var rows: Facts = [(entries.when, viewer.moment(main.entry.at))]
        if let first { rows.append((strings.before, viewer.credits(first.postedAfter - first.postedDelta))) }
        if let last { rows.append((strings.after, viewer.credits(last.postedAfter))) }
        if receipt.held > .zero { rows.append((strings.held, viewer.credits(receipt.held))) }
        if main.entry.overage > .zero { rows.append((strings.overage, viewer.credits(main.entry.overage))) }
        if let end = main.entry.expiresAt { rows.append((strings.ends, viewer.moment(end))) }
        if let text = main.description, main.fact("model") == nil { rows.append((strings.description, bdi { text })) }
        return rows
    }

    private var call: Facts {
        var rows: Facts = []
        func add(_ title: String, _ name: String) {
            if let value = main.fact(name) { rows.append((title, bdi { value })) }
        }
        add(entries.model, "model")
        add(strings.provider, "provider")
        add(entries.operation, "operation")
        if let units = main.units {
            for (title, count) in [(strings.input, units.promptTokens), (strings.output, units.completionTokens)] where count > 0 {
                rows.append((title, HTML(viewer.number(count))))
            }
            for (unit, count) in units.all.sorted(by: { $0.key < $1.key }) where !unit.isPromptToken && !unit.isCompletionToken {
                rows.append((unit.rawValue, HTML(viewer.number(count))))
            }
        }
        if let end = main.fact("end").flatMap(CallFacts.End.init) { rows.append((strings.end, HTML(strings.text(of: end)))) }
        if let key = main.fact("api_key_id") { rows.append((strings.key, code { key })) }
        add(strings.service, "service")
        if case .user = owner { add(strings.administrator, "admin_id") }
        return rows
    }

    private var ids: Facts {
        var rows: Facts = [(strings.charge, code { receipt.charge.description })]
        if let conversation = receipt.main.conversation { rows.append((strings.request, code { conversation.description })) }
        if let trace = receipt.main.trace { rows.append((strings.trace, code { trace.description.replacing("-", with: "") })) }
        return rows
    }

    private var steps: HTML {
        dataTable(
            strings.steps,
            [
                Column(entries.when), Column(strings.step), .figures(entries.credits), .figures(entries.balance, isMinor: true),
                .figures(strings.heldAfter),
            ],
            receipt.lines.map(\.line.entry).map { entry in
                [
                    viewer.moment(entry.at), HTML(entries.step(entry.kind)), viewer.change(entry.postedDelta),
                    viewer.figure(entry.postedAfter), viewer.figure(entry.heldAfter),
                ]
            }, isStacked: true)
    }
}
