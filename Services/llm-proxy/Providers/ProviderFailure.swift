/// The reason why a provider's call gave no answer, or not a whole one.
struct ProviderFailure: Error, Hashable, CustomStringConvertible {
    enum Kind: Hashable, Sendable {
        /// The provider could not be reached, or broke off.
        case unreachable
        case timedOut
        /// All connections of this replica to the provider are busy.
        case saturated
        /// The gateway ended the call.
        case cancelled
        /// The provider refused the request itself. Its message is for the client.
        case refusedRequest(status: Int, message: String?, param: String?)
        /// The provider refused the call for another reason than the request.
        case refused(status: Int, retryAfter: Int?)
        /// The provider refused the operator's account: it has no credit or quota left, or is disabled.
        case accountRefused(status: Int)
        /// The answer is not of the kind that was asked for. The text is the gateway's own.
        case wrongAnswer(String)
        /// The provider reported an error inside its stream. Its text may hold a secret, so it is dropped.
        case failedMidStream
        /// The provider failed many calls in a row, and is not called for a while.
        case failing(wait: Duration)
        /// The provider has no key, or its row names another address than the configuration.
        case disabled(String)
    }

    enum Fault: String, Sendable { case client, provider, `operator`, gateway }

    var kind: Kind
    /// The cause for the log. It holds nothing of an answer.
    var cause = ""

    init(_ kind: Kind, cause: String = "") { (self.kind, self.cause) = (kind, cause) }

    var fault: Fault {
        switch kind {
        case .refusedRequest: .client
        case .disabled, .accountRefused: .operator
        case .refused(let status, _): [401, 402, 403, 404].contains(status) ? .operator : .provider
        case .saturated, .cancelled: .gateway
        case .unreachable, .timedOut, .wrongAnswer, .failedMidStream, .failing: .provider
        }
    }

    /// True if the same request may succeed later.
    var isRetriable: Bool {
        switch fault {
        case .client, .operator: false
        case .provider, .gateway: true
        }
    }

    /// True if another provider, or the same one later, may serve the same request.
    var isWorthAnotherAttempt: Bool {
        switch kind {
        case .refusedRequest, .cancelled, .failedMidStream: false
        default: true
        }
    }

    /// The class of the failure, as metrics name it.
    var word: String {
        switch kind {
        case .unreachable: "unreachable"
        case .timedOut: "timeout"
        case .saturated: "saturated"
        case .cancelled: "cancelled"
        case .refusedRequest: "request_refused"
        case .refused(let status, _): status == 429 ? "rate_limited" : status >= 500 ? "server_error" : "refused"
        case .accountRefused: "account_refused"
        case .wrongAnswer: "wrong_answer"
        case .failedMidStream: "failed_mid_stream"
        case .failing: "breaker_open"
        case .disabled: "disabled"
        }
    }

    var description: String {
        switch kind {
        // The provider's text may quote the request.
        case .refusedRequest(let status, _, _): "status \(status)"
        case .accountRefused(let status): "account_refused, status \(status)"
        default: cause.isEmpty ? "\(kind)" : cause
        }
    }
}
