import Contracts

/// Something that should not be so.
struct Difference: Hashable, Sendable, CustomStringConvertible {
    let account: AccountID?
    let charge: ChargeID?
    let what: String

    init(_ account: AccountID?, _ charge: ChargeID?, _ what: String) {
        (self.account, self.charge, self.what) = (account, charge, what)
    }

    init(_ account: AccountID?, _ what: String) { self.init(account, nil, what) }

    var description: String {
        [account.map { "account \($0)" }, charge.map { "charge \($0)" }, what].compactMap(\.self).joined(separator: ": ")
    }
}

/// Compares what was asked with what the ledger wrote, by the rules alone: docs/ledger.md and the messages' contracts. Knows nothing of
/// how the ledger decides.
struct Checker: Sendable {
    let book: Book
    let tables: Tables
    let outages: Outages
    let byCharge: [ChargeID: [Row]]

    init(_ book: Book, _ tables: Tables, _ outages: Outages) {
        (self.book, self.tables, self.outages) = (book, tables, outages)
        byCharge = Dictionary(grouping: tables.rows, by: \.charge)
    }

    /// Everything is expected to be at rest: all sent, all queues empty, all holds ended.
    func differences() -> [Difference] {
        outcomes() + replies() + replays() + reversals() + rest()
    }

    func row(_ charge: ChargeID, _ step: Int16) -> Row? { byCharge[charge]?.first { $0.step == step } }

    /// The ask that a row carries out or refuses; nil for what nobody asked.
    func ask(behind row: Row) -> Ask? {
        book.asks[row.charge]?.first { $0.account == row.account && matches($0, row) }
    }

    private func matches(_ ask: Ask, _ row: Row) -> Bool {
        switch (ask.action, row.kind, row.step) {
        case (.hold(let amount, _, _, _, _), .hold, Row.opening): amount == row.requested
        case (.extend(let step, let amount, _, _, _), .extend, _): step == row.step && amount == row.requested
        case (.settle(let amount, _), .capture, Row.terminal): amount == row.requested
        case (.settle(let amount, _), .lateCapture, Row.late):
            amount - (self.row(row.charge, Row.terminal)?.amount ?? .zero) == row.requested
        case (.void, .void, Row.terminal): true
        case (.grant(let kind, let amount, let expiresAt), _, Row.opening):
            kind.rawValue == row.kind.rawValue && amount == row.requested && expiresAt == row.expiresAt
        case (.reverse(let grant, let target, _), .clawback, Row.opening): grant == row.grant && target == row.requested
        default: false
        }
    }
}
