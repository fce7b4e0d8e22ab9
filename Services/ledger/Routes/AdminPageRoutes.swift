import Contracts
import HTTP
import Identity
import LedgerCore
import Text
import Values
import Web

/// The pages of credits and usage for administrators.
extension Routes {
    private static let namesOnUsage = 20

    // MARK: Credits

    /// `q`: the id of a user. Leads to the account.
    func findAccount(_ request: Request, caller: Principal) async throws -> Response {
        var sent = try FormInput(request.query, ["q"])
        let pages = AdminCreditPages(viewer: site.viewer(request, caller))
        guard !sent["q"].isEmpty else { return pages.find(sent) }
        guard let user = UserID(sent["q"].trimmed) else {
            sent.refuse("q", AdminCreditStrings(language: pages.viewer.language).wrongID)
            return pages.find(sent, status: 400)
        }
        return pages.viewer.seeOther(AdminCreditPages.link(AccountID(user)))
    }

    /// `done=adjusted`.
    func showAccount(_ request: Request, caller: Principal) async throws -> Response {
        let account = try Self.account(request)
        return try await slots.during(caller.accountID) {
            let found = try await store.history(of: account, HistoryFilter(), before: .max, offset: 0, limit: Self.recentLines)
            return AdminCreditPages(viewer: site.viewer(request, caller)).show(
                try await standing(of: account), recent: found.lines, isDone: request.query["done"] == "adjusted")
        }
    }

    func showAccountTransactions(_ request: Request, caller: Principal) async throws -> Response {
        let account = try Self.account(request)
        return try await showTransactions(of: .user(account), account, request, caller)
    }

    func showAccountReceipt(_ request: Request, caller: Principal) async throws -> Response {
        let account = try Self.account(request)
        return try await showReceipt(of: .user(account), account, request.pathParameters["charge"], request, caller)
    }

    private static func account(_ request: Request) throws(Problem) -> AccountID {
        guard let user = UserID(request.pathParameters["id"]) else { throw .notFound("This account") }
        return AccountID(user)
    }

    // MARK: Adjustments

    func showAdjustment(_ request: Request, caller: Principal) async throws -> Response {
        let blank = FormInput(["form_id": UUIDv7.make().description])
        return AdminCreditPages(viewer: site.viewer(request, caller)).adjust(try Self.account(request), blank)
    }

    /// A form {form_id, type, amount, reason, last_day?, step?}. Without a step it asks once. With `step=confirm` it adjusts, once for its
    /// `form_id` → 303. With `step=change` it shows the form again.
    func submitAdjustment(_ request: Request, caller: Principal) async throws -> Response {
        let account = try Self.account(request)
        var sent = try FormInput(request)
        let pages = AdminCreditPages(viewer: site.viewer(request, caller))
        guard UUIDv7(sent["form_id"]) != nil else {
            throw Problem.invalidRequest("`form_id` must be that of a form; open the page again.", param: "form_id")
        }
        guard sent["step"] != "change" else { return pages.adjust(account, sent) }
        guard let adjustment = try adjustment(of: account, &sent, pages.viewer) else { return pages.adjust(account, sent, status: 400) }
        guard sent["step"] == "confirm" else { return pages.ask(adjustment, sent, try await standing(of: account)) }
        do {
            _ = try await post(adjustment, by: caller, for: request)
            return pages.viewer.seeOther(AdminCreditPages.link(account).with("done", "adjusted"))
        } catch let problem as Problem where problem.status < 500 {
            let text = try await text(of: problem, account, pages.viewer)
            sent.refuse("amount", text)
            // The key of a refused adjustment is used up.
            sent["form_id"] = UUIDv7.make().description
            return pages.adjust(account, sent, status: problem.status)
        }
    }

    private func text(of problem: Problem, _ account: AccountID, _ viewer: Viewer) async throws -> String {
        let strings = AdminCreditStrings(language: viewer.language)
        switch problem.code {
        case .insufficientCredits: return strings.tooFew(viewer.text(try await standing(of: account).account.available))
        case .idempotencyConflict: return strings.usedBefore
        default: return strings.outOfRange
        }
    }

    /// Reads a form, or notes its errors.
    private func adjustment(of account: AccountID, _ sent: inout FormInput, _ viewer: Viewer) throws(Problem) -> Adjustment? {
        let strings = AdminCreditStrings(language: viewer.language)
        guard let grant = Adjustment.grant(of: sent["type"]) else {
            throw .invalidRequest("`type` must be topup, refund, bonus or adjustment.", param: "type")
        }
        let (amount, most) = (Credits(decimal: sent["amount"].trimmed), store.limits.amountMax)
        let isFitting = amount.map { $0 <= most && $0 >= -most && (grant == .adjustment ? $0 != .zero : $0 > .zero) } ?? false
        if !isFitting { sent.refuse("amount", strings.wrongAmount(viewer.bare(most))) }
        let reason = sent["reason"].trimmed
        if !(1...Adjustment.reasonScalarsMax).contains(reason.unicodeScalars.count) || !reason.unicodeScalars.allSatisfy(\.isVisible) {
            sent.refuse("reason", strings.wrongReason)
        }
        var end: Instant?
        if !sent["last_day"].isEmpty {
            end = viewer.end(ofDay: sent["last_day"])
            if !Adjustment.mayExpire(grant) {
                sent.refuse("last_day", strings.noEnd)
            } else if !(end.map { $0 > viewer.now && $0 < .startOf(month: Adjustment.endMonth) } ?? false) {
                sent.refuse("last_day", strings.wrongDay)
            }
        }
        guard sent.isFine, let amount else { return nil }
        return Adjustment(
            user: UserID(rawValue: account.rawValue), grant: grant, amount: amount, reason: reason, idempotencyKey: sent["form_id"],
            expiresAt: end)
    }

    // MARK: Usage

    /// `days=30|90`.
    func showUsage(_ request: Request, caller: Principal) async throws -> Response {
        let days = try Self.days(request.query)
        let viewer = site.viewer(request, caller)
        return try await slots.during(caller.accountID) {
            let totals = try await store.totals()
            let report = try await store.report(
                OfEverybody(), lastDays(days, zone: viewer.timeZone), zone: viewer.timeZone, names: Self.namesOnUsage)
            return AdminUsagePage(
                viewer: viewer, totals: totals, report: report, days: days, audit: try await auditor.last(isNightly: true)
            ).show()
        }
    }
}
