import HTTP
import LedgerCore
import Values
import Web

/// `/admin/usage`: the credits and the usage of all accounts, and the last nightly audit.
struct AdminUsagePage {
    let viewer: Viewer
    let totals: AccountTotals
    let report: UsageReport
    /// The length of the chart.
    let days: Int
    /// Nil before the first one.
    let audit: AuditRun?
    private var strings: AdminUsageStrings { AdminUsageStrings(language: viewer.language) }
    private var usage: UsageTables { UsageTables(viewer: viewer, report: report) }

    func show() -> Response {
        viewer.show(Page(strings.title, place: .adminUsage, isWide: true)) {
            h1 { strings.title }
            div(.class("columns")) {
                panel(strings.totals) {
                    facts([
                        (strings.accounts, HTML(viewer.number(totals.accounts))),
                        (strings.balance, viewer.credits(decimal: totals.balance)),
                        (strings.held, viewer.credits(decimal: totals.held)), (strings.owed, viewer.credits(decimal: totals.owed)),
                    ])
                }
                lastAudit
            }
            panel(strings.perDay, side: usage.lengthSwitch(strings.period, days, of: Place.adminUsage.link)) {
                if usage.isEmpty { emptyState(strings.none) } else { usage.chart(strings.perDay) }
            }
            if !report.types.isEmpty { usage.panels(days) }
        }
    }

    // MARK: The audit

    private var lastAudit: HTML {
        panel(strings.audit, side: audit.map { result($0) } ?? .empty) {
            if let audit {
                if !audit.audit.findings.isEmpty { p { strings.runbook } }
                facts([
                    (strings.finished, viewer.moment(audit.finished)),
                    (strings.duration, HTML(viewer.length(audit.finished - audit.started))),
                    (strings.accounts, HTML(viewer.number(audit.audit.accounts))),
                    (strings.checked, HTML(viewer.number(audit.audit.entries))),
                    (strings.holds, HTML(viewer.number(audit.audit.holds))),
                ])
                if !audit.audit.findings.isEmpty { findings(audit.audit.findings) }
            } else {
                emptyState(strings.noAudit)
            }
        }
    }

    private func result(_ run: AuditRun) -> HTML {
        let count = run.audit.findings.count
        return tag(count == 0 ? strings.consistent : strings.findings(count), isWarning: count > 0)
    }

    private func findings(_ findings: [AuditFinding]) -> HTML {
        dataTable(
            strings.audit, [Column(strings.check), Column(strings.place, isLong: true), Column(strings.detail, isLong: true)],
            findings.map { finding in
                let place = finding.account.map { account in a(AdminCreditPages.link(account)) { account.description } }
                return [code { finding.check }, place ?? .empty, bdi { finding.detail }]
            }, isStacked: true)
    }
}
