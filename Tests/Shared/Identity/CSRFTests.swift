import HTTP
import HTTPWire
import Testing
import Values

@testable import Identity

@Suite struct CSRFTests {
    private static let origin = "https://gateway.example"
    private static let form = "application/x-www-form-urlencoded"
    private let key = CSRFKey(secret: Array("secret".utf8))

    private func principal(_ key: CSRFKey?) -> Principal {
        Principal(userID: .make(), kind: .session(.make()), roles: ["user"], scopes: [], plan: "free", csrf: key)
    }

    /// The code and the field with which a request is refused; nil if it is accepted.
    private func refusal(_ headers: HeaderBlock, body: String = "") -> String? {
        do throws(Problem) {
            try principal(key).checkPage(headers, body: Array(body.utf8), origin: Self.origin)
            return nil
        } catch {
            return "\(error.code.rawValue) \(error.param ?? "")"
        }
    }

    @Test func `each token has another text, and all match their key only`() {
        let tokens = (0..<100).map { _ in key.token() }
        #expect(Set(tokens).count == 100)
        #expect(Set(tokens.map { $0.prefix(20) }).count == 100)
        #expect(tokens.allSatisfy { key.matches($0) })
        let other = CSRFKey(secret: Array("other".utf8))
        #expect(!tokens.contains { other.matches($0) })
        for wrong in ["", "x", String(tokens[0].dropLast()), tokens[0] + "A", String(repeating: "A", count: 86)] {
            #expect(!key.matches(wrong), "\(wrong)")
        }
    }

    @Test func `a page of this origin with its token is accepted, by header and by form`() {
        #expect(refusal(["origin": Self.origin, "x-csrf-token": key.token()]) == nil)
        #expect(refusal(["sec-fetch-site": "same-origin", "x-csrf-token": key.token()]) == nil)
        let body = "name=a+b&csrf_token=\(key.token())"
        #expect(refusal(["origin": Self.origin, "content-type": Self.form], body: body) == nil)
        #expect(refusal(["origin": Self.origin, "content-type": "\(Self.form); charset=utf-8"], body: body) == nil)
    }

    @Test func `a request without the token of its session is refused`() {
        let origin = Self.origin
        let other = CSRFKey(secret: Array("other".utf8)).token()
        #expect(refusal(["origin": origin]) == "csrf_failed csrf_token")
        #expect(refusal(["origin": origin, "x-csrf-token": ""]) == "csrf_failed csrf_token")
        #expect(refusal(["origin": origin, "x-csrf-token": other]) == "csrf_failed csrf_token")
        #expect(refusal(["origin": origin, "content-type": Self.form], body: "csrf_token=\(other)") == "csrf_failed csrf_token")
        // The body of another type is no form.
        #expect(refusal(["origin": origin, "content-type": "text/plain"], body: "csrf_token=\(key.token())") == "csrf_failed csrf_token")
        let twice = "csrf_token=\(key.token())&csrf_token=\(other)"
        #expect(refusal(["origin": origin, "content-type": Self.form], body: twice) == "invalid_request csrf_token")
    }

    @Test(arguments: [
        "", "http://gateway.example", "https://gateway.example:443", "https://evil.example", "https://gateway.example/",
    ])
    func `a request of another origin is refused, also with the token`(other: String) {
        #expect(refusal(["origin": other, "x-csrf-token": key.token(), "sec-fetch-site": "same-origin"]) == "csrf_failed origin")
    }

    @Test func `a request without an origin is refused, unless the browser says that it is the same`() {
        // A page that sends no referrer sends the origin `null`.
        for hidden: HeaderBlock in [[:], ["origin": "null"]] {
            func refusal(site: String?) -> String? {
                var headers = hidden
                headers.add("x-csrf-token", key.token())
                if let site { headers.add("sec-fetch-site", site) }
                return self.refusal(headers)
            }
            for site in [nil, "cross-site", "same-site", "none", ""] { #expect(refusal(site: site) == "csrf_failed origin") }
            #expect(refusal(site: "same-origin") == nil)
        }
        var twice: HeaderBlock = ["origin": Self.origin, "x-csrf-token": key.token()]
        twice.add("origin", Self.origin)
        #expect(refusal(twice) == "csrf_failed origin")
    }

    @Test func `a caller without a cookie needs no token`() throws {
        try principal(nil).checkPage([:], body: [], origin: Self.origin)
    }

    @Test(arguments: [
        ("https://gateway.example", "https://gateway.example"), ("https://gateway.example/", "https://gateway.example"),
        ("HTTPS://Gateway.Example:443/app", "https://gateway.example"), ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://gateway.example:80?x", "http://gateway.example"), ("https://gateway.example:8443", "https://gateway.example:8443"),
    ])
    func `the origin of a URL is written as browsers write it`(url: String, expected: String) {
        #expect(Identity.origin(ofURL: url) == expected)
    }
}
