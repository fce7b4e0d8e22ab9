import TestSupport
import Testing

@testable import Auth

/// `/auth/device`, as a browser without scripts uses it. The numbers are those of the cases of the device flow.
@Suite(.authDatabase) struct DevicePagesTests {
    @Test func `T20, T25: the page asks for a sign-in, and looking at a device decides nothing`() async throws {
        try await AuthUnderTest.with { auth in
            let (_, browser) = try await auth.person()
            let codes = try await auth.requestDeviceCode([
                ("client_id", "smartspec-desktop"), ("device_name", "Ada's PC"), ("scope", "llm"),
            ])
            #expect(try await auth.ask("GET", "/auth/device?user_code=\(codes.userCode)").status == 303)
            for _ in 0..<2 {
                let page = try await auth.open("/auth/device?user_code=\(codes.userCode)", browser)
                #expect(page.status == 200)
                #expect(page.html.contains(codes.userCode))
                #expect(page.html.contains("<dt>App</dt><dd>SmartSpec Desktop</dd>"))
                #expect(page.html.contains("<dd><bdi>Ada&#39;s PC</bdi></dd>"))
                #expect(page.html.contains(#"192.0.2.1 <span class="tag warning">not your network</span>"#))
                #expect(page.html.contains("<dd>call models with your credits</dd>"))
            }
            #expect(try await auth.poll(codes.deviceCode).oauthError == "authorization_pending")
        }
    }

    @Test func `T21: a code is found as a person types it`() async throws {
        try await AuthUnderTest.with { auth in
            let (_, browser) = try await auth.person()
            let code = try await auth.requestDeviceCode().userCode
            for typed in [code.lowercased(), code.replacing("-", with: ""), " \(code.replacing("-", with: " \u{2013} ")) "] {
                let found = try await auth.send("/auth/device", ["user_code": typed, "action": "find"], browser)
                #expect(found.status == 200)
                #expect(found.html.contains(">\(code)<"))
            }
        }
    }

    @Test func `a device that is connected gets tokens, and one that is refused gets none`() async throws {
        try await AuthUnderTest.with { auth in
            let (_, browser) = try await auth.person()
            for (action, done, title) in [
                ("approve", "approved", "The device is connected"), ("deny", "denied", "The device is refused"),
            ] {
                let codes = try await auth.requestDeviceCode()
                let form = ["user_code": codes.userCode, "action": action]
                #expect(try await auth.send("/auth/device", form, browser, csrf: "x").status == 403, "T27")
                for _ in 0..<2 {
                    let decided = try await auth.send("/auth/device", form, browser)
                    #expect((decided.status, decided.header("location")) == (303, "/auth/device?done=\(done)"), "T29: twice is once")
                }
                #expect(try await auth.open("/auth/device?done=\(done)", browser).html.contains("<h1>\(title)</h1>"))
                #expect(try await auth.poll(codes.deviceCode).status == (action == "approve" ? 200 : 400))
            }
        }
    }

    @Test func `T23, T26, T30: a wrong code keeps the input, is no markup, and is counted`() async throws {
        try await AuthUnderTest.with { auth in
            let (_, browser) = try await auth.person()
            let codes = try await auth.requestDeviceCode()
            #expect(try await auth.send("/auth/device", ["action": "find"], browser).error(of: "user_code") != nil)
            #expect(try await auth.send("/auth/device", ["action": "shrug", "user_code": "x"], browser).status == 400)
            _ = try await auth.send("/auth/device", ["user_code": codes.userCode, "action": "deny"], browser)
            #expect(try await auth.send("/auth/device", ["user_code": codes.userCode, "action": "approve"], browser).status == 409)
            let script = #""><script>alert(1)</script>"#
            var last = try await auth.send("/auth/device", ["user_code": script, "action": "find"], browser)
            #expect(last.status == 400)
            #expect(last.html.contains("value=\"&quot;&gt;&lt;script&gt;"))
            for _ in 0..<10 where last.status == 400 {
                last = try await auth.send("/auth/device", ["user_code": "BBBBBBBB", "action": "find"], browser)
            }
            #expect(last.status == 429)
            #expect(last.error(of: "user_code")?.hasPrefix("Too many wrong codes. Wait ") == true)
        }
    }
}
