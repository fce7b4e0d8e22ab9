import Contracts
import HTTP
import HTTPWire
import Identity
import JSON
import Postgres
import Telemetry

/// The ledger's HTTP door (SPEC §4.3): its table, and who may come in. Amounts are JSON numbers in credits with at most 9 fraction
/// digits, exact. What each route does stands in `Routes/`, what it reads in `Reads/`.
struct Routes: Sendable {
    let store: LedgerStore
    let runner: BatchRunner
    let auditor: Auditor
    /// The slots of reads of history and usage.
    let slots: CallerSlots
    /// The slots of changes of settings. An API key can take all slots of reads, but none of these.
    let settingSlots: CallerSlots
    let authenticate: @Sendable (Request) async throws -> Principal
    /// Where a person buys more.
    let topUpURL: String
    let log: Logger
    let zones = TimeZoneNames()
    let operations = Operations()

    var router: Router {
        var router = Router()
        for path in ["/v1/credits", "/api/credits/balance"] { router.on(.get, path, access: .credential, answering(balance)) }
        for path in ["/api/credits/history", "/api/credits/transactions"] { router.on(.get, path, access: .credential, answering(history)) }
        router.on(.get, "/api/credits/usage/summary", access: .credential, answering(usageSummary))
        router.on(.get, "/api/credits/usage/daily", access: .credential, answering(dailyUsage))
        router.on(.get, "/api/credits/usage/models", access: .credential, answering(usageByModel))
        router.on(.get, "/api/credits/usage/operations", access: .credential, answering(usageByOperation))
        router.on(.get, "/api/credits/limits", access: .credential, answering(limits))
        router.on(.put, "/api/credits/limits", access: .credential, answering(setLimits))
        router.on(.post, "/api/credits/deduct", access: .credential, answering(deduct))

        router.on(.get, "/api/admin/credits/balance", access: .credential, answering(anyBalance))
        router.on(.get, "/api/admin/credits/history", access: .credential, answering(anyHistory))
        router.on(.get, "/api/admin/credits/usage", access: .credential, answering(everybodysUsage))
        router.on(.get, "/api/admin/credits/totals", access: .credential, answering(totals))
        router.on(.post, "/api/admin/credits/adjust", access: .credential, answering(adjust))
        router.on(.get, "/api/admin/credits/audit", access: .credential, answering(audit))

        router.on(.get, "/api/trpc/credits.balance", access: .credential, refusing: Self.refusedProcedures, answering(procedures))
        router.on(.get, "/api/trpc/credits.history", access: .credential, refusing: Self.refusedProcedures, answering(procedures))
        router.on(.get, "/api/trpc/{procedures}", access: .credential, refusing: Self.refusedProcedures, answering(procedures))
        return router
    }

    static let bodyBytesMax = 64 << 10

    /// A database that is away is the ledger's being away; anything else is a fault of ours. Whose money it is, is nothing for caches.
    private func answering(
        _ handler: @escaping @Sendable (Request) async throws -> Response
    ) -> @Sendable (Request) async throws -> Response {
        { request in
            guard request.body.count <= Self.bodyBytesMax else { throw Problem.payloadTooLarge(limit: Self.bodyBytesMax) }
            do {
                var response = try await handler(request)
                response.headers.add("cache-control", "no-store")
                return response
            } catch let error as PostgresError where error.isTransient {
                log.warning("request failed: database unavailable", error: error, trace: request.trace)
                throw Problem.ledgerUnavailable
            }
        }
    }

    // MARK: Who calls

    /// Returns a caller who may read the account.
    func reader(_ request: Request) async throws -> Principal {
        let caller = try await authenticate(request)
        try caller.require("credits")
        return caller
    }

    /// The person in person: an API key may leak, and must not undo what its owner set against that.
    func owner(_ request: Request) async throws -> Principal {
        let caller = try await authenticate(request)
        guard caller.sessionID != nil else {
            throw Problem(
                403, "session_required", .permission,
                "This needs the session token of a signed-in user; API keys and service tokens are not accepted.")
        }
        return caller
    }

    func administrator(_ request: Request) async throws -> Principal {
        let caller = try await authenticate(request)
        guard caller.isAdmin else { throw Problem.adminRequired }
        return caller
    }
}
