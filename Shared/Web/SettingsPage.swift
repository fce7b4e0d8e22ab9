package import HTTP

/// A tab of the settings. Several services own a tab, and all tabs have one look. A tab appears when its
/// page exists.
package enum SettingsTab: Sendable, CaseIterable {
    case profile
    case sessions
    case keys
    case limits
    case signIn

    package var link: Link {
        switch self {
        case .profile: "/settings"
        case .sessions: "/settings/sessions"
        case .keys: "/settings/keys"
        case .limits: "/settings/limits"
        case .signIn: "/settings/password"
        }
    }

    func title(_ language: Language) -> String {
        switch self {
        case .profile: language(en: "Profile", th: "โปรไฟล์")
        case .sessions: language(en: "Sessions", th: "เซสชัน")
        case .keys: language(en: "API keys", th: "คีย์ API")
        case .limits: language(en: "Limits", th: "วงเงิน")
        case .signIn: language(en: "Sign-in", th: "การเข้าสู่ระบบ")
        }
    }
}

extension Viewer {
    /// Makes the answer of a page of the settings: the tabs, and the content below them.
    /// - Parameter title: the title of the page; nil for that of the tab.
    package func show(
        _ tab: SettingsTab, _ title: String? = nil, status: Int = 200, @HTMLBuilder content: () -> HTML
    ) -> Response {
        let title = title ?? tab.title(language)
        return show(Page(title, status: status, place: .settings, isWide: true)) {
            tabs(Place.settings.title(language), SettingsTab.allCases.map { ($0.title(language), $0.link) }, current: tab.link)
            h1 { title }
            content()
        }
    }
}
