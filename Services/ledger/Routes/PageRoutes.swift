import Contracts
import HTTP
import Identity
import LedgerCore
import Telemetry
import Text
import Values
import Web

/// The pages of a user: the dashboard, the transactions and the limits.
extension Routes {
    static let linesOnPage = 50
    /// The newest lines on the first page of an account.
    static let recentLines = 8
    private static let namesOnDashboard = 6

    /// The viewer of a page of transactions, with the balance on the viewer's own pages.
    private func viewer(_ request: Request, _ caller: Principal, of owner: TransactionOwner) async throws -> Viewer {
        switch owner {
        case .viewer: viewer(request, caller, try await store.standing(of: caller.accountID)?.account)
        case .user: site.viewer(request, caller)
        }
    }

    /// The viewer of a page, with the balance.
    func viewer(_ request: Request, _ caller: Principal, _ account: Account?) -> Viewer {
        var viewer = site.viewer(request, caller)
        let account = account ?? Account(id: caller.accountID)
        viewer.balance = Balance(
            available: account.available, alertLevel: account.alertLevel(default: store.limits.lowBalanceLevel))
        return viewer
    }

    /// `days=30|90`.
    func showDashboard(_ request: Request, caller: Principal) async throws -> Response {
        let days = try Self.days(request.query)
        return try await slots.during(caller.accountID) {
            let shown = site.viewer(request, caller)
            let overview = try await store.overview(
                of: caller.accountID, lastDays(days, zone: shown.timeZone), zone: shown.timeZone, names: Self.namesOnDashboard,
                recent: Self.recentLines, now: shown.now)
            return DashboardPage(
                viewer: viewer(request, caller, overview.standing.account), overview: overview, days: days, plan: caller.plan
            ).show()
        }
    }

    static func days(_ query: Query) throws(Problem) -> Int {
        let days = try query.integer("days", default: UsageTables.lengths[0], in: 1...400)
        guard UsageTables.lengths.contains(days) else { throw .invalidRequest("`days` must be 30 or 90.", param: "days") }
        return days
    }

    /// The last days of a zone, today among them.
    func lastDays(_ days: Int, zone: String) async throws -> Period {
        let asked = AskedPeriod(zone: zone, days: Int32(days))
        return try await store.covered(period(asked), asked)
    }

    // MARK: Transactions

    /// `type`, `from`, `to`, `q` and `cursor`.
    func showTransactions(_ request: Request, caller: Principal) async throws -> Response {
        try await showTransactions(of: .viewer, caller.accountID, request, caller)
    }

    func showTransactions(
        of owner: TransactionOwner, _ account: AccountID, _ request: Request, _ caller: Principal
    ) async throws -> Response {
        try await slots.during(caller.accountID) {
            let viewer = try await viewer(request, caller, of: owner)
            var sent = try FormInput(request.query, TransactionsPage.fields)
            let cursor = try Self.cursor(request.query)
            let filter = try await transactionFilter(&sent, viewer)
            let page = TransactionsPage(viewer: viewer, owner: owner, filter: sent)
            guard let filter else { return page.refuse() }
            // Without a cursor the store would count the lines, too.
            let found = try await store.history(of: account, filter, before: cursor ?? .max, offset: 0, limit: Self.linesOnPage)
            return page.show(found, isFirst: cursor == nil)
        }
    }

    /// Reads a filter, or notes its errors.
    private func transactionFilter(_ sent: inout FormInput, _ viewer: Viewer) async throws -> HistoryFilter? {
        let strings = TransactionStrings(language: viewer.language)
        let kinds = sent["type"].isEmpty ? [] : Entry.Kind.of(type: sent["type"])
        guard sent["type"].isEmpty || EntryStrings.types.contains(sent["type"]) else {
            throw Problem.invalidRequest("`type` must be a type of transactions.", param: "type")
        }
        for name in ["from", "to"] where !sent[name].isEmpty && !AskedPeriod.isDay(sent[name]) { sent.refuse(name, strings.wrongDay) }
        if sent.isFine, !sent["from"].isEmpty, !sent["to"].isEmpty, sent["from"] > sent["to"] { sent.refuse("from", strings.wrongOrder) }
        if !Self.isSearchable(sent["q"]) { sent.refuse("q", strings.wrongSearch) }
        guard sent.isFine else { return nil }
        func bound(_ name: String) -> AskedPeriod.Bound? { sent[name].isEmpty ? nil : .day(sent[name]) }
        let asked = AskedPeriod(from: bound("from"), to: bound("to"), zone: viewer.timeZone)
        return try await historyFilter(kinds: kinds, text: sent["q"].trimmed, asked)
    }

    func showReceipt(_ request: Request, caller: Principal) async throws -> Response {
        try await showReceipt(of: .viewer, caller.accountID, request.pathParameters["id"], request, caller)
    }

    func showReceipt(
        of owner: TransactionOwner, _ account: AccountID, _ id: String, _ request: Request, _ caller: Principal
    ) async throws -> Response {
        guard let charge = ChargeID(id) else { throw Problem.notFound("This transaction") }
        return try await slots.during(caller.accountID) {
            guard let receipt = try await store.receipt(of: charge, account: account) else { throw Problem.notFound("This transaction") }
            return ReceiptPage(viewer: try await viewer(request, caller, of: owner), owner: owner, receipt: receipt).show()
        }
    }

    // MARK: Limits

    /// `done=saved`.
    func showLimits(_ request: Request, caller: Principal) async throws -> Response {
        try await limitsPage(request, caller).show(done: request.query["done"])
    }

    private func limitsPage(_ request: Request, _ caller: Principal) async throws -> LimitsPage {
        let settings = try await store.limits(of: caller.accountID)
        return LimitsPage(
            viewer: viewer(request, caller, settings.account), settings: settings, defaultLevel: store.limits.lowBalanceLevel)
    }

    /// A form {daily?, monthly?, low_balance_level?} → 303. An empty field removes its limit.
    func submitLimits(_ request: Request, caller: Principal) async throws -> Response {
        var sent = try FormInput(request)
        let viewer = site.viewer(request, caller)
        let most = store.limits.balanceMax
        let wrong = LimitStrings(language: viewer.language).wrong(viewer.bare(most))
        func limit(_ name: String) -> Credits? {
            let text = sent[name].trimmed
            guard !text.isEmpty else { return nil }
            if let amount = Credits(decimal: text), amount >= .zero, amount <= most { return amount }
            sent.refuse(name, wrong)
            return nil
        }
        let (monthly, daily, level) = (limit(LimitsPage.monthly), limit(LimitsPage.daily), limit(LimitsPage.level))
        guard sent.isFine else { return try await limitsPage(request, caller).show(sent, status: 400) }
        try await settingSlots.during(caller.accountID) {
            try await store.changeSettings(of: caller.accountID) { settings in
                settings.limits = SpendingLimits(daily: daily, monthly: monthly)
                settings.lowBalanceLevel = level
            }
        }
        log.info(
            "limits set", ["account.id": .describing(caller.accountID), "set": "daily,monthly,low_balance_level"], trace: request.trace)
        return viewer.seeOther(SettingsTab.limits.link.with("done", "saved"))
    }
}

extension FormInput {
    /// Reads the fields of a search from the query.
    init(_ query: Query, _ names: [StaticString]) throws(Problem) {
        var fields: [String: String] = [:]
        for name in names { fields["\(name)"] = try query.filled("\(name)") }
        self.init(fields)
    }
}
