import HTTP
import HTTPWire
import Identity
import Testing
import Values

@testable import Web

struct ShellTests {
    private func show(_ viewer: Viewer = .test(), _ page: Page = Page("A page")) -> Response {
        viewer.show(page) { panel { h1 { "A page" } } }
    }

    /// The texts of the links of the navigation, in order.
    private func navigation(_ response: Response) -> [String] {
        guard let nav = response.text.firstMatch(of: /<nav class="places"[^>]*>(.*?)<\/nav>/) else { return [] }
        return nav.output.1.matches(of: />([^<]+)<\/a>/).map { String($0.output.1) }
    }

    @Test func `a page lets a browser load and send nothing but what is ours`() {
        let headers = show().headers
        #expect(
            headers.string(for: "content-security-policy")
                == "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
        #expect(headers.string(for: "x-content-type-options") == "nosniff")
        #expect(headers.string(for: "referrer-policy") == "same-origin")
        #expect(headers.string(for: "cache-control") == "no-store")
        #expect(headers.string(for: "content-type") == "text/html; charset=utf-8")
        #expect(show(.test(), Page("A page", sendsNoReferrer: true)).headers.strings(for: "referrer-policy") == ["no-referrer"])
    }

    @Test(arguments: Language.allCases)
    func `a page has no style and no script in its markup`(language: Language) {
        let text = show(Self.viewer(.zero, .zero, language, .administrator()), Page("A page", place: .adminUsers)).text
        #expect(!text.contains("style="))
        #expect(!text.contains("<style"))
        #expect(text.firstMatch(of: /\son\w+=/) == nil)
        #expect(text.matches(of: /<script[^>]*>/).map { String($0.output) } == [#"<script src="\#(Viewer.test().assets.script)" defer>"#])
        #expect(text.contains("</script>"))
    }

    @Test func `a page has a title, one heading of the first rank, and a link that skips to the content`() throws {
        let text = show(.test(principal: .person())).text
        #expect(text.hasPrefix(#"<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport""#))
        #expect(text.contains("<title>A page · SmartSpec</title>"))
        #expect(text.matches(of: /<h1[> ]/).count == 1)
        #expect(text.contains(##"<body><a href="#main" class="skip">Skip to the content</a>"##))
        #expect(text.contains(#"<main id="main" class="narrow" tabindex="-1"><section class="panel"><h1>A page</h1></section></main>"#))
        #expect(show(.test(), Page("A page", isWide: true)).text.contains(#"<main id="main" class="wide""#))
    }

    @Test func `a page has the status and the language of its viewer`() {
        let response = show(.test(.th), Page("หน้า", status: 409))
        #expect(response.status == 409)
        #expect(response.headers.string(for: "content-language") == "th")
        #expect(response.headers.string(for: "vary") == "accept-language, cookie")
        #expect(response.text.contains(#"<html lang="th">"#))
        #expect(response.text.contains("ข้ามไปยังเนื้อหา"))
    }

    @Test func `a person who is not signed in gets the brand and the footer only`() {
        let text = show().text
        #expect(text.contains(#"<a href="/" class="brand">"#))
        #expect(!text.contains("<nav"))
        #expect(!text.contains("/logout"))
        #expect(text.contains("© SmartSpec"))
    }

    @Test func `a user gets the places of users, and no way to those of administrators`() {
        let response = show(.test(principal: .person()), Page("A page", place: .settings))
        #expect(navigation(response) == Place.allCases.filter { !$0.isAdmin && $0.isListed }.map { $0.title(.en) })
        #expect(response.text.contains(#"<a href="/settings" aria-current="page">Settings</a>"#))
        #expect(!response.text.contains("/admin"))
        #expect(response.text.contains(#"<form action="/logout" method="post" class="inline">"#))
    }

    @Test func `an administrator gets the way to the other places, and back`() {
        let viewer = Viewer.test(principal: .administrator())
        let users = Place.allCases.filter { !$0.isAdmin && $0.isListed }.map { $0.title(.en) }
        #expect(navigation(show(viewer)) == users + ["Administration"])
        let response = show(viewer, Page("A page", place: .adminUsers))
        #expect(navigation(response) == Place.allCases.filter(\.isAdmin).map { $0.title(.en) } + ["Back to my account"])
        #expect(response.text.contains(#"<a href="/admin/users" aria-current="page">Users</a>"#))
    }

    @Test func `the available credits are shown where a page knows them`() {
        #expect(!show(.test(principal: .person())).text.contains("pill"))
        let text = show(Self.viewer(Credits(nano: 182_470_000_000), .zero)).text
        #expect(text.contains(#"<a href="/buy" class="pill"><span class="hidden">Buy credits. Available: </span><span class="amount""#))
        #expect(text.contains("182.47 credits</span></a>"))
    }

    /// A person with credits.
    private static func viewer(
        _ available: Credits, _ level: Credits?, _ language: Language = .en, _ principal: Principal = .person()
    ) -> Viewer {
        var viewer = Viewer.test(language, principal: principal)
        viewer.balance = Balance(available: available, alertLevel: level)
        return viewer
    }

    @Test(
        arguments: [
            (6, 5, nil), (5, 5, "Your credits have reached your alert level of 5 credits."),
            (1, 5, "Your credits have reached your alert level of 5 credits."), (1, 0, nil),
            (0, 5, "You have no credits left. Calls are refused until credits arrive."),
            (0, 0, "You have no credits left. Calls are refused until credits arrive."), (0, nil, nil),
        ] as [(Int64, Int64?, String?)])
    func `credits at the alert level or below are said on every page`(available: Int64, level: Int64?, warning: String?) {
        let text = show(Self.viewer(Credits(whole: available), level.map(Credits.init(whole:)))).text
        #expect(text.firstMatch(of: /<aside class="low" .*?<strong>(.*?)<\/strong>/).map { String($0.output.1) } == warning)
        #expect(text.contains(#"class="button">Buy credits</a></div></aside><main"#) == (warning != nil))
        // The person did nothing, so the notice takes no focus.
        #expect(!text.contains("autofocus"))
    }

    @Test func `the dashboard adds how long the credits last, and the page of the purchase does not lead to itself`() {
        let viewer = Self.viewer(Credits(whole: 1), Credits(whole: 5))
        let text = show(viewer, Page("A page", place: .dashboard, pace: "Nine days.")).text
        #expect(text.contains(#"of 5 credits.</strong> Nine days.</p><a href="/buy" class="button">"#))
        #expect(show(viewer, Page("A page", place: .buy)).text.contains("of 5 credits.</strong></p></div></aside>"))
    }

    @Test func `a page that waits names the page that follows, for scripts and without`() {
        let text = show(.test(), Page("A page", next: "/page?a=1&b=2")).text
        #expect(text.contains(##"<noscript><meta http-equiv="refresh" content="2; url=/page?a=1&amp;b=2"></noscript>"##))
        #expect(text.contains(##"tabindex="-1" data-next="/page?a=1&amp;b=2">"##))
        #expect(!show().text.contains("data-next"))
    }

    @Test func `the forms of a service may lead to the origins that it names`() {
        let viewer = Viewer(
            language: .en, timeZone: "UTC", principal: nil, here: "/page", now: .now(), assets: Assets(service: "test"),
            formOrigins: ["https://checkout.example"])
        #expect(
            show(viewer).headers.string(for: "content-security-policy")?.contains("form-action 'self' https://checkout.example;") == true)
        #expect(viewer.at("/other").formOrigins == viewer.formOrigins)
    }

    @Test func `the footer of every page leads to the prices, and marks them as the place`() {
        #expect(show().text.contains(#"<a href="/pricing">Prices</a>"#))
        #expect(show(.test(.th), Page("A page", place: .pricing)).text.contains(#"<a href="/pricing" aria-current="page">ราคา</a>"#))
    }

    @Test func `the footer switches the language and leads back to the page`() {
        let text = show(.test(here: "/login?next=%2F&a=b")).text
        #expect(text.contains(#"<form action="/language" method="post" class="inline">"#))
        #expect(
            text.contains(
                #"<input type="hidden" name="language" value="th"><input type="hidden" name="next" value="/login?next=%2F&amp;a=b">"#))
        #expect(text.contains(#"<button type="submit" class="quiet" lang="th">ภาษาไทย</button>"#))
        #expect(show(.test(.th)).text.contains(#"lang="en">English</button>"#))
    }
}
