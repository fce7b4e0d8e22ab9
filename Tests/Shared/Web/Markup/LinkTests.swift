import Testing
import Web

struct LinkTests {
    @Test(arguments: ["/", "/a", "/a/b.css?c=d&e=%20#f", "/a//b", "/%2F%5C", "/a?next=//host"])
    func `a path of this host is a link`(text: String) {
        #expect(Link(text)?.description == text)
    }

    @Test(arguments: [
        "", "a", "?a=b", "#a", "//", "//host", "///host", #"/\host"#, #"/a\b"#, "\\\\host", "javascript:alert(1)", "https://host/",
        "/ host",
        "/a b", " /a", "/a\n", "/\t/host", "/a\r\nset-cookie: a=b", "/\0", "/\u{7F}", "/ä", "/ก", "/\u{2028}",
    ])
    func `another text is no link`(text: String) {
        #expect(Link(text) == nil)
    }

    @Test func `a link from outside has at most 1,024 bytes`() {
        #expect(Link("/" + String(repeating: "a", count: 1_023)) != nil)
        #expect(Link("/" + String(repeating: "a", count: 1_024)) == nil)
    }

    @Test(arguments: [
        ("a", "/users/a"), ("a/b", "/users/a%2Fb"), ("//host", "/users/%2F%2Fhost"), ("a?b#c&d=e%f", "/users/a%3Fb%23c%26d%3De%25f"),
        ("\r\n\"<\\", "/users/%0D%0A%22%3C%5C"), ("ก", "/users/%E0%B8%81"), ("", "/users/"),
    ])
    func `a segment cannot leave its place in the path`(segment: String, link: String) {
        #expect(Link("/users").segment(segment).description == link)
    }

    @Test func `a segment of the root leads to this host`() {
        #expect(Link("/").segment("evil.example").description == "/evil.example")
        #expect(Link("/").segment("a").segment("b").description == "/a/b")
    }

    @Test func `a pair of the query is encoded, and follows the pairs before it`() {
        let link = Link("/login").with("next", "/usage?days=7&x=#y").with("again", "1")
        #expect(link.description == "/login?next=%2Fusage%3Fdays%3D7%26x%3D%23y&again=1")
        #expect(Link("/a").with("q", "ก+ b").description == "/a?q=%E0%B8%81%2B%20b")
    }
}

struct OutsideLinkTests {
    @Test(arguments: [
        "https://checkout.stripe.com/c/pay/cs_1#fid", "https://pay.example/", "http://127.0.0.1:8420/c/pay/1", "http://localhost/",
    ])
    func `an encrypted address, and one of this machine, is a link`(text: String) {
        #expect(OutsideLink(text)?.description == text)
    }

    @Test(arguments: [
        "", "/path", "//host/", "http://pay.example/", "javascript:alert(1)", "https://", "https://user@pay.example/", "https://a b/",
        "https://pay.example/\r\nset-cookie: a=b", "https://pay.example/#ä", #"https://pay.example\@other.example/"#, "data:text/html,a",
    ])
    func `another text is none`(text: String) {
        #expect(OutsideLink(text) == nil)
    }
}
