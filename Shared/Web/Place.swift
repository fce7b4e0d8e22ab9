/// A part of the pages, which the navigation leads to and marks.
package enum Place: Sendable, CaseIterable {
    case dashboard
    case transactions
    case plans
    case billing
    /// The balance leads there. It has no entry in the navigation.
    case buy
    /// The footer leads there.
    case pricing
    case settings
    case adminUsers
    case adminCredits
    case adminUsage
    case adminCatalogue
    case adminPayments

    package var link: Link {
        switch self {
        case .dashboard: "/dashboard"
        case .transactions: "/transactions"
        case .plans: "/plans"
        case .billing: "/billing"
        case .buy: "/buy"
        case .pricing: "/pricing"
        case .settings: "/settings"
        case .adminUsers: "/admin/users"
        case .adminCredits: "/admin/credits"
        case .adminUsage: "/admin/usage"
        case .adminCatalogue: "/admin/catalogue"
        case .adminPayments: "/admin/payments"
        }
    }

    /// True for the pages of administrators, which have a navigation of their own.
    var isAdmin: Bool {
        switch self {
        case .dashboard, .transactions, .plans, .billing, .buy, .pricing, .settings: false
        case .adminUsers, .adminCredits, .adminUsage, .adminCatalogue, .adminPayments: true
        }
    }

    /// True for an entry of the navigation.
    var isListed: Bool { self != .buy && self != .pricing }

    package func title(_ language: Language) -> String {
        switch self {
        case .dashboard: language(en: "Dashboard", th: "ภาพรวม")
        case .transactions: language(en: "Transactions", th: "รายการ")
        case .plans: language(en: "Plans", th: "แพ็กเกจ")
        case .billing: language(en: "Billing", th: "การชำระเงิน")
        case .buy: language(en: "Buy credits", th: "ซื้อเครดิต")
        case .pricing: language(en: "Prices", th: "ราคา")
        case .settings: language(en: "Settings", th: "ตั้งค่า")
        case .adminUsers: language(en: "Users", th: "ผู้ใช้")
        case .adminCredits: language(en: "Credits", th: "เครดิต")
        case .adminUsage: language(en: "Usage", th: "การใช้งาน")
        case .adminCatalogue: language(en: "Catalogue", th: "แค็ตตาล็อก")
        case .adminPayments: language(en: "Payments", th: "การชำระเงิน")
        }
    }
}
