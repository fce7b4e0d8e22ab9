import HTTP
import HTTPWire
import Identity
import Values

@testable import Web

extension Viewer {
    /// A viewer at 14:02 in Bangkok on 22 November 2026.
    static func test(
        _ language: Language = .en, zone: String = "UTC", principal: Principal? = nil, here: Link = "/page?a=b"
    ) -> Viewer {
        Viewer(
            language: language, timeZone: zone, principal: principal, here: here,
            now: Instant(microseconds: 1_795_330_923_000_004), assets: Assets(service: "test"),
            formOrigins: [])
    }
}

extension Principal {
    /// A person who signed in with a browser.
    static func person(roles: [String] = ["user"], locale: String = "en", timeZone: String = "UTC") -> Principal {
        let session = SessionID.make()
        return Principal(
            userID: .make(), kind: .session(session), roles: roles, scopes: [], plan: "free", authenticatedAt: 0, locale: locale,
            timeZone: timeZone, csrf: SessionCookie.make(for: session).cookie.csrf)
    }

    static func administrator() -> Principal { person(roles: ["user", "admin"]) }
}

extension HTML {
    var text: String { String(decoding: bytes, as: UTF8.self) }
}

extension Response {
    var text: String { String(decoding: body, as: UTF8.self) }
}

/// A text that would be a script if a page showed it unescaped.
let hostile = #""><script>alert('1')</script>&"#
let escaped = "&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;"
