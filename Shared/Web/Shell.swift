package import HTTP
import HTTPWire
import Identity

/// A page: what stands around its content, and the headers of its answer.
package struct Page: Sendable {
    var title: String
    var status = 200
    var place: Place?
    var isWide = false
    var pace: String?
    var sendsNoReferrer = false
    var next: Link?

    /// - Parameters:
    ///   - place: the entry of the navigation that is marked.
    ///   - isWide: false for a form of 420 px.
    ///   - pace: how long the credits last, which the notice of a low balance adds.
    ///   - sendsNoReferrer: true for a page whose address is a secret.
    ///   - next: the page that follows by itself after some seconds, because this one waits for something.
    package init(
        _ title: String, status: Int = 200, place: Place? = nil, isWide: Bool = false, pace: String? = nil,
        sendsNoReferrer: Bool = false, next: Link? = nil
    ) {
        (self.title, self.status, self.place, self.isWide) = (title, status, place, isWide)
        (self.pace, self.sendsNoReferrer, self.next) = (pace, sendsNoReferrer, next)
    }
}

extension Viewer {
    /// Makes the answer of a page.
    package func show(_ page: Page, @HTMLBuilder content: () -> HTML) -> Response {
        let html = document(page, content())
        var headers = Self.headers
        headers.add("content-security-policy", policy)
        headers.add("referrer-policy", page.sendsNoReferrer ? "no-referrer" : "same-origin")
        headers.add("content-language", language.rawValue)
        return Response(status: page.status, headers: headers, body: html.bytes)
    }

    private static let headers: HeaderBlock = [
        "content-type": "text/html; charset=utf-8", "x-frame-options": "DENY", "x-content-type-options": "nosniff",
        "cache-control": "no-store",
        "vary": "accept-language, cookie",
    ]

    /// A browser applies `form-action` to the redirects of a form, too.
    private var policy: String {
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
            + "form-action \((["'self'"] + formOrigins).joined(separator: " ")); frame-ancestors 'none'"
    }

    private func document(_ page: Page, _ content: HTML) -> HTML {
        HTML(markup: "<!doctype html>")
            + Element("html")(.lang(language)) {
                Element("head")() {
                    HTML(markup: "<meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
                    HTML(markup: "<meta name=\"color-scheme\" content=\"light dark\">")
                    Element("title")() {
                        (page.status < 400 ? "" : language(en: "Error: ", th: "ข้อผิดพลาด: ")) + "\(page.title) · SmartSpec"
                    }
                    HTML.start("link", [Attribute("rel", "stylesheet"), Attribute("href", assets.stylesheet.description)])
                    HTML.start("link", [Attribute("rel", "icon"), Attribute("href", assets.icon.description)])
                    if let next = page.next {
                        Element("noscript")() {
                            HTML.start(
                                "meta", [Attribute("http-equiv", "refresh"), Attribute("content", "\(Self.nextSeconds); url=\(next)")])
                        }
                    }
                    Element("script")(Attribute("src", assets.script.description), Attribute("defer")) { HTML.empty }
                }
                Element("body")() {
                    a(fragment: "main", .class("skip")) { language(en: "Skip to the content", th: "ข้ามไปยังเนื้อหา") }
                    top(page)
                    lowBalance(page)
                    Element("main")(
                        .id("main"), page.isWide ? .class("wide") : .class("narrow"), .tabindex(-1),
                        page.next.map { Attribute("data-next", $0.description) } ?? .none
                    ) { content }
                    bottom(page)
                }
            }
    }

    /// The seconds before a page that waits is asked for again. The script has the same number.
    private static let nextSeconds = 2

    private func top(_ page: Page) -> HTML {
        header(.class("top")) {
            div(.class("bar")) {
                a("/", .class("brand")) {
                    Self.logo
                    "SmartSpec"
                }
                if let principal {
                    navigation(page, isAdmin: principal.isAdmin)
                    if let balance { pill(balance) }
                    Form(self).button(language(en: "Sign out", th: "ออกจากระบบ"), "/logout", .quiet)
                }
            }
        }
    }

    private func navigation(_ page: Page, isAdmin: Bool) -> HTML {
        let administers = page.place?.isAdmin ?? false
        return nav(.class("places"), .ariaLabel(language(en: "Main", th: "เมนูหลัก"))) {
            for place in Place.allCases where place.isListed && place.isAdmin == administers { entry(place, place.title(language), page) }
            if administers {
                a("/") { language(en: "Back to my account", th: "กลับไปบัญชีของฉัน") }
            } else if isAdmin {
                a(Place.adminUsers.link) { language(en: "Administration", th: "ผู้ดูแลระบบ") }
            }
        }
    }

    private func pill(_ balance: Balance) -> HTML {
        a(Place.buy.link, .class("pill")) {
            span(.class("hidden")) { language(en: "Buy credits. Available: ", th: "ซื้อเครดิต ใช้ได้: ") }
            credits(balance.available)
        }
    }

    /// The notice of credits that are low or used up. It takes no focus: it is not about what the person just did.
    @HTMLBuilder private func lowBalance(_ page: Page) -> HTML {
        if let text = balance.flatMap({ warning($0.state) }) {
            aside(.class("low"), .ariaLabel(language(en: "Balance", th: "ยอดเครดิต"))) {
                div(.class("notice warning")) {
                    p {
                        strong { text }
                        if let pace = page.pace { " \(pace)" }
                    }
                    if page.place != .buy { linkButton(Place.buy.title(language), Place.buy.link) }
                }
            }
        }
    }

    private func warning(_ state: Balance.State) -> String? {
        switch state {
        case .enough: nil
        case .low(let level):
            language(
                en: "Your credits have reached your alert level of \(self.text(level)).",
                th: "เครดิตของคุณลดถึงระดับแจ้งเตือน \(self.text(level)) แล้ว")
        case .exhausted:
            language(
                en: "You have no credits left. Calls are refused until credits arrive.",
                th: "เครดิตของคุณหมดแล้ว ระบบจะปฏิเสธการเรียกใช้จนกว่าจะมีเครดิตเข้ามา")
        }
    }

    private func entry(_ place: Place, _ title: String, _ page: Page) -> HTML {
        a(place.link, place == page.place ? .ariaCurrentPage : .none) { title }
    }

    private func bottom(_ page: Page) -> HTML {
        footer(.class("bottom")) {
            span { "© SmartSpec" }
            entry(.pricing, Place.pricing.title(language), page)
            for other in Language.allCases where other != language {
                Form(self).languageSwitch(to: other, backTo: here)
            }
        }
    }

    private static let logo = HTML(
        markup: """
            <svg viewBox="0 0 24 24" width="24" height="24" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true" \
            focusable="false"><circle cx="12" cy="12" r="10"/><path d="M7 14l3.2-3.4 3 2.6L17 9"/></svg>
            """)
}
