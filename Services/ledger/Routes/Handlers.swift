import Contracts
import HTTP
import Identity
import LedgerCore
import Postgres
import Telemetry
import Web

/// The handlers of the ledger's HTTP door, each in its file, and the parts that they use. Their table
/// is in `Routes.swift`.
struct Routes: Sendable {
    let store: LedgerStore
    let runner: BatchRunner
    let auditor: Auditor
    /// The slots of reads of history and usage.
    let slots: CallerSlots
    /// The slots of changes of settings. An API key can take all slots of reads, but none of these.
    let settingSlots: CallerSlots
    let gate: CallerGate<Principal>
    /// Where a person buys more.
    let topUpURL: String
    /// The pages.
    let site: Site
    let log: Logger
    let zones = TimeZoneNames()
    let operations = Operations()

    func page(for problem: Problem, to exchange: Exchange) -> Response {
        site.page(for: problem, to: exchange, gate.knownViewer(exchange.headers))
    }

    func showAsset(_ request: Request) async throws -> Response { try site.assets.answer(request.pathParameters["file"]) }

    /// Maps a lost database to 503.
    func problem(for error: any Error, in trace: TraceContext) -> Problem? {
        guard let error = error as? PostgresError, error.isTransient else { return nil }
        log.warning("request failed: database unavailable", error: error, trace: trace)
        return .ledgerUnavailable
    }
}
