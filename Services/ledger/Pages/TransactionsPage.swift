import HTTP
import LedgerCore
import Values
import Web

/// The owner of the transactions on a page, with the places of the pages.
enum TransactionOwner: Sendable {
    case viewer
    /// A user, for an administrator.
    case user(AccountID)

    var link: Link {
        switch self {
        case .viewer: Place.transactions.link
        case .user(let account): AdminCreditPages.link(account).segment("transactions")
        }
    }

    var place: Place {
        switch self {
        case .viewer: .transactions
        case .user: .adminCredits
        }
    }

    /// The address of the file with all transactions.
    fileprivate var export: Link {
        switch self {
        case .viewer: Link("/api/credits/history").with("format", "csv")
        case .user(let account): Link("/api/admin/credits/history").with("format", "csv").with("user_id", account.description)
        }
    }
}

/// `/transactions`: the changes of a balance, filtered and page by page.
struct TransactionsPage {
    let viewer: Viewer
    let owner: TransactionOwner
    /// `type`, `from`, `to` and `q`, as they were asked for.
    let filter: FormInput
    private var strings: TransactionStrings { TransactionStrings(language: viewer.language) }
    private var entries: EntryStrings { EntryStrings(language: viewer.language) }

    static let fields: [StaticString] = ["type", "from", "to", "q"]

    /// Shows the filter again, with its errors.
    func refuse() -> Response { page(status: 400) { .empty } }

    /// - Parameter isFirst: true for the page with the newest lines.
    func show(_ found: HistoryPage, isFirst: Bool) -> Response {
        page {
            panel {
                if found.lines.isEmpty {
                    emptyState(empty(found)) {
                        if isFiltered {
                            linkButton(strings.showAll, owner.link)
                        } else if case .viewer = owner {
                            linkButton(strings.dashboard, Place.dashboard.link)
                        }
                    }
                } else {
                    TransactionTable(viewer: viewer, caption: strings.title, lines: found.lines, link: owner.link).html
                }
                let first = filtered(owner.link)
                pager(viewer, first: isFirst ? nil : first, next: found.nextCursor.map { first.with("cursor", String($0)) })
            }
        }
    }

    private func page(status: Int = 200, @HTMLBuilder content: () -> HTML) -> Response {
        let form = Form(viewer, filter)
        return viewer.show(Page(strings.title, status: status, place: owner.place, isWide: true)) {
            div(.class("split")) {
                h1 { strings.title }
                if filter.isFine { a(filtered(owner.export).with("tz", viewer.timeZone), .class("button")) { strings.export } }
            }
            if case .user(let account) = owner {
                p(.class("muted")) { a(AdminCreditPages.link(account)) { code { account.description } } }
            }
            form.search(owner.link) {
                form.choice(
                    "type", entries.type,
                    [Form.Option("", strings.allTypes)] + EntryStrings.types.map { Form.Option($0, entries.name(of: $0)) })
                form.field("from", strings.from, .period)
                form.field("to", strings.to, .period)
                form.field("q", strings.search, .search)
                submit(strings.find, .secondary)
            }
            content()
        }
    }

    private func empty(_ found: HistoryPage) -> String {
        if found.nextCursor != nil { return strings.noMatchHere }
        return isFiltered ? strings.noMatch : strings.none
    }

    private var isFiltered: Bool { Self.fields.contains { !filter["\($0)"].isEmpty } }

    private func filtered(_ link: Link) -> Link {
        Self.fields.reduce(link) { link, name in filter["\(name)"].isEmpty ? link : link.with(name, filter["\(name)"]) }
    }
}
