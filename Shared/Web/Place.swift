/// An entry of the navigation. An entry appears when its page exists.
package enum Place: Sendable, CaseIterable {
    case settings
    case adminUsers

    package var link: Link {
        switch self {
        case .settings: "/settings"
        case .adminUsers: "/admin/users"
        }
    }

    /// True for the pages of administrators, which have a navigation of their own.
    var isAdmin: Bool {
        switch self {
        case .settings: false
        case .adminUsers: true
        }
    }

    func title(_ language: Language) -> String {
        switch self {
        case .settings: language(en: "Settings", th: "ตั้งค่า")
        case .adminUsers: language(en: "Users", th: "ผู้ใช้")
        }
    }
}
