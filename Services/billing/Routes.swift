import HTTP
import HTTPWire
import Identity
import Postgres
import RateLimit
import Telemetry
import Values
import Web

/// The HTTP door of billing. Amounts of money are JSON numbers in USD with 2 fraction digits, exact.
/// `Routes/` has the handlers. The use cases know no HTTP.
struct Routes: HTTPDoor {
    let billing: UseCases
    let gate: CallerGate<Principal>
    let arrivals: Arrivals
    /// Nil when the ledger does not say.
    let balance: @Sendable (AccountID) async -> Balance?
    /// The pages.
    let site: Site
    /// The requests of a user that have Stripe asked: sixty, regained in a minute. Stripe limits the calls of all users together.
    private let asked = RateLimiter<UserID>(burst: 60, perSecond: 1)
    let log: Logger

    /// - Parameter charge: asks the ledger about a charge.
    init(
        billing: UseCases, gate: CallerGate<Principal>, balance: @escaping @Sendable (AccountID) async -> Balance?,
        charge: @escaping Arrivals.Ask, log: Logger
    ) {
        (self.billing, self.gate, self.balance, self.log) = (billing, gate, balance, log)
        arrivals = Arrivals(pool: billing.pool, log: log, ask: charge)
        site = Site(
            service: "billing", publicURL: billing.publicURL, formOrigins: billing.settings.pageOrigins, clock: billing.clock)
    }

    var pool: PostgresPool { billing.pool }

    /// A handler that asks Stripe, within the limit of its user.
    private static func asking(
        _ handler: @escaping @Sendable (Routes) -> Route<Routes>.CallerHandler
    ) -> @Sendable (Routes) -> Route<Routes>.CallerHandler {
        { routes in
            { request, caller in
                if let wait = routes.asked.take(caller.userID, now: routes.billing.clock()) {
                    throw Problem.rateLimited(
                        "Too many requests about payments. Repeat it after the time in retry-after.", retryAfter: wait)
                }
                return try await handler(routes)(request, caller)
            }
        }
    }

    static let table: [Route<Routes>] = [
        Route(.get, ["/api/payment/config"], access: .public, Routes.config),
        Route(.post, ["/api/payment/checkout/credits"], access: .session(), asking(Routes.checkOutCredits)),
        Route(.post, ["/api/payment/checkout/subscription"], access: .session(), asking(Routes.checkOutSubscription)),
        Route(.get, ["/api/payment/checkout/{session_id}"], access: .session(), Routes.getCheckout),
        Route(.get, ["/api/payment/subscription"], access: .session(), Routes.getSubscription),
        Route(.post, ["/api/payment/subscription/cancel"], access: .session(), asking(Routes.cancelSubscription)),
        Route(.post, ["/api/payment/subscription/resume"], access: .session(), asking(Routes.resumeSubscription)),
        Route(.post, ["/api/payment/subscription/preview"], access: .session(), asking(Routes.previewPlanChange)),
        Route(.post, ["/api/payment/subscription/change-plan"], access: .session(), asking(Routes.changePlan)),
        Route(.post, ["/api/payment/billing-portal"], access: .session(), asking(Routes.openPortal)),
        Route(.get, ["/api/payment/payment-methods"], access: .session(), asking(Routes.listPaymentMethods)),
        Route(.get, ["/api/payment/invoices"], access: .session(), asking(Routes.listInvoices)),

        Route(
            .post, ["/api/webhooks/stripe"], access: .public, bodyBytesMax: EventIntake.bodyBytesMax, Routes.receiveStripeEvent),
        Route(.get, ["/api/admin/payments/events"], access: .admin(), Routes.listEvents),
        Route(.post, ["/api/admin/payments/events/{id}/replay"], access: .admin(freshWithin: .seconds(900)), Routes.replayEvent),
        Route(.get, ["/api/admin/payments/reviews"], access: .admin(), Routes.listReviews),
        Route(.post, ["/api/admin/payments/reviews/{id}/decide"], access: .admin(freshWithin: .seconds(900)), Routes.decideReview),
        Route(.post, ["/api/admin/payments/reviews/{id}/close"], access: .admin(freshWithin: .seconds(900)), Routes.closeReview),

        Route(.get, ["/api/credits/plans"], access: .public, Routes.plans),
        Route(.get, ["/api/credits/packages"], access: .public, Routes.packages),
        Route(.get, ["/api/trpc/credits.packages"], access: .public, errors: .trpc, Routes.procedures),

        Route(.get, ["/api/admin/plans"], access: .admin(), Routes.allPlans),
        Route(.put, ["/api/admin/plans"], access: .admin(freshWithin: .seconds(900)), bodyBytesMax: 65_536, Routes.putPlans),
        Route(.get, ["/api/admin/packages"], access: .admin(), Routes.allPackages),
        Route(.put, ["/api/admin/packages"], access: .admin(freshWithin: .seconds(900)), bodyBytesMax: 65_536, Routes.putPackages),

        // Pages.
        Route(.get, ["/buy"], access: .session(), errors: .page, Routes.showBuy),
        Route(.post, ["/buy"], access: .session(), errors: .page, asking(Routes.submitBuy)),
        Route(.get, ["/buy/done"], access: .session(), errors: .page, Routes.showOrder),
        Route(.get, ["/plans"], access: .session(), errors: .page, Routes.showPlans),
        Route(.post, ["/plans"], access: .session(), errors: .page, asking(Routes.submitPlans)),
        Route(.get, ["/plans/change"], access: .session(), errors: .page, asking(Routes.askPlanChange)),
        Route(.post, ["/plans/change"], access: .session(), errors: .page, asking(Routes.submitPlanChange)),
        Route(.get, ["/plans/cancel"], access: .session(), errors: .page, Routes.askCancel),
        Route(.post, ["/plans/cancel"], access: .session(), errors: .page, asking(Routes.submitCancel)),
        Route(.get, ["/billing"], access: .session(), errors: .page, asking(Routes.showBilling)),
        Route(.post, ["/billing"], access: .session(), errors: .page, asking(Routes.submitBilling)),
        Route(.get, ["/admin/catalogue"], access: .admin(), errors: .page, Routes.showCatalogue),
        Route(
            .get, ["/admin/catalogue/plans/{id}"], access: .admin(freshWithin: .seconds(900)), errors: .page, Routes.showPlanForm),
        Route(
            .post, ["/admin/catalogue/plans/{id}"], access: .admin(freshWithin: .seconds(900)), errors: .page, Routes.submitPlanForm),
        Route(
            .get, ["/admin/catalogue/packages/{id}"], access: .admin(freshWithin: .seconds(900)), errors: .page, Routes.showPackageForm),
        Route(
            .post, ["/admin/catalogue/packages/{id}"], access: .admin(freshWithin: .seconds(900)), errors: .page,
            Routes.submitPackageForm),
        Route(.get, ["/admin/payments"], access: .admin(), errors: .page, Routes.showPayments),
        Route(.get, ["/admin/payments/{id}"], access: .admin(), errors: .page, Routes.showEvent),
        Route(.post, ["/admin/payments/reviews/{id}"], access: .admin(freshWithin: .seconds(900)), errors: .page, Routes.submitReview),
        Route(.post, ["/admin/payments/{id}"], access: .admin(freshWithin: .seconds(900)), errors: .page, Routes.submitReplay),
        Route(.get, ["/assets/billing/{file}"], access: .public, errors: .page, Routes.showAsset),
    ]

    func page(for problem: Problem, to exchange: Exchange) -> Response {
        site.page(for: problem, to: exchange, gate.knownViewer(exchange.headers))
    }

    /// The viewer of a page of a signed-in person, with the balance.
    func viewer(_ request: Request, _ caller: Principal) async -> Viewer {
        var viewer = site.viewer(request, caller)
        viewer.balance = await balance(caller.accountID)
        return viewer
    }

    func showAsset(_ request: Request) async throws -> Response { try site.assets.answer(request.pathParameters["file"]) }
}
