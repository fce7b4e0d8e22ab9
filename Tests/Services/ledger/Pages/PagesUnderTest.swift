import HTTPClient
import Identity
import TestSupport
import Testing
import Text
import Values

@testable import Ledger
@testable import LedgerCore

/// The pages as a browser asks for them.
extension RouteServer {
    func open(_ path: String, _ person: Principal?, in language: String = "en") async throws -> Answer {
        try await browse("GET", path, person, language, nil)
    }

    /// Sends the form of a page.
    func send(
        _ path: String, _ fields: [String: String], _ person: Principal?, csrf token: String? = nil, origin: String = RouteServer.origin,
        in language: String = "en"
    ) async throws -> Answer {
        var fields = fields
        fields["csrf_token"] = token ?? person?.csrf?.token()
        let form = fields.map { "\(PercentEncoding.encode($0.key))=\(PercentEncoding.encode($0.value))" }.joined(separator: "&")
        return try await browse("POST", path, person, language, form, origin)
    }

    private func browse(
        _ method: String, _ path: String, _ person: Principal?, _ language: String, _ form: String?, _ origin: String = RouteServer.origin
    ) async throws -> Answer {
        let session = person.map { "session=\($0.userID); " } ?? ""
        let headers = [
            ("cookie", "\(session)language=\(language)"), ("origin", origin), ("content-type", "application/x-www-form-urlencoded"),
        ]
        let request = ClientRequest(method, "http://127.0.0.1:\(port)\(path)", headers: headers, body: form.map { Array($0.utf8) })
        let response = try await client.request(request)
        return Answer(status: response.status, headers: response.headers, body: response.body)
    }

    /// Grants credits for some reason.
    @discardableResult
    func grant(
        _ grant: Command.Grant, _ amount: Int64, to person: Principal, expiresAt: Instant? = nil, reason: String? = nil
    ) async throws -> ChargeID {
        let id = ChargeID.make()
        _ = try await ledger.do([
            Command(
                id: id, account: person.accountID, action: .grant(grant, amount: credits(amount), expiresAt: expiresAt),
                context: Context(description: reason))
        ])
        return id
    }

    /// A text that would be a script if a page did not escape it.
    static let script = #""><script>alert(1)</script>"#
}

extension Answer {
    /// The error next to a field, as a person reads it.
    func error(of field: String) -> String? { text(after: "<p id=\"\(field)-error\" class=\"error\">", before: "</p>") }

    /// The value of a hidden field.
    func hidden(_ field: String) -> String? { text(after: "type=\"hidden\" name=\"\(field)\" value=\"", before: "\"") }

    func text(after start: String, before end: String) -> String? {
        guard let from = text.firstRange(of: start)?.upperBound, let to = text[from...].firstRange(of: end)?.lowerBound else { return nil }
        return String(text[from..<to])
    }

    /// True for the page of a refusal.
    func isError(_ title: String) -> Bool { text.contains("<h1>\(title)</h1>") }
}
