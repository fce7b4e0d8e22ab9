import Contracts
import HTTP
import HTTPClient
import HTTPWire
import Identity
import Synchronization
import Text
import Values
import Web

@testable import Billing

/// The browsers that are signed in, each by the id of its user.
final class Browsers: Sendable {
    static let cookie = "session"
    private let people = Mutex<[String: Principal]>([:])

    func person(_ headers: HeaderBlock) -> Principal? {
        headers.cookie(Self.cookie).flatMap { bytes in people.withLock { $0[String(decoding: bytes, as: UTF8.self)] } }
    }

    /// Signs a user in.
    /// - Parameter before: the time since the sign-in.
    func signIn(_ user: UserID, isAdmin: Bool = false, before: Duration = .zero) -> Principal {
        let session = SessionID.make()
        let person = Principal(
            userID: user, kind: .session(session), roles: isAdmin ? ["admin"] : ["user"], scopes: [], plan: "free",
            authenticatedAt: (Instant.now() - before).seconds, locale: "en", timeZone: "UTC",
            csrf: SessionCookie.make(for: session).cookie.csrf)
        people.withLock { $0[user.description] = person }
        return person
    }
}

/// A ledger that has each charge, unless it is told to be late.
final class LedgerStub: Sendable {
    private let isLate = Mutex(false)

    let balance = Balance(available: Credits(whole: 105), alertLevel: .zero)

    func be(late: Bool) { isLate.withLock { $0 = late } }

    func reply(to query: QueryCharge) -> ChargeReply {
        ChargeReply(chargeID: query.chargeID, state: isLate.withLock(\.self) ? .unknown : .granted)
    }
}

/// The pages as a browser asks for them.
extension BillingUnderTest {
    /// A user who can buy, with a browser.
    func person() async throws -> Principal { browsers.signIn(try await user()) }

    func open(_ path: String, _ person: Principal?, in language: String = "en") async throws -> PageAnswer {
        try await browse("GET", path, person, language, nil)
    }

    /// Sends the form of a page.
    func send(
        _ path: String, _ fields: [String: String], _ person: Principal?, csrf token: String? = nil, in language: String = "en"
    ) async throws -> PageAnswer {
        var fields = fields
        fields["csrf_token"] = token ?? person?.csrf?.token()
        let form = fields.map { "\(PercentEncoding.encode($0.key))=\(PercentEncoding.encode($0.value))" }.joined(separator: "&")
        return try await browse("POST", path, person, language, form)
    }

    private func browse(
        _ method: String, _ path: String, _ person: Principal?, _ language: String, _ form: String?
    ) async throws -> PageAnswer {
        let session = person.map { "\(Browsers.cookie)=\($0.userID); " } ?? ""
        let headers = [
            ("cookie", "\(session)language=\(language)"), ("origin", Self.publicURL), ("content-type", "application/x-www-form-urlencoded"),
        ]
        let request = ClientRequest(method, base + path, headers: headers, body: form.map { Array($0.utf8) })
        let response = try await client.request(request)
        return PageAnswer(status: response.status, headers: response.headers, text: String(decoding: response.body, as: UTF8.self))
    }

    /// Sends a form that leads to Stripe's checkout page.
    /// - Returns: the id of the session.
    func checkOut(_ path: String, _ fields: [String: String], _ person: Principal) async throws -> String {
        let answer = try await send(path, fields, person)
        let location = answer.header("location") ?? ""
        guard answer.status == 303, location.hasPrefix("\(stripe.url)/c/pay/") else {
            throw StripeSimulator.Refused(description: "\(path): \(answer.status) \(location) \(answer.text.prefix(3_000))")
        }
        return String(location.dropFirst(stripe.url.count + 7).prefix { $0 != "#" && $0 != "?" })
    }
}

struct PageAnswer: Sendable {
    let status: Int
    let headers: [(name: String, value: String)]
    let text: String

    func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }

    /// The error next to a field, as a person reads it.
    func error(of field: String) -> String? { text(after: "<p id=\"\(field)-error\" class=\"error\">", before: "</p>") }

    /// The value of a hidden field.
    func hidden(_ field: String) -> String? { text(after: "type=\"hidden\" name=\"\(field)\" value=\"", before: "\"") }

    func text(after start: String, before end: String) -> String? {
        guard let from = text.firstRange(of: start)?.upperBound, let to = text[from...].firstRange(of: end)?.lowerBound else { return nil }
        return String(text[from..<to])
    }

    /// The heading of the page.
    var title: String? { text(after: "<h1>", before: "</h1>") }
    /// Where the answer leads.
    var leads: String? { status == 303 ? header("location") : nil }
}
