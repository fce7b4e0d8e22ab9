import Contracts
import HTTP
import LedgerCore
import Values
import Web

/// `/settings/limits`: the spending limits and the alert level of a user.
struct LimitsPage {
    let viewer: Viewer
    let settings: AccountLimits
    /// The alert level of an account without one of its own.
    let defaultLevel: Credits?
    private var strings: LimitStrings { LimitStrings(language: viewer.language) }

    static let daily = "daily"
    static let monthly = "monthly"
    static let level = "low_balance_level"

    /// - Parameter sent: nil for the limits as they are stored.
    func show(_ sent: FormInput? = nil, done: String? = nil, status: Int = 200) -> Response {
        viewer.show(.limits, status: status) {
            if done == "saved" { notice(.done) { p { strings.saved } } }
            p(.class("muted")) { strings.intro }
            div(.class("columns")) {
                form(sent ?? stored)
                counted
            }
            if !settings.keys.isEmpty { keys }
        }
    }

    private var stored: FormInput {
        let account = settings.account
        let fields = [
            Self.daily: account.limits.daily, Self.monthly: account.limits.monthly, Self.level: account.lowBalanceLevel,
        ]
        return FormInput(fields.compactMapValues { $0?.description })
    }

    private func form(_ sent: FormInput) -> HTML {
        let form = Form(viewer, sent)
        return panel(strings.limits) {
            form(SettingsTab.limits.link) {
                form.field(Self.monthly, strings.monthly, .amount, hint: strings.limitHint, isOptional: true)
                form.field(Self.daily, strings.daily, .amount, isOptional: true)
                form.field(Self.level, strings.level, .amount, hint: strings.levelHint(defaultLevel.map(viewer.text)), isOptional: true)
                submit(strings.save)
            }
            p(.class("muted small")) { strings.alerts }
            linkButton(strings.mail, SettingsTab.profile.link)
        }
    }

    private var counted: HTML {
        let spent = settings.account.spending.current(at: settings.now)
        return panel(strings.counted) {
            facts([
                (strings.today, viewer.credits(spent.day)), (strings.thisMonth, viewer.credits(spent.month)),
                (strings.held, viewer.credits(settings.account.held)),
                (strings.nextDay, viewer.moment(.startOf(day: settings.now.day + 1))),
                (strings.nextMonth, viewer.moment(.startOf(month: settings.now.month + 1))),
            ])
            p(.class("muted small")) { strings.utc }
        }
    }

    private var keys: HTML {
        panel(strings.keys, side: a(SettingsTab.keys.link) { strings.manageKeys }) {
            dataTable(
                strings.keys, [Column(strings.key), .figures(strings.ofDay), .figures(strings.ofMonth)],
                settings.keys.map { key in
                    let spent = key.spending.current(at: settings.now)
                    return [
                        code { "…\(key.id.key.rawValue.suffix(4))" }, part(spent.day, of: key.limits.daily),
                        part(spent.month, of: key.limits.monthly),
                    ]
                })
        }
    }

    private func part(_ spent: Credits, of limit: Credits?) -> HTML {
        viewer.figure(spent) + HTML(" / ") + (limit.map(viewer.figure) ?? HTML("∞"))
    }
}
