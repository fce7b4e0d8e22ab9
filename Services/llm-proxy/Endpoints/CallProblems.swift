import Contracts
import HTTP
import HTTPWire
import JSON
import Values

extension HoldRefusal {
    func problem(topUpURL: String) -> Problem {
        switch self {
        case .insufficientCredits(let balance, let required):
            .insufficientCredits(balance: balance.description, required: required.description, topUpURL: topUpURL)
        case .limitReached(let limit):
            .spendingLimitReached(
                limit.period == .day ? .daily : .monthly, of: limit.scope == .account ? .account : .apiKey,
                resetsAt: limit.resetsAt.description)
        case .creditsHeld: .creditsHeld
        case .ledgerUnavailable, .holdGone: .ledgerUnavailable
        case .rejected: .internalError
        }
    }
}

extension ProviderFailure {
    func problem(of provider: String, on surface: Surface) -> Problem {
        var problem =
            switch kind {
            case .unreachable, .cancelled:
                Problem.providerError(provider, "The provider '\(provider)' could not be reached or broke off.")
            case .timedOut: Problem.providerTimeout(provider)
            case .saturated: Problem.overloaded()
            case .refusedRequest(413, _, _):
                Problem.invalidRequest("The provider '\(provider)' takes no request of this size; send less.", param: surface.promptMember)
            case .refusedRequest(_, let message, let param):
                Problem.invalidRequest(message ?? "The provider '\(provider)' refused the request.", param: param)
            case .refused(let status, _), .accountRefused(let status):
                Problem.providerError(provider, "The provider '\(provider)' answered \(status).", upstreamStatus: status)
            case .wrongAnswer(let reason): Problem.providerError(provider, "The provider '\(provider)' answered \(reason).")
            case .failedMidStream: Problem.providerError(provider, "The provider '\(provider)' reported an error in its stream.")
            case .failing: Problem.providerError(provider, "The provider '\(provider)' fails at present; retry later.")
            case .disabled: Problem.providerDisabled(provider)
            }
        if case .failing(let wait) = kind { problem.headers.add("retry-after", Int(max(1, (wait.wholeMilliseconds + 999) / 1_000))) }
        if case .refused(_, let seconds?) = kind { problem.headers.add("retry-after", seconds) }
        // SDKs repeat a 502 unless the answer says that it is useless.
        if problem.status == 502, !isRetriable { problem.headers.add("x-should-retry", "false") }
        return problem
    }
}

extension Catalogue {
    /// Returns the reason why a model without a route cannot be called.
    func problem(of model: String) -> Problem {
        if let provider = switchedOff[model] { return .providerDisabled(provider) }
        return unpriced.contains(model) ? .modelNotPriced(model) : .modelNotFound(model)
    }
}

extension Problem {
    init(_ refusal: RequestRefusal) {
        self =
            switch refusal {
            case .json(let error): Problem(error)
            case .invalid(let param, let message): .invalidRequest(message, param: param)
            }
    }

    static func wrongSurface(_ surface: Surface, of model: Catalogue.Model) -> Problem {
        let paths = Surface.allCases.filter(model.surfaces.contains).map(\.path)
        return .invalidRequest(
            "The model '\(model.id)' is not served by \(surface.path); call \(paths.joined(separator: " or ")).", param: "model")
    }

    static func answerLost(_ charge: String) -> Problem {
        Problem(
            .idempotencyConflict,
            "The call with this key was made, but its answer was not kept; see its receipt, and use a new key for a new call.",
            fields: [("charge_id", .text(charge))])
    }

    static func providerBeyondLimit(_ provider: String) -> Problem {
        .providerError(provider, "The provider '\(provider)' went on beyond the limit of the answer.")
    }
}
