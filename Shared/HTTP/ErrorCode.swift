/// The codes of all refusals. A client may rely on a code for ever.
///
/// `docs/errors.md` has a row for each, which a test compares with this file.
package enum ErrorCode: String, Sendable, CaseIterable {
    case invalidRequest = "invalid_request"
    case invalidJSON = "invalid_json"
    case unknownParameter = "unknown_parameter"
    case missingParameter = "missing_parameter"
    case modelNotPriced = "model_not_priced"

    // The errors of OAuth 2.0 (RFC 6749 §5.2, RFC 8628 §3.5).
    case authorizationPending = "authorization_pending"
    case slowDown = "slow_down"
    case accessDenied = "access_denied"
    case expiredToken = "expired_token"
    case invalidGrant = "invalid_grant"
    case invalidScope = "invalid_scope"
    case unknownClient = "unknown_client"
    case unsupportedGrantType = "unsupported_grant_type"
    case invalidClient = "invalid_client"

    case invalidAPIKey = "invalid_api_key"
    case tokenExpired = "token_expired"
    case tokenRevoked = "token_revoked"
    case invalidCredentials = "invalid_credentials"
    case invalidRefreshToken = "invalid_refresh_token"
    case serviceTokenRequired = "service_token_required"

    case insufficientCredits = "insufficient_credits"
    case spendingLimitReached = "spending_limit_reached"
    case paymentFailed = "payment_failed"

    case adminRequired = "admin_required"
    case csrfFailed = "csrf_failed"
    case emailNotVerified = "email_not_verified"
    case purchasesSuspended = "purchases_suspended"
    case insufficientScope = "insufficient_scope"
    case reauthenticationRequired = "reauthentication_required"
    case sessionRequired = "session_required"
    case userDeactivated = "user_deactivated"

    case modelNotFound = "model_not_found"
    case notFound = "not_found"
    case methodNotAllowed = "method_not_allowed"
    case requestTimeout = "request_timeout"
    case conflict
    case emailTaken = "email_taken"
    case alreadySubscribed = "already_subscribed"
    case idempotencyConflict = "idempotency_conflict"
    case idempotencyInProgress = "idempotency_in_progress"
    case payloadTooLarge = "payload_too_large"
    case uriTooLong = "uri_too_long"
    case expectationFailed = "expectation_failed"
    case headersTooLarge = "headers_too_large"
    case rateLimited = "rate_limited"

    case internalError = "internal_error"
    case providerError = "provider_error"
    case creditsHeld = "credits_held"
    case ledgerUnavailable = "ledger_unavailable"
    case overloaded
    case providerDisabled = "provider_disabled"
    case unavailable
    /// Answered by nginx only.
    case gatewayTimeout = "gateway_timeout"
    case providerTimeout = "provider_timeout"

    /// The status of HTTP.
    package var status: Int {
        switch self {
        case .invalidRequest, .invalidJSON, .unknownParameter, .missingParameter, .modelNotPriced: 400
        case .authorizationPending, .slowDown, .accessDenied, .expiredToken, .invalidGrant, .invalidScope, .unknownClient,
            .unsupportedGrantType:
            400
        case .invalidClient, .invalidAPIKey, .tokenExpired, .tokenRevoked, .invalidCredentials, .invalidRefreshToken,
            .serviceTokenRequired:
            401
        case .insufficientCredits, .spendingLimitReached, .paymentFailed: 402
        case .adminRequired, .csrfFailed, .emailNotVerified, .insufficientScope, .purchasesSuspended, .reauthenticationRequired,
            .sessionRequired, .userDeactivated:
            403
        case .modelNotFound, .notFound: 404
        case .methodNotAllowed: 405
        case .requestTimeout: 408
        case .alreadySubscribed, .conflict, .emailTaken, .idempotencyConflict, .idempotencyInProgress: 409
        case .payloadTooLarge: 413
        case .uriTooLong: 414
        case .expectationFailed: 417
        case .rateLimited: 429
        case .headersTooLarge: 431
        case .internalError: 500
        case .providerError: 502
        case .creditsHeld, .ledgerUnavailable, .overloaded, .providerDisabled, .unavailable: 503
        case .gatewayTimeout, .providerTimeout: 504
        }
    }

    /// OpenAI's type of the error.
    package var type: String {
        switch status {
        case 401: "authentication_error"
        case 402 where self == .paymentFailed: "payment_error"
        case 402: "insufficient_credits"
        case 403: "permission_error"
        case 429: "rate_limit_error"
        case 500...: "server_error"
        default: "invalid_request_error"
        }
    }

    /// True if the same request may succeed later.
    package var isRetriable: Bool {
        status >= 500 || [.rateLimited, .requestTimeout, .idempotencyInProgress, .authorizationPending, .slowDown].contains(self)
    }

    /// The value of `www-authenticate` (RFC 6750 §3; RFC 6749 §5.2 for a client). Nil for a status
    /// other than 401.
    var challenge: String? {
        guard status == 401 else { return nil }
        if self == .invalidClient { return "Basic realm=\"oauth\"" }
        return self == .invalidCredentials ? "Bearer" : "Bearer error=\"invalid_token\""
    }
}
