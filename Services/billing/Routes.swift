import HTTP
import HTTPWire
import Identity
import Postgres
import Telemetry

/// The HTTP door of billing. Amounts of money are JSON numbers in USD with 2 fraction digits, exact.
/// `Routes/` has the handlers. The use cases know no HTTP.
struct Routes: HTTPDoor {
    let billing: UseCases
    let gate: CallerGate<Principal>
    let log: Logger

    var pool: PostgresPool { billing.pool }

    static let table: [Route<Routes>] = [
        Route(.get, ["/api/payment/config"], access: .public, Routes.config),
        Route(.post, ["/api/payment/checkout/credits"], access: .session(), Routes.checkOutCredits),
        Route(.post, ["/api/payment/checkout/subscription"], access: .session(), Routes.checkOutSubscription),
        Route(.get, ["/api/payment/checkout/{session_id}"], access: .session(), Routes.getCheckout),
        Route(.get, ["/api/payment/subscription"], access: .session(), Routes.getSubscription),
        Route(.post, ["/api/payment/subscription/cancel"], access: .session(), Routes.cancelSubscription),
        Route(.post, ["/api/payment/subscription/resume"], access: .session(), Routes.resumeSubscription),
        Route(.post, ["/api/payment/subscription/preview"], access: .session(), Routes.previewPlanChange),
        Route(.post, ["/api/payment/subscription/change-plan"], access: .session(), Routes.changePlan),
        Route(.post, ["/api/payment/billing-portal"], access: .session(), Routes.openPortal),
        Route(.get, ["/api/payment/payment-methods"], access: .session(), Routes.listPaymentMethods),
        Route(.get, ["/api/payment/invoices"], access: .session(), Routes.listInvoices),

        Route(
            .post, ["/api/webhooks/stripe"], access: .public, bodyBytesMax: EventIntake.bodyBytesMax, Routes.receiveStripeEvent),
        Route(.get, ["/api/admin/payments/events"], access: .admin(), Routes.listEvents),
        Route(.post, ["/api/admin/payments/events/{id}/replay"], access: .admin(freshWithin: .seconds(900)), Routes.replayEvent),

        Route(.get, ["/api/credits/plans"], access: .public, Routes.plans),
        Route(.get, ["/api/credits/packages"], access: .public, Routes.packages),
        Route(.get, ["/api/trpc/credits.packages"], access: .public, errors: .trpc, Routes.procedures),

        Route(.get, ["/api/admin/plans"], access: .admin(), Routes.allPlans),
        Route(.put, ["/api/admin/plans"], access: .admin(freshWithin: .seconds(900)), bodyBytesMax: 65_536, Routes.putPlans),
        Route(.get, ["/api/admin/packages"], access: .admin(), Routes.allPackages),
        Route(.put, ["/api/admin/packages"], access: .admin(freshWithin: .seconds(900)), bodyBytesMax: 65_536, Routes.putPackages),
    ]
}
