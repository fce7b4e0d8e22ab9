package import HTTPWire
package import JSON

/// A refusal in the one shape every path of ours answers with: `{"error":{"message","type","code","param",…}}`, all four keys
/// always. Thrown by handlers, or written by ``Exchange/respond(_:)-(Problem)``.
///
/// Codes are literals, and they stand in this file: a client that knows one may rely on it for ever.
package struct Problem: Error, Sendable {
    package enum Kind: String, Sendable {
        case invalidRequest = "invalid_request_error"
        case authentication = "authentication_error"
        case permission = "permission_error"
        case insufficientCredits = "insufficient_credits"
        case rateLimit = "rate_limit_error"
        case server = "server_error"
    }

    /// A further member of the error object.
    package enum Field: Sendable {
        case text(String)
        case integer(Int64)
        /// A JSON number in its own characters: amounts are exact.
        case number(String)
        case bool(Bool)
    }

    package let status: Int
    package let code: String
    package let type: String
    package var message: String
    package var param: String?
    package var fields: [(name: String, value: Field)]
    package var headers: HeaderBlock

    package init(
        _ status: Int, _ code: String, _ kind: Kind, _ message: String, param: String? = nil,
        fields: [(name: String, value: Field)] = [], headers: HeaderBlock = [:], retryAfter: Duration? = nil
    ) {
        self.status = status
        self.code = code
        self.type = kind.rawValue
        self.message = message
        self.param = param
        self.fields = fields
        self.headers = headers
        if let retryAfter {
            let milliseconds = max(0, retryAfter.components.seconds * 1_000 + retryAfter.components.attoseconds / 1_000_000_000_000_000)
            self.headers.add("retry-after", Int((milliseconds + 999) / 1_000))
            self.headers.add("retry-after-ms", Int(milliseconds))
        }
    }

    /// The error object in its envelope.
    package var body: [UInt8] {
        var writer = JSONWriter()
        writer.object { $0.object("error") { writeMembers(to: &$0) } }
        return writer.bytes
    }

    /// The members of the error object: for envelopes of other shapes, such as the error event in a stream.
    package func writeMembers(to writer: inout JSONWriter) {
        writer.field("message", message)
        writer.field("type", type)
        writer.field("code", code)
        writer.field("param", param)
        for (name, value) in fields {
            switch value {
            case .text(let text): writer.field(name, text)
            case .integer(let number): writer.field(name, number)
            case .number(let text): writer.field(name, raw: Array(text.utf8))
            case .bool(let flag): writer.field(name, flag)
            }
        }
    }

    package var response: Response {
        var headers = headers
        headers.add("content-type", "application/json")
        return Response(status: status, headers: headers, body: body)
    }
}

// MARK: 400: the request

extension Problem {
    package static func invalidRequest(_ message: String, param: String? = nil) -> Problem {
        Problem(400, "invalid_request", .invalidRequest, message, param: param)
    }

    package static func invalidJSON(_ message: String) -> Problem { Problem(400, "invalid_json", .invalidRequest, message) }

    package static func unknownParameter(_ name: String) -> Problem {
        Problem(400, "unknown_parameter", .invalidRequest, "Unknown parameter: '\(name)'.", param: name)
    }

    package static func missingParameter(_ name: String) -> Problem {
        Problem(400, "missing_parameter", .invalidRequest, "Missing required parameter: '\(name)'.", param: name)
    }
}

// MARK: 401 and 403: who asks

extension Problem {
    package static var invalidAPIKey: Problem {
        unauthorized("invalid_api_key", "Incorrect or missing API key or access token.", challenge: "invalid_token")
    }
    package static var tokenExpired: Problem {
        unauthorized("token_expired", "The access token has expired.", challenge: "invalid_token")
    }
    package static var tokenRevoked: Problem {
        unauthorized("token_revoked", "The access token or API key has been revoked.", challenge: "invalid_token")
    }
    package static var invalidCredentials: Problem {
        Problem(401, "invalid_credentials", .authentication, "Email or password is wrong.", headers: ["www-authenticate": "Bearer"])
    }

    private static func unauthorized(_ code: String, _ message: String, challenge: String) -> Problem {
        Problem(401, code, .authentication, message, headers: ["www-authenticate": "Bearer error=\"\(challenge)\""])
    }

    package static func planRequired(_ message: String) -> Problem { Problem(403, "plan_required", .permission, message) }
    package static var adminRequired: Problem { Problem(403, "admin_required", .permission, "Only an administrator may do this.") }
    package static var userDeactivated: Problem { Problem(403, "user_deactivated", .permission, "This account is deactivated.") }
    package static func insufficientScope(_ scope: String) -> Problem {
        Problem(403, "insufficient_scope", .permission, "This key or token lacks the scope '\(scope)'.")
    }
}

// MARK: 402: money, never to be retried

extension Problem {
    /// Amounts are decimals in credits.
    package static func insufficientCredits(balance: String, required: String, topUpURL: String) -> Problem {
        Problem(
            402, "insufficient_credits", .insufficientCredits, "Not enough credits: \(required) needed, \(balance) available.",
            fields: [("balance", .number(balance)), ("required", .number(required)), ("top_up_url", .text(topUpURL))],
            headers: ["x-should-retry": "false"])
    }

    package enum LimitPeriod: String, Sendable { case daily, monthly }
    package enum LimitOwner: String, Sendable {
        case account
        case apiKey = "api_key"
    }

    /// There are credits, but a limit that the owner set forbids to spend them.
    /// - Parameter resetsAt: ISO 8601.
    package static func spendingLimitReached(_ period: LimitPeriod, of owner: LimitOwner, resetsAt: String) -> Problem {
        let whose =
            switch owner {
            case .account: "your account"
            case .apiKey: "this API key"
            }
        return Problem(
            402, "spending_limit_reached", .insufficientCredits,
            "The \(period.rawValue) spending limit of \(whose) is reached. It resets at \(resetsAt).",
            fields: [
                ("limit", .text(period.rawValue)), ("limit_of", .text(owner.rawValue)), ("resets_at", .text(resetsAt)),
            ], headers: ["x-should-retry": "false"])
    }
}

// MARK: 404, 405, 409: what is asked for

extension Problem {
    package static var notFound: Problem { Problem(404, "not_found", .invalidRequest, "Not found.") }
    package static func notFound(_ what: String) -> Problem { Problem(404, "not_found", .invalidRequest, "\(what) does not exist.") }
    package static func modelNotFound(_ model: String) -> Problem {
        Problem(404, "model_not_found", .invalidRequest, "The model '\(model)' does not exist or is not enabled.", param: "model")
    }

    package static func modelNotPriced(_ model: String) -> Problem {
        Problem(400, "model_not_priced", .invalidRequest, "The model '\(model)' has no price; use another model.", param: "model")
    }

    /// - Parameter allow: the methods that are served, comma-separated.
    package static func methodNotAllowed(allow: String) -> Problem {
        Problem(405, "method_not_allowed", .invalidRequest, "Method not allowed; allowed: \(allow).", headers: ["allow": allow])
    }

    package static var idempotencyConflict: Problem {
        Problem(409, "idempotency_conflict", .invalidRequest, "This idempotency key was used with another request.")
    }
    package static func conflict(_ message: String) -> Problem { Problem(409, "conflict", .invalidRequest, message) }
    package static var emailTaken: Problem {
        Problem(409, "email_taken", .invalidRequest, "This email address is registered already.", param: "email")
    }
}

// MARK: 408, 413, 414, 417, 431: the request's shape on the wire

extension Problem {
    package static var requestTimeout: Problem {
        Problem(408, "request_timeout", .invalidRequest, "The request did not arrive in time.")
    }
    package static func payloadTooLarge(limit: Int) -> Problem {
        Problem(
            413, "payload_too_large", .invalidRequest, "The request body is larger than \(limit) bytes.",
            fields: [("limit", .integer(Int64(limit)))])
    }
    package static func uriTooLong(limit: Int) -> Problem {
        Problem(
            414, "uri_too_long", .invalidRequest, "The request target is longer than \(limit) bytes.",
            fields: [("limit", .integer(Int64(limit)))])
    }
    package static var expectationFailed: Problem {
        Problem(417, "expectation_failed", .invalidRequest, "Only 'Expect: 100-continue' is understood.")
    }
    package static func headersTooLarge(bytes: Int, fields: Int) -> Problem {
        Problem(
            431, "headers_too_large", .invalidRequest, "The request head is larger than \(bytes) bytes or \(fields) fields.",
            fields: [("limit", .integer(Int64(bytes)))])
    }

    init(_ error: HTTPSyntaxError, limits: HTTPParser.Limits) {
        self =
            switch error {
            case .malformed(let reason): .invalidRequest("Malformed HTTP request: \(reason).")
            case .targetTooLong: .uriTooLong(limit: limits.targetBytesMax)
            case .headTooLarge: .headersTooLarge(bytes: limits.headBytesMax, fields: limits.fieldsMax)
            case .bodyTooLarge: .payloadTooLarge(limit: limits.bodyBytesMax)
            case .endedEarly, .stopped: .invalidRequest("Malformed HTTP request: it ended early.")
            }
    }
}

// MARK: 429: rates, never money

extension Problem {
    /// - Parameter headers: the `x-ratelimit-*` fields.
    package static func rateLimited(_ message: String, retryAfter: Duration, headers: HeaderBlock = [:]) -> Problem {
        Problem(429, "rate_limited", .rateLimit, message, headers: headers, retryAfter: retryAfter)
    }
}

// MARK: 5xx: us, and those behind us

extension Problem {
    package static var internalError: Problem {
        Problem(500, "internal_error", .server, "Internal error. If it persists, report the x-request-id of this answer.")
    }

    /// - Parameter upstreamStatus: what the provider answered, when it did.
    package static func providerError(_ provider: String, _ message: String, upstreamStatus: Int? = nil) -> Problem {
        Problem(
            502, "provider_error", .server, message,
            fields: [("provider", .text(provider))] + (upstreamStatus.map { [("provider_status", .integer(Int64($0)))] } ?? []))
    }
    package static func providerTimeout(_ provider: String) -> Problem {
        Problem(
            504, "provider_timeout", .server, "The provider '\(provider)' did not answer in time.", fields: [("provider", .text(provider))])
    }
    package static func providerDisabled(_ provider: String) -> Problem {
        Problem(
            503, "provider_disabled", .server, "The provider '\(provider)' is disabled.", fields: [("provider", .text(provider))],
            retryAfter: .seconds(60))
    }
    /// The account has the credits, but running calls hold them. The same request may succeed when
    /// they end.
    package static var creditsHeld: Problem {
        Problem(
            503, "credits_held", .server, "Other calls of this account hold the credits. Try again when they have ended.",
            retryAfter: .seconds(2))
    }
    package static var ledgerUnavailable: Problem {
        Problem(503, "ledger_unavailable", .server, "The ledger is unavailable; retry later.", retryAfter: .seconds(2))
    }
    /// The answer exists, but neither the broker nor the outbox confirmed its charge. A client that
    /// repeats the call could pay twice.
    package static func chargeUnconfirmed(_ charge: String) -> Problem {
        Problem(
            503, "ledger_unavailable", .server,
            "The answer could not be delivered because its charge was not confirmed. It may still be charged as \(charge).",
            fields: [("charge_id", .text(charge))], headers: ["x-should-retry": "false"])
    }
    package static func unavailable(_ message: String) -> Problem {
        Problem(503, "unavailable", .server, message, retryAfter: .seconds(2))
    }
    package static func overloaded(retryAfter: Duration = .seconds(1)) -> Problem {
        Problem(503, "overloaded", .server, "The server is overloaded; retry later.", retryAfter: retryAfter)
    }
}
