import HTTP
import HTTPWire
import Identity
import TestSupport
import Testing
import Values

@testable import Auth

/// The settings of a person with a browser.
extension AuthUnderTest {
    /// Registers a user, and signs a browser of theirs in.
    func person(_ email: String? = nil) async throws -> (member: Member, browser: Browser) {
        let member = try await register(email)
        return (member, try await signInByForm(member.email))
    }

    /// Opens a page.
    func open(_ path: String, _ browser: Browser, in language: String = "en") async throws -> Answer {
        try await ask("GET", path, headers: [("cookie", "\(browser.text); language=\(language)")])
    }

    /// Sends the form of a page.
    func send(
        _ path: String, _ fields: [String: String] = [:], _ browser: Browser, csrf token: String? = nil, in language: String = "en"
    ) async throws -> Answer {
        var form = fields
        form["csrf_token"] = token ?? browser.cookie.csrf.token()
        return try await submit(
            path, form, headers: [("cookie", "\(browser.text); language=\(language)"), ("origin", Self.publicURL)])
    }

    /// The paths of the forms of the settings, with an id of each kind.
    static let settingsForms: [String] = Routes.table.map(\.row)
        .filter { $0.method == .post && $0.isPage && $0.paths[0].hasPrefix("/settings") }
        .map { row in
            row.paths[0].replacing("keys/{id}", with: "keys/0123456789").replacing("{id}", with: SessionID.make().description)
        }

    /// A name that would be a script if a page did not escape it.
    static let scriptName = #""><script>alert(1)</script>"#
}

extension AuthUnderTest.Answer {
    var html: String { String(decoding: body, as: UTF8.self) }

    /// The error next to a field, as a person reads it.
    func error(of field: String) -> String? { text(after: "<p id=\"\(field)-error\" class=\"error\">", before: "</p>") }

    /// The value of a hidden field.
    func hidden(_ field: String) -> String? { text(after: "name=\"\(field)\" value=\"", before: "\"") }

    private func text(after start: String, before end: String) -> String? {
        guard let from = html.firstRange(of: start)?.upperBound, let to = html[from...].firstRange(of: end)?.lowerBound else { return nil }
        return String(html[from..<to])
    }

    /// True for a page that says this in its notice.
    func notices(_ text: String) -> Bool { html.contains("role=\"alert\" tabindex=\"-1\" autofocus><p>\(text)</p>") }

    /// True for the page of a refusal.
    func isError(_ title: String) -> Bool { html.contains("<h1>\(title)</h1>") && !html.contains("class=\"tabs\"") }
}
