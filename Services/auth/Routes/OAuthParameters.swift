import Crypto
import HTTP
import HTTPWire
import JSON

/// The parameters of an OAuth request (RFC 6749 §3.1, §3.2), from a form or a JSON object.
///
/// An unknown parameter is ignored, an empty one is omitted, and a repeated one is refused.
struct OAuthParameters: Sendable {
    private let values: [String: String]
    /// The client of `Authorization: Basic`, which a public client sends with an empty secret. Nil
    /// without that field.
    let basicClientID: String?

    init(_ request: Request) throws(Problem) {
        basicClientID = try Self.basicClient(request)
        let type = (request.headers.string(for: "content-type") ?? "").prefix { $0 != ";" }.lowercased()
        switch type.split(separator: " ").first {
        case "application/x-www-form-urlencoded": values = try Self.form(request.body)
        case "application/json": values = try Self.members(request)
        // oauthlib's client sends its parameters in the query, and no body.
        case nil where request.body.isEmpty: values = [:]
        default: throw .invalidRequest("`content-type` must be application/x-www-form-urlencoded or application/json.")
        }
    }

    /// Nil for a parameter that is absent or empty.
    subscript(name: String) -> String? { values[name] }

    func required(_ name: String) throws(Problem) -> String {
        guard let value = values[name] else { throw .missingParameter(name) }
        return value
    }

    private static func form(_ body: [UInt8]) throws(Problem) -> [String: String] {
        var values: [String: String] = [:]
        for (name, value) in try Query(body).pairs {
            guard values.updateValue(value, forKey: name) == nil else {
                throw .invalidRequest("`\(name)` must stand once.", param: name)
            }
        }
        return values.filter { !$0.value.isEmpty }
    }

    private static let known = [
        "grant_type", "device_code", "client_id", "scope", "device_name", "refresh_token", "token",
        "token_type_hint", "user_code", "action",
    ]

    private static func members(_ request: Request) throws(Problem) -> [String: String] {
        let object = try request.json()
        var values: [String: String] = [:]
        do throws(JSONError) {
            for name in known { values[name] = try object.optionalString(name) }
        } catch {
            throw Problem(error)
        }
        return values.filter { !$0.value.isEmpty }
    }

    private static func basicClient(_ request: Request) throws(Problem) -> String? {
        guard let field = request.headers.string(for: "authorization"), field.prefix(6).lowercased() == "basic " else { return nil }
        let text = Base64.standard.decode(String(field.dropFirst(6))).flatMap { String(validating: $0, as: UTF8.self) }
        // Both halves are form-encoded (RFC 6749 §2.3.1). Our ids need no encoding.
        guard let text, let colon = text.firstIndex(of: ":"), text.index(after: colon) == text.endIndex else { throw .invalidClient }
        return String(text[..<colon])
    }
}
