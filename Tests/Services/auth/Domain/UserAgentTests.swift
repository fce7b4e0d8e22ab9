import Testing

@testable import Auth

struct UserAgentTests {
    private static let webKit = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
    private static let chrome = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"

    @Test(arguments: [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0", "Firefox", "Windows"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) \(chrome)", "Chrome", "Windows"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) \(chrome) Edg/131.0.0.0", "Edge", "Windows"),
        ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) \(chrome)", "Chrome", "ChromeOS"),
        ("Mozilla/5.0 (X11; Linux x86_64) \(chrome) OPR/116.0.0.0", "Opera", "Linux"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) \(webKit) Version/18.1 Safari/605.1.15", "Safari", "macOS"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) \(webKit) Version/18.1 Mobile/15E148 Safari/604.1", "Safari", "iPhone"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) \(webKit) CriOS/131.0 Mobile/15E148 Safari/604.1", "Chrome", "iPhone"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) \(webKit) Mobile/15E148 Safari Line/14.19.1", "LINE", "iPhone"),
        ("Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) \(webKit) FxiOS/133.0 Mobile/15E148 Safari/605.1.15", "Firefox", "iPad"),
        ("Mozilla/5.0 (Linux; Android 14; SM-A546E) \(chrome) SamsungBrowser/27.0", "Samsung Internet", "Android"),
        ("Mozilla/5.0 (Linux; Android 14) \(chrome) [FBAN/EMA;FBAV/443.0.0.0]", "Facebook", "Android"),
        ("Mozilla/5.0 (Android 14; Mobile; rv:133.0) Gecko/133.0 Firefox/133.0", "Firefox", "Android"),
    ])
    func `a browser has the name that people know, and its system`(text: String, program: String, system: String) {
        let agent = UserAgent(text)
        #expect((agent.program, agent.system) == (program, system))
    }

    @Test(arguments: [
        ("curl/8.5.0", "curl", nil), ("python-requests/2.32", "python-requests", nil), ("PostmanRuntime/7", "PostmanRuntime", nil),
        ("SmartSpec/2.4 (Windows 11)", "SmartSpec", "Windows"), ("okhttp", "okhttp", nil), ("my tool", "my", nil),
    ])
    func `another program has the name of its product`(text: String, program: String, system: String?) {
        let agent = UserAgent(text)
        #expect((agent.program, agent.system) == (program, system))
    }

    @Test(arguments: ["", "/1.0", " ", "Mozilla/5.0", String(repeating: "x", count: 41)])
    func `a text without a name has none`(text: String) { #expect(UserAgent(text).program == nil) }
}
