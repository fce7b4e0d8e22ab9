package import HTTPWire
import Values

/// A refusal: a code with its message and its parameters. Handlers throw it, and the error shape of a
/// row encodes it.
package struct Problem: Error, Sendable {
    /// A further member of the error object.
    package enum Field: Sendable {
        case text(String)
        case integer(Int64)
        /// A JSON number in its own characters: amounts are exact.
        case number(String)
        case bool(Bool)
    }

    package let code: ErrorCode
    package var message: String
    package var param: String?
    package var fields: [(name: String, value: Field)]
    package var headers: HeaderBlock

    package var status: Int { code.status }

    /// - Parameter isRetriable: says whether the same request may succeed later; by default the code
    ///   decides. If not, `x-should-retry: false` stops the retries of the usual SDKs.
    package init(
        _ code: ErrorCode, _ message: String, param: String? = nil, fields: [(name: String, value: Field)] = [],
        headers: HeaderBlock = [:], isRetriable: Bool? = nil, retryAfter: Duration? = nil
    ) {
        self.code = code
        self.message = message
        self.param = param
        self.fields = fields
        self.headers = headers
        if let challenge = code.challenge { self.headers.add("www-authenticate", challenge) }
        if !(isRetriable ?? code.isRetriable) { self.headers.add("x-should-retry", "false") }
        if let retryAfter {
            let milliseconds = max(0, retryAfter.wholeMilliseconds)
            self.headers.add("retry-after", Int((milliseconds + 999) / 1_000))
            self.headers.add("retry-after-ms", Int(milliseconds))
        }
    }
}

// MARK: 400: the request

extension Problem {
    package static func invalidRequest(_ message: String, param: String? = nil) -> Problem {
        Problem(.invalidRequest, message, param: param)
    }

    package static func invalidJSON(_ message: String) -> Problem { Problem(.invalidJSON, message) }

    package static func unknownParameter(_ name: String) -> Problem {
        Problem(.unknownParameter, "Unknown parameter: '\(name)'.", param: name)
    }

    package static func missingParameter(_ name: String) -> Problem {
        Problem(.missingParameter, "Missing required parameter: '\(name)'.", param: name)
    }
}

// MARK: 401 and 403: who asks

extension Problem {
    package static var invalidAPIKey: Problem { Problem(.invalidAPIKey, "Incorrect or missing API key or access token.") }
    package static var tokenExpired: Problem { Problem(.tokenExpired, "The access token has expired.") }
    package static var tokenRevoked: Problem { Problem(.tokenRevoked, "The access token or API key has been revoked.") }
    package static var invalidCredentials: Problem { Problem(.invalidCredentials, "Email or password is wrong.") }
    package static var invalidRefreshToken: Problem {
        Problem(.invalidRefreshToken, "The refresh token is not valid; sign in again.")
    }

    package static var serviceTokenRequired: Problem {
        Problem(
            .serviceTokenRequired, "The Authorization header must have a service token; sessions and API keys are not accepted.")
    }
    package static var adminRequired: Problem { Problem(.adminRequired, "Only an administrator may do this.") }
    package static func csrfFailed(_ message: String, param: String) -> Problem { Problem(.csrfFailed, message, param: param) }
    package static var userDeactivated: Problem { Problem(.userDeactivated, "This account is deactivated.") }
    /// A service token names a user that auth does not have.
    package static var unknownUser: Problem {
        Problem(.notFound, "The user of x-on-behalf-of does not exist; send the id of a user.", param: "x-on-behalf-of")
    }
    package static var sessionRequired: Problem {
        Problem(
            .sessionRequired, "This needs the session token of a signed-in user; API keys and service tokens are not accepted.")
    }
    package static var reauthenticationRequired: Problem {
        Problem(.reauthenticationRequired, "The last sign-in is too long ago; sign in again.")
    }
    package static var serviceRequired: Problem {
        Problem(.insufficientScope, "This needs a service token; sessions and API keys are not accepted.")
    }
    package static var sessionTooNarrow: Problem {
        Problem(.insufficientScope, "This needs a sign-in without a restriction to scopes.")
    }
    package static func insufficientScope(_ scope: String) -> Problem {
        Problem(.insufficientScope, "This key or token lacks the scope '\(scope)'.")
    }
}

// MARK: OAuth 2.0

extension Problem {
    package static func invalidGrant(_ message: String) -> Problem { Problem(.invalidGrant, message) }
    package static var unknownClient: Problem {
        Problem(.unknownClient, "`client_id` is of no known client.", param: "client_id")
    }
    /// The client named itself in the Authorization header (RFC 6749 §5.2).
    package static var invalidClient: Problem {
        Problem(.invalidClient, "The Authorization header must name a known client, with an empty secret.")
    }
    package static var unsupportedGrantType: Problem {
        Problem(
            .unsupportedGrantType, "`grant_type` must be refresh_token or urn:ietf:params:oauth:grant-type:device_code.",
            param: "grant_type")
    }
}

// MARK: 402: money, never to be retried

extension Problem {
    /// Amounts are decimals in credits.
    package static func insufficientCredits(balance: String, required: String, topUpURL: String) -> Problem {
        Problem(
            .insufficientCredits, "Not enough credits: \(required) needed, \(balance) available.",
            fields: [("balance", .number(balance)), ("required", .number(required)), ("top_up_url", .text(topUpURL))])
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
            .spendingLimitReached, "The \(period.rawValue) spending limit of \(whose) is reached. It resets at \(resetsAt).",
            fields: [
                ("limit", .text(period.rawValue)), ("limit_scope", .text(owner.rawValue)), ("resets_at", .text(resetsAt)),
            ])
    }
}

// MARK: 404, 405, 409: what is asked for

extension Problem {
    package static var notFound: Problem { Problem(.notFound, "Not found.") }
    package static func notFound(_ what: String) -> Problem { Problem(.notFound, "\(what) does not exist.") }
    package static func modelNotFound(_ model: String) -> Problem {
        Problem(.modelNotFound, "The model '\(model)' does not exist or is not enabled.", param: "model")
    }

    package static func modelNotPriced(_ model: String) -> Problem {
        Problem(.modelNotPriced, "The model '\(model)' has no price; use another model.", param: "model")
    }

    /// - Parameter allow: the methods that are served, comma-separated.
    package static func methodNotAllowed(allow: String) -> Problem {
        Problem(.methodNotAllowed, "Method not allowed; allowed: \(allow).", headers: ["allow": allow])
    }

    package static var idempotencyConflict: Problem {
        Problem(.idempotencyConflict, "This idempotency key was used with another request.")
    }
    package static var idempotencyInProgress: Problem {
        Problem(
            .idempotencyInProgress, "The call with this idempotency key is still running; retry later.", retryAfter: .seconds(2))
    }
    package static func conflict(_ message: String) -> Problem { Problem(.conflict, message) }
    package static var emailTaken: Problem {
        Problem(.emailTaken, "This email address is registered already.", param: "email")
    }
}

// MARK: 408, 413, 414, 417, 431: the request's shape on the wire

extension Problem {
    package static var requestTimeout: Problem {
        Problem(.requestTimeout, "The request did not arrive in time.")
    }
    package static func payloadTooLarge(limit: Int) -> Problem {
        Problem(
            .payloadTooLarge, "The request body is larger than \(limit) bytes.",
            fields: [("limit", .integer(Int64(limit)))])
    }
    package static func uriTooLong(limit: Int) -> Problem {
        Problem(
            .uriTooLong, "The request target is longer than \(limit) bytes.",
            fields: [("limit", .integer(Int64(limit)))])
    }
    package static var expectationFailed: Problem {
        Problem(.expectationFailed, "Only 'Expect: 100-continue' is understood.")
    }
    package static func headersTooLarge(bytes: Int, fields: Int) -> Problem {
        Problem(
            .headersTooLarge, "The request head is larger than \(bytes) bytes or \(fields) fields.",
            fields: [("limit", .integer(Int64(bytes)))])
    }
}

// MARK: 429: rates, never money

extension Problem {
    /// - Parameter headers: the `x-ratelimit-*` fields.
    package static func rateLimited(_ message: String, retryAfter: Duration, headers: HeaderBlock = [:]) -> Problem {
        Problem(.rateLimited, message, headers: headers, retryAfter: retryAfter)
    }
}

// MARK: 5xx: us, and those behind us

extension Problem {
    package static var internalError: Problem {
        Problem(.internalError, "Internal error. If it persists, report the x-request-id of this answer.")
    }

    /// - Parameter upstreamStatus: what the provider answered, when it did.
    package static func providerError(_ provider: String, _ message: String, upstreamStatus: Int? = nil) -> Problem {
        Problem(
            .providerError, message,
            fields: [("provider", .text(provider))] + (upstreamStatus.map { [("provider_status", .integer(Int64($0)))] } ?? []))
    }
    package static func providerTimeout(_ provider: String) -> Problem {
        Problem(
            .providerTimeout, "The provider '\(provider)' did not answer in time.", fields: [("provider", .text(provider))])
    }
    package static func providerDisabled(_ provider: String) -> Problem {
        Problem(
            .providerDisabled, "The provider '\(provider)' is disabled.", fields: [("provider", .text(provider))],
            retryAfter: .seconds(60))
    }
    /// The account has the credits, but running calls hold them. The same request may succeed when
    /// they end.
    package static var creditsHeld: Problem {
        Problem(
            .creditsHeld, "Other calls of this account hold the credits. Try again when they have ended.",
            retryAfter: .seconds(2))
    }
    package static var ledgerUnavailable: Problem {
        Problem(.ledgerUnavailable, "The ledger is unavailable; retry later.", retryAfter: .seconds(2))
    }
    /// The answer exists, but neither the broker nor the outbox confirmed its charge. A client that
    /// repeats the call could pay twice.
    package static func chargeUnconfirmed(_ charge: String) -> Problem {
        Problem(
            .ledgerUnavailable,
            "The answer could not be delivered because its charge was not confirmed. It may still be charged as \(charge).",
            fields: [("charge_id", .text(charge))], isRetriable: false)
    }
    package static func unavailable(_ message: String) -> Problem {
        Problem(.unavailable, message, retryAfter: .seconds(2))
    }
    package static func overloaded(retryAfter: Duration = .seconds(1)) -> Problem {
        Problem(.overloaded, "The server is overloaded; retry later.", retryAfter: retryAfter)
    }
}
