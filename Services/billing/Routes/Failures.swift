import HTTP
import Postgres
import Telemetry

// The errors of dependencies, and refusals that several handlers share.
extension Routes {
    /// Maps a lost database and an unavailable Stripe to 503.
    func problem(for error: any Error, in trace: TraceContext) -> Problem? {
        switch error {
        case let error as PostgresError where error.isTransient:
            log.warning("request failed: database unavailable", error: error, trace: trace)
            return .unavailable("The database is unavailable; retry later.")
        case let error as StripeError:
            log.warning("request failed: stripe", error: error, trace: trace)
            return switch error {
            case .unavailable, .outcomeUnknown: .stripeUnavailable
            case .refused(let refusal) where refusal.status == 402: .paymentFailed(refusal.message)
            case .refused(let refusal) where refusal.status >= 500: .stripeUnavailable
            case .refused, .malformed: nil
            }
        case let failure as Settlement.Failure:
            log.warning("request failed: settlement", error: failure, trace: trace)
            return .unavailable("The payment needs to be looked at; retry later or write to support.")
        default: return nil
        }
    }
}

extension Problem {
    static var stripeUnavailable: Problem {
        .unavailable("The payment provider does not answer. Nothing is lost; repeat the request.")
    }

    static var purchasesSuspended: Problem {
        Problem(.purchasesSuspended, "A payment of this account is disputed. Purchases are possible again when it is decided.")
    }

    static var tooManyOrders: Problem {
        .rateLimited(
            "The account has \(Checkout.openOrdersMax) unpaid orders. Pay one of them, or wait until one ends: each does after two hours.",
            retryAfter: .seconds(600))
    }

    static func paymentFailed(_ message: String) -> Problem { Problem(.paymentFailed, message) }

    static func refused(_ refusal: PlanChange.Refusal) -> Problem {
        switch refusal {
        case .alreadySo: .invalidRequest("The subscription has this plan and interval already.", param: "plan")
        case .yearlyToMonthly:
            .invalidRequest(
                "A yearly subscription cannot become monthly. Cancel at the period's end first, then subscribe monthly.", param: "interval")
        case .planAndInterval:
            .invalidRequest("A lower plan and another interval are two changes. Change the plan first.", param: "plan")
        case .pending: .conflict("An earlier change waits for its payment. Pay or void its invoice first.")
        case .ending: .conflict("The subscription ends at the end of its period. Resume it first.")
        case .unpaid: .conflict("The last payment failed. Update the payment method in the billing portal first.")
        case .unknownPrice: .conflict("The subscription has a price that is not sold here. Write to support to change its plan.")
        case .downgradeOrdered: .conflict("A lower plan is ordered for the next period. Change back first.")
        }
    }
}
