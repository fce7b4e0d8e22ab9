import HTTPWire
import Testing
import Web

struct LanguageTests {
    private func language(cookie: String? = nil, account: String? = nil, accept: String? = nil) -> Language {
        var headers: HeaderBlock = [:]
        if let cookie { headers.add("cookie", cookie) }
        if let accept { headers.add("accept-language", accept) }
        return Language(headers, account: account)
    }

    @Test func `the choice of the browser comes before the account, and the account before the browser's languages`() {
        #expect(language(cookie: "a=b; language=th", account: "en", accept: "en") == .th)
        #expect(language(account: "th", accept: "en") == .th)
        #expect(language(accept: "th") == .th)
        #expect(language() == .en)
    }

    @Test(arguments: ["language=", "language=fr", "language=TH", "language=th-TH", "xlanguage=th", "language", "=th"])
    func `a cookie of no known language is ignored`(cookie: String) {
        #expect(language(cookie: cookie, account: "th") == .th)
        #expect(language(cookie: cookie) == .en)
    }

    @Test func `an account of no known language is ignored`() {
        #expect(language(account: "fr", accept: "th") == .th)
    }

    @Test(arguments: [
        ("th", Language.th), ("th-TH,th;q=0.9,en;q=0.8", .th), ("TH-th", .th), ("en;q=0.5, th;q=0.9", .th), ("th;q=0.5,en-US;q=0.9", .en),
        ("en, th", .en), ("th, en", .th), ("fr, de;q=0.9, th;q=0.1", .th), ("th;q=0", .en), ("th ; q=0.9 ,\ten ; q=0.5", .th),
        ("en;Q=0.5, th;Q=0.9", .th), ("th;level=1;q=0.4, en;q=0.3", .th),
    ])
    func `the language of the highest weight is chosen, and the first one of equals`(accept: String, expected: Language) {
        #expect(language(accept: accept) == expected)
    }

    @Test(arguments: [
        "", ",", ";;;,,,;", "*", "fr", "thai", "th_TH", "-th", "q=1", "th;q=nan", "\u{0E44}\u{0E17}\u{0E22}",
        String(repeating: ",", count: 8_000),
        String(repeating: "fr,", count: 32) + "th",
    ])
    func `garbage stands for English`(accept: String) {
        #expect(language(accept: accept) == .en)
    }
}
