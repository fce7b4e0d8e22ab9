import Contracts
import HTTP
import LedgerCore
import Values
import Web

/// `/dashboard`: the credits of a user, and where they go.
struct DashboardPage {
    let viewer: Viewer
    let overview: Overview
    /// The length of the chart.
    let days: Int
    let plan: String
    private var strings: DashboardStrings { DashboardStrings(language: viewer.language) }
    private var account: Account { overview.standing.account }
    private var usage: UsageTables { UsageTables(viewer: viewer, report: overview.report) }

    func show() -> Response {
        viewer.show(Page(strings.title, place: .dashboard, isWide: true, pace: pace)) {
            h1(.class("hidden")) { strings.title }
            div(.class("columns major")) {
                available
                month
            }
            chart
            if !usage.isEmpty { usage.panels(days) }
            recent
        }
    }

    // MARK: The balance

    private var available: HTML {
        panel(strings.available) {
            figure(viewer.figure(account.available) + small { " \(viewer.unit(of: account.available))" })
            LotTable(viewer: viewer, lots: overview.standing.lots).html
            if !reserved.isEmpty { facts(reserved) }
            if !account.isOpen { emptyState(strings.noCredits) { linkButton(strings.confirmAddress, SettingsTab.profile.link, .primary) } }
        }
    }

    private var reserved: [(name: String, value: HTML)] {
        var rows: [(name: String, value: HTML)] = []
        if account.held > .zero { rows.append((strings.held, viewer.credits(account.held))) }
        if account.posted < .zero { rows.append((strings.owed, viewer.credits(-account.posted))) }
        if account.overdraft > .zero { rows.append((strings.allowed, viewer.credits(account.overdraft))) }
        return rows
    }

    private var month: HTML {
        panel(strings.thisMonth) {
            facts(
                [
                    (strings.used, viewer.credits(account.spending.current(at: viewer.now).month)),
                    (strings.charges, HTML(viewer.number(overview.chargesThisMonth))), (strings.limit, limit),
                    (strings.lasts, overview.daysLeft.map { HTML(strings.lasting($0, viewer.days($0))) }),
                    (strings.plan, plan.isEmpty ? nil : bdi { plan }),
                ].compactMap { row in row.1.map { (row.0, $0) } })
            linkButton(strings.changeLimits, SettingsTab.limits.link)
        }
    }

    @HTMLBuilder private var limit: HTML {
        if account.limits.isUnlimited { strings.noLimit }
        if let monthly = account.limits.monthly { viewer.credits(monthly) + HTML(" \(strings.aMonth)") }
        if account.limits.monthly != nil, account.limits.daily != nil { " · " }
        if let daily = account.limits.daily { viewer.credits(daily) + HTML(" \(strings.aDay)") }
    }

    /// The notice of a low balance adds it.
    private var pace: String? {
        guard account.available > .zero, let days = overview.daysLeft, days <= 365 else { return nil }
        return days == 0 ? strings.paceOfLessThanADay : strings.pace(viewer.days(days))
    }

    // MARK: Usage

    private var chart: HTML {
        panel(strings.perDay, side: usage.lengthSwitch(strings.period, days, of: Place.dashboard.link)) {
            if usage.isEmpty {
                emptyState(strings.noUsage) { linkButton(strings.createKey, SettingsTab.keys.link) }
            } else {
                usage.chart(strings.perDay)
            }
        }
    }

    private var recent: HTML {
        let all = Place.transactions.link
        return panel(strings.recent, side: overview.recent.isEmpty ? .empty : a(all) { strings.all }) {
            if overview.recent.isEmpty {
                emptyState(strings.noTransactions)
            } else {
                TransactionTable(viewer: viewer, caption: strings.recent, lines: overview.recent, link: all).html
            }
        }
    }
}
