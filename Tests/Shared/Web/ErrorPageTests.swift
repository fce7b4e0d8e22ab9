import HTTP
import HTTPWire
import Testing

@testable import Web

struct ErrorPageTests {
    @Test(arguments: [Problem.invalidAPIKey, .tokenExpired, .tokenRevoked])
    func `a person without a sign-in is led to it, and back`(problem: Problem) {
        let response = Viewer.test(here: "/settings?a=b&c=%20").show(problem)
        #expect(response.status == 303)
        #expect(response.headers.string(for: "location") == "/login?next=%2Fsettings%3Fa%3Db%26c%3D%2520")
        #expect(response.headers.string(for: "cache-control") == "no-store")
        #expect(response.body.isEmpty)
    }

    @Test func `a person whose sign-in is too old signs in again, and comes back`() {
        let response = Viewer.test(principal: .person(), here: "/admin/users/1/role").show(Problem.reauthenticationRequired)
        #expect(response.status == 303)
        #expect(response.headers.string(for: "location") == "/login?again=1&next=%2Fadmin%2Fusers%2F1%2Frole")
    }

    private static let leading: [ErrorCode] = [.invalidAPIKey, .tokenExpired, .tokenRevoked, .reauthenticationRequired]

    @Test(arguments: ErrorCode.allCases.filter { !leading.contains($0) })
    func `every other refusal is a page of its status in both languages`(code: ErrorCode) {
        let problem = Problem(code, "The message for programs <b>.")
        var titles: [String] = []
        for language in Language.allCases {
            let response = Viewer.test(language, here: "/page?a=b").show(problem)
            #expect(response.status == problem.status)
            #expect(response.headers.string(for: "content-type") == "text/html; charset=utf-8")
            #expect(response.headers.string(for: "www-authenticate") == nil)
            #expect(!response.text.contains("The message for programs"))
            let body = response.text.firstMatch(of: /<h1>([^<]+)<\/h1><p>([^<]+)<\/p><a href="([^"]+)" class="button primary">([^<]+)<\/a>/)
            guard let body else {
                Issue.record("\(code) has no page: \(response.text)")
                continue
            }
            titles.append(String(body.output.1))
            #expect(["/", "/login", "/page", "/page?a=b"].contains(body.output.3))
            #expect((body.output.1 + body.output.2 + body.output.4).contains { ("ก"..."๙").contains($0) } == (language == .th))
        }
        #expect(Set(titles).count == 2)
    }

    @Test(arguments: [
        (Problem.notFound, "This page does not exist"), (.methodNotAllowed(allow: "GET"), "This page does not exist"),
        (.csrfFailed("", param: "csrf_token"), "This form is out of date"), (.csrfFailed("", param: "origin"), "This address is not ours"),
        (.adminRequired, "For administrators only"),
        (.userDeactivated, "This account is deactivated"), (.rateLimited("", retryAfter: .seconds(1)), "Too many attempts"),
        (.internalError, "This does not work at the moment"), (.unavailable(""), "This does not work at the moment"),
        (.invalidRequest(""), "This request cannot be read"),
    ])
    func `a page says what happened`(problem: Problem, title: String) {
        #expect(Viewer.test().show(problem).text.contains("<h1>\(title)</h1>"))
    }

    @Test(arguments: [Problem.csrfFailed("", param: "csrf_token"), .unavailable(""), .rateLimited("", retryAfter: .seconds(1))])
    func `a form that was refused can be sent again, without its old token`(problem: Problem) {
        let viewer = Viewer.test(principal: .person(), here: "/settings")
        let sent = FormInput(["full_name": "\"><b>", "csrf_token": "old"])
        let page = viewer.show(problem, sent: sent).text
        #expect(page.contains(#"<form action="/settings" method="post" novalidate>"#))
        #expect(page.contains(#"<input type="hidden" name="full_name" value="&quot;&gt;&lt;b&gt;">"#))
        #expect(!page.contains(#"value="old""#))
        #expect(page.contains("Send the form again</button>"))
        let secret = viewer.show(problem, sent: FormInput(["new_password": "kept secret"])).text
        #expect(!secret.contains("kept secret"))
        #expect(secret.contains(#"<a href="/settings" class="button primary">Open the page again</a>"#))
    }

    @Test func `a form that cannot be read is not sent again`() {
        let page = Viewer.test(here: "/settings?x=%ff").show(Problem.invalidRequest(""), sent: FormInput(["a": "b"])).text
        #expect(!page.contains("<form action=\"/settings"))
        #expect(page.contains(#"<a href="/settings" class="button primary">"#))
    }

    @Test func `the time to wait is said and sent`() {
        let response = Viewer.test().show(Problem.rateLimited("", retryAfter: .milliseconds(89_500)))
        #expect(response.headers.strings(for: "retry-after") == ["90"])
        #expect(response.text.contains("Wait 2 minutes, then try again."))
        #expect(Viewer.test(.th).show(Problem.rateLimited("", retryAfter: .seconds(5))).text.contains("โปรดรอ 5 วินาที แล้วลองอีกครั้ง"))
        #expect(Viewer.test().show(Problem.unavailable("")).headers.string(for: "retry-after") == "2")
    }

    @Test func `the allowed methods are sent`() {
        #expect(Viewer.test().show(Problem.methodNotAllowed(allow: "GET, HEAD")).headers.strings(for: "allow") == ["GET, HEAD"])
    }
}
