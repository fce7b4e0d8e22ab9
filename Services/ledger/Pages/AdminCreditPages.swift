import Contracts
import HTTP
import LedgerCore
import Values
import Web

/// `/admin/credits` and below: the account of a user, for administrators.
struct AdminCreditPages {
    let viewer: Viewer
    private var strings: AdminCreditStrings { AdminCreditStrings(language: viewer.language) }

    static func link(_ account: AccountID) -> Link { Place.adminCredits.link.segment(account.description) }
    static func adjustLink(_ account: AccountID) -> Link { link(account).segment("adjust") }

    /// Asks for a user.
    func find(_ sent: FormInput, status: Int = 200) -> Response {
        let form = Form(viewer, sent)
        return viewer.show(Page(strings.title, status: status, place: .adminCredits, isWide: true)) {
            h1 { strings.title }
            form.search(Place.adminCredits.link) {
                form.field("q", strings.search, .search, hint: strings.searchHint)
                submit(strings.find, .secondary)
            }
            linkButton(strings.users, Place.adminUsers.link)
        }
    }

    // MARK: An account

    /// - Parameter isDone: true after an adjustment.
    func show(_ standing: Standing, recent: [HistoryLine], isDone: Bool) -> Response {
        let (account, link) = (standing.account, Self.link(standing.account.id))
        return viewer.show(Page(strings.account, place: .adminCredits, isWide: true)) {
            if isDone { notice(.done) { p { strings.adjusted } } }
            h1 { strings.account }
            div(.class("columns")) {
                panel(strings.available) {
                    figure(viewer.figure(account.available) + small { " \(viewer.unit(of: account.available))" })
                    LotTable(viewer: viewer, lots: standing.lots).html
                    linkButton(strings.adjust, Self.adjustLink(account.id), .primary)
                }
                panel(strings.user) {
                    facts(description(account))
                    linkButton(strings.profile, Place.adminUsers.link.segment(account.id.description))
                }
            }
            panel(strings.recent, side: recent.isEmpty ? .empty : a(link.segment("transactions")) { strings.all }) {
                if recent.isEmpty {
                    emptyState(strings.none)
                } else {
                    TransactionTable(viewer: viewer, caption: strings.recent, lines: recent, link: link.segment("transactions")).html
                }
            }
        }
    }

    private func description(_ account: Account) -> [(name: String, value: HTML)] {
        func limit(_ amount: Credits?) -> HTML { amount.map(viewer.credits) ?? HTML(strings.noLimit) }
        return [
            (strings.user, code { account.id.description }), (strings.balance, viewer.credits(account.posted)),
            (strings.held, viewer.credits(account.held)), (strings.owed, viewer.credits(max(.zero, -account.posted))),
            (strings.overdraft, viewer.credits(account.overdraft)), (strings.daily, limit(account.limits.daily)),
            (strings.monthly, limit(account.limits.monthly)), (strings.entries, HTML(viewer.number(account.seq))),
        ]
    }

    // MARK: An adjustment

    func adjust(_ account: AccountID, _ sent: FormInput, status: Int = 200) -> Response {
        let form = Form(viewer, sent)
        let entries = EntryStrings(language: viewer.language)
        return viewer.show(Page(strings.adjust, status: status, place: .adminCredits)) {
            panel {
                h1 { strings.adjust }
                facts([(strings.user, code { account.description })])
                form(Self.adjustLink(account), hidden: ["form_id": sent["form_id"]]) {
                    form.choice("type", strings.type, Adjustment.types.map { Form.Option($0, entries.name(of: $0)) })
                    form.field("amount", strings.amount, .amount, hint: strings.amountHint)
                    form.field("reason", strings.reason, .longText, hint: strings.reasonHint)
                    form.field("last_day", strings.lastDay, .date, hint: strings.lastDayHint, isOptional: true)
                    submit(strings.next)
                }
                linkButton(viewer.cancel, Self.link(account))
            }
        }
    }

    /// Names the amount and the account, and asks once. The forms carry what was sent.
    func ask(_ adjustment: Adjustment, _ sent: FormInput, _ standing: Standing) -> Response {
        let (account, form) = (standing.account.id, Form(viewer))
        let fields = Dictionary(uniqueKeysWithValues: ["form_id", "type", "amount", "reason", "last_day"].map { ($0, sent[$0]) })
        return viewer.show(Page(strings.askTitle, place: .adminCredits)) {
            panel {
                h1 { strings.askTitle }
                figure(viewer.change(adjustment.amount) + small { " \(viewer.unit(of: adjustment.amount))" })
                facts(
                    [
                        (strings.user, code { account.description }),
                        (strings.type, HTML(EntryStrings(language: viewer.language).name(of: sent["type"]))),
                        (strings.reason, bdi { adjustment.reason }), (strings.lastDay, adjustment.expiresAt.map(viewer.day)),
                        (strings.availableNow, viewer.credits(standing.account.available)),
                    ].compactMap { row in row.1.map { (row.0, $0) } })
                form(Self.adjustLink(account), hidden: fields.merging(["step": "confirm"]) { $1 }) {
                    submit(strings.adjust, adjustment.amount < .zero ? .danger : .primary)
                }
                form(Self.adjustLink(account), hidden: fields.merging(["step": "change"]) { $1 }) { submit(strings.change, .secondary) }
                linkButton(viewer.cancel, Self.link(account))
            }
        }
    }
}
