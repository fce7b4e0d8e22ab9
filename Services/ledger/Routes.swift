import HTTP
import HTTPWire

/// The ledger's HTTP door. Amounts are JSON numbers in credits with at most 9 fraction digits, exact.
/// `Routes/` has the handlers, `Reads/` has their queries.
extension Routes: HTTPDoor {
    static let table: [Route<Routes>] = [
        Route(.get, ["/v1/credits"], access: .credential(scope: "credits"), Routes.balance),
        Route(.get, ["/api/credits/balance"], access: .credential(scope: "credits"), Routes.balance),
        Route(.get, ["/api/credits/history", "/api/credits/transactions"], access: .credential(scope: "credits"), Routes.history),
        Route(.get, ["/api/credits/usage/summary"], access: .credential(scope: "credits"), Routes.usageSummary),
        Route(.get, ["/api/credits/usage/daily"], access: .credential(scope: "credits"), Routes.dailyUsage),
        Route(.get, ["/api/credits/usage/models"], access: .credential(scope: "credits"), Routes.usageByModel),
        Route(.get, ["/api/credits/usage/operations"], access: .credential(scope: "credits"), Routes.usageByOperation),
        Route(.get, ["/api/credits/limits"], access: .credential(scope: "credits"), Routes.limits),
        Route(.put, ["/api/credits/limits"], access: .session(), Routes.setLimits),
        Route(.post, ["/api/credits/deduct"], access: .service, bodyBytesMax: 32_768, Routes.deduct),

        Route(.get, ["/api/admin/credits/balance"], access: .admin(), Routes.anyBalance),
        Route(.get, ["/api/admin/credits/history"], access: .admin(), Routes.anyHistory),
        Route(.get, ["/api/admin/credits/usage"], access: .admin(), Routes.everybodysUsage),
        Route(.get, ["/api/admin/credits/totals"], access: .admin(), Routes.totals),
        Route(.post, ["/api/admin/credits/adjust"], access: .admin(freshWithin: .seconds(900)), Routes.adjust),
        Route(.get, ["/api/admin/credits/audit"], access: .admin(), Routes.audit),

        Route(
            .get, ["/api/trpc/credits.balance", "/api/trpc/credits.history", "/api/trpc/{procedures}"],
            access: .credential(scope: "credits"), errors: .trpc, Routes.procedures),

        // Pages.
        Route(.get, ["/dashboard"], access: .session(), errors: .page, Routes.showDashboard),
        Route(.get, ["/transactions"], access: .session(), errors: .page, Routes.showTransactions),
        Route(.get, ["/transactions/{id}"], access: .session(), errors: .page, Routes.showReceipt),
        Route(.get, ["/settings/limits"], access: .session(), errors: .page, Routes.showLimits),
        Route(.post, ["/settings/limits"], access: .session(), errors: .page, Routes.submitLimits),
        Route(.get, ["/admin/credits"], access: .admin(), errors: .page, Routes.findAccount),
        Route(.get, ["/admin/credits/{id}"], access: .admin(), errors: .page, Routes.showAccount),
        Route(.get, ["/admin/credits/{id}/transactions"], access: .admin(), errors: .page, Routes.showAccountTransactions),
        Route(.get, ["/admin/credits/{id}/transactions/{charge}"], access: .admin(), errors: .page, Routes.showAccountReceipt),
        Route(.get, ["/admin/credits/{id}/adjust"], access: .admin(freshWithin: .seconds(900)), errors: .page, Routes.showAdjustment),
        Route(.post, ["/admin/credits/{id}/adjust"], access: .admin(freshWithin: .seconds(900)), errors: .page, Routes.submitAdjustment),
        Route(.get, ["/admin/usage"], access: .admin(), errors: .page, Routes.showUsage),
        Route(.get, ["/assets/ledger/{file}"], access: .public, errors: .page, Routes.showAsset),
    ]
}
