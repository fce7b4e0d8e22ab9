/// An entry of the navigation. An entry appears when its page exists.
package enum Place: Sendable, CaseIterable {
    case dashboard
    case transactions
    case settings
    case adminUsers
    case adminCredits
    case adminUsage

    package var link: Link {
        switch self {
        case .dashboard: "/dashboard"
        case .transactions: "/transactions"
        case .settings: "/settings"
        case .adminUsers: "/admin/users"
        case .adminCredits: "/admin/credits"
        case .adminUsage: "/admin/usage"
        }
    }

    /// True for the pages of administrators, which have a navigation of their own.
    var isAdmin: Bool {
        switch self {
        case .dashboard, .transactions, .settings: false
        case .adminUsers, .adminCredits, .adminUsage: true
        }
    }

    func title(_ language: Language) -> String {
        switch self {
        case .dashboard: language(en: "Dashboard", th: "ภาพรวม")
        case .transactions: language(en: "Transactions", th: "รายการ")
        case .settings: language(en: "Settings", th: "ตั้งค่า")
        case .adminUsers: language(en: "Users", th: "ผู้ใช้")
        case .adminCredits: language(en: "Credits", th: "เครดิต")
        case .adminUsage: language(en: "Usage", th: "การใช้งาน")
        }
    }
}
