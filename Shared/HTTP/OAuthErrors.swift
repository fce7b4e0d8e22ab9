import HTTPWire
import JSON

extension ErrorCode {
    /// The error of OAuth 2.0 (RFC 6749 §5.2, RFC 6750 §3.1, RFC 8628 §3.5) that the code stands for.
    var oauthError: String {
        switch self {
        case .unknownClient, .serviceTokenRequired: "invalid_client"
        case .invalidAPIKey, .tokenExpired, .tokenRevoked: "invalid_token"
        case .userDeactivated: "access_denied"
        case .reauthenticationRequired: "login_required"
        case .insufficientScope, .sessionRequired: "insufficient_scope"
        case .rateLimited: "slow_down"
        case .internalError: "server_error"
        case .overloaded, .unavailable: "temporarily_unavailable"
        case .authorizationPending, .slowDown, .accessDenied, .expiredToken, .invalidGrant, .invalidScope, .unsupportedGrantType,
            .invalidClient:
            rawValue
        default: "invalid_request"
        }
    }
}

extension Problem {
    /// The answer in the shape of OAuth 2.0. A description has no quotes and no characters outside of
    /// ASCII (RFC 6749 §5.2).
    var oauthResponse: Response {
        var headers = headers
        headers.add("cache-control", "no-store")
        headers.add("pragma", "no-cache")
        let description = String(decoding: message.utf8.map { Self.isDescription($0) ? $0 : UInt8(ascii: "'") }, as: UTF8.self)
        return .object(status, headers: headers) { json in
            json.field("error", code.oauthError)
            json.field("error_description", description)
            for (name, value) in fields {
                if case .integer(let number) = value { json.field(name, number) }
            }
        }
    }

    private static func isDescription(_ byte: UInt8) -> Bool {
        (0x20...0x7E).contains(byte) && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }
}
