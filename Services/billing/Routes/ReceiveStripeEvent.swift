import HTTP
import HTTPWire
import JSON
import Postgres
import Telemetry

extension Routes {
    /// Takes a delivery of Stripe's. 200 means: stored. Stripe repeats whatever is not 200, for up to three days.
    func receiveStripeEvent(_ request: Request) async throws -> Response {
        let signatures = request.headers.strings(for: "stripe-signature")
        guard signatures.count == 1 else {
            throw Problem.invalidRequest("Exactly one Stripe-Signature header is required.", param: "stripe-signature")
        }
        let outcome: EventIntake.Outcome
        do {
            outcome = try await billing.intake.receive(request.body, signature: signatures[0])
        } catch let error as PostgresError {
            log.error("event not stored", error: error, trace: request.trace)
            throw Problem.unavailable("The event could not be stored; deliver it again.")
        }
        switch outcome {
        case .stored: return .object(200) { $0.field("received", true) }
        case .badSignature(let flaw):
            throw Problem.invalidRequest(
                flaw == .stale || flaw == .future
                    ? "The signature must be at most 300 seconds old." : "The signature does not fit the body.", param: "stripe-signature")
        case .notAnEvent(let reason): throw Problem.invalidRequest("The body is no snapshot event: \(reason)")
        }
    }
}
