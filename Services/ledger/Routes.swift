import Contracts
import EventLoop
import HTTP
import HTTPWire
import Identity
import JSON
import Postgres
import Telemetry

/// The ledger's HTTP door (SPEC §4.3). Amounts are JSON numbers in credits with at most 9 fraction digits, exact.
struct Routes: Sendable {
    let store: LedgerStore
    let runner: BatchRunner
    let authenticate: @Sendable (Request) async throws -> Principal
    /// Where a person buys more.
    let topUpURL: String
    let log: Logger

    var router: Router {
        var router = Router()
        router.on(.get, "/v1/credits", balance)
        router.on(.get, "/api/credits/balance", balance)
        router.on(.get, "/api/credits/history", history)
        router.on(.get, "/api/credits/transactions", history)
        router.on(.get, "/api/admin/credits/history", anyHistory)
        router.on(.post, "/api/admin/credits/adjust", adjust)
        router.on(.get, "/api/admin/credits/audit", audit)
        return router
    }

    // MARK: For everybody: their own account

    /// {balance, held, available, currency, plan, lots}
    @Sendable func balance(_ request: Request) async throws -> Response {
        let caller = try await authenticate(request)
        try caller.require("credits")
        let standing = try await reading { try await store.standing(of: caller.accountID, lots: true) }
        let account = standing?.account ?? Account(id: caller.accountID)
        return .object(200) { json in
            json.field("balance", credits: account.posted)
            json.field("held", credits: account.held)
            json.field("available", credits: account.available)
            json.field("currency", "credits")
            json.field("plan", caller.plan)
            json.array("lots") { json in
                for lot in standing?.lots ?? [] { json.object { lot.encode(into: &$0) } }
            }
        }
    }

    @Sendable func history(_ request: Request) async throws -> Response {
        let caller = try await authenticate(request)
        try caller.require("credits")
        return try await history(of: caller.accountID, request, isForOwner: true)
    }

    /// By `page` and `limit`, or by `cursor` as the page before gave it; `type` filters, several separated by commas.
    private func history(of account: AccountID, _ request: Request, isForOwner: Bool) async throws -> Response {
        let limit = try request.query.integer("limit", default: 20, in: 1...100)
        let page = try request.query.integer("page", default: 1, in: 1...10_000)
        let kinds = try kinds(request.query.optionalString("type"))
        let cursor = try request.query.optionalString("cursor").map { text in
            guard let seq = Int64(text), seq > 0 else { throw Problem.invalidRequest("This cursor is none of ours.", param: "cursor") }
            return seq
        }
        let found = try await reading {
            try await store.history(
                of: account, kinds: kinds, before: cursor, offset: cursor == nil ? (page - 1) * limit : 0, limit: limit)
        }
        return .object(200) { json in
            json.array("transactions") { json in
                for line in found.lines { json.object { line.encode(into: &$0, isForOwner: isForOwner) } }
            }
            if cursor == nil { json.field("page", page) }
            json.field("limit", limit)
            json.field("total", found.total)
            json.field("has_more", found.nextCursor != nil)
            json.field("next_cursor", found.nextCursor.map(String.init))
        }
    }

    private func kinds(_ types: String?) throws(Problem) -> [Entry.Kind] {
        guard let types, !types.isEmpty else { return [] }
        var kinds: [Entry.Kind] = []
        for type in types.split(separator: ",") {
            let named = Entry.Kind.of(type: String(type))
            guard !named.isEmpty, type != "hold", type != "void" else {
                throw .invalidRequest("There are no transactions of the type '\(type)'.", param: "type")
            }
            kinds += named
        }
        return kinds
    }

    // MARK: For administrators

    @Sendable func anyHistory(_ request: Request) async throws -> Response {
        _ = try await administrator(request)
        guard let user = UserID(try request.query.string("user_id")) else {
            throw Problem.invalidRequest("Expected a UUID.", param: "user_id")
        }
        return try await history(of: AccountID(user), request, isForOwner: false)
    }

    /// {user_id, type: topup|refund|bonus|adjustment, amount, reason, idempotency_key}: 201 when it is done now, 200 when it was done
    /// before under this key, 409 when the key stood for something else.
    @Sendable func adjust(_ request: Request) async throws -> Response {
        let administrator = try await administrator(request)
        let adjustment = try Adjustment(request.json())
        let verdict = try await reading {
            let charge = try await store.chargeID(source: "admin", ref: adjustment.idempotencyKey)
            let command = adjustment.command(charge, by: administrator.userID, trace: request.trace)
            return try await runner.decide([command], before: .current() + .seconds(10))[0]
        }
        let decision: Decision
        switch verdict {
        case .decided(let made): decision = made
        case .dropped: throw Problem.ledgerUnavailable
        case .failed(let error): throw error
        }
        switch decision {
        case .decided(let entry), .duplicate(let entry):
            let isNew = if case .decided = decision { true } else { false }
            guard entry.status == .applied else { throw refusal(entry) }
            log.info(
                isNew ? "credits adjusted" : "credits adjusted before",
                [
                    "account.id": .describing(entry.account), "charge.id": .describing(entry.charge), "type": .string(entry.kind.type),
                    "credits": .describing(entry.postedDelta), "admin.id": .describing(administrator.userID),
                ], trace: request.trace)
            return .object(isNew ? 201 : 200) { json in
                json.object("transaction") { json in
                    HistoryLine(entry: entry, description: adjustment.reason, metadata: nil).encode(into: &json, isForOwner: false)
                }
                json.field("balance", credits: entry.postedAfter)
            }
        case .conflict: throw Problem.idempotencyConflict
        case .invalid(let flaw): throw Problem.invalidRequest("Refused: \(flaw.rawValue).", param: "amount")
        case .superseded, .awaitingFunds, .noted: preconditionFailure("a grant is decided, known or refused")
        }
    }

    private func refusal(_ entry: Entry) -> Problem {
        switch entry.status {
        case .insufficientFunds:
            .insufficientCredits(
                balance: (entry.postedAfter - entry.heldAfter).description, required: (-entry.requested).description, topUpURL: topUpURL)
        default: .invalidRequest("Refused: \(entry.status.name).", param: "amount")
        }
    }

    /// Recomputes everything from the journal; 200 also when something is wrong: `consistent` tells.
    @Sendable func audit(_ request: Request) async throws -> Response {
        _ = try await administrator(request)
        let audit = try await reading { try await Audit.run(on: store.pool) }
        for finding in audit.findings {
            log.error("the journal and the tables part", ["check": .string(finding.check), "detail": .string(finding.detail)])
        }
        return .object(200) { json in
            json.field("consistent", audit.findings.isEmpty)
            json.field("accounts", audit.accounts)
            json.field("entries", audit.entries)
            json.field("open_holds", audit.holds)
            json.field("balance", credits: audit.posted)
            json.field("held", credits: audit.held)
            json.array("findings") { json in
                for finding in audit.findings {
                    json.object { json in
                        json.field("check", finding.check)
                        json.field("account_id", finding.account?.description)
                        json.field("charge_id", finding.charge?.description)
                        json.field("seq", finding.seq)
                        json.field("detail", finding.detail)
                    }
                }
            }
        }
    }

    private func administrator(_ request: Request) async throws -> Principal {
        let caller = try await authenticate(request)
        guard caller.isAdmin else { throw Problem.adminRequired }
        return caller
    }

    /// A database that is away is the ledger's being away; anything else is a fault of ours.
    private func reading<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as PostgresError where error.isDatabaseUnavailable || error.isRetriable {
            log.warning("not answered: the database is away", error: error)
            throw Problem.ledgerUnavailable
        }
    }
}

/// What an administrator asks for.
struct Adjustment: Sendable {
    let user: UserID
    let grant: Command.Grant
    let amount: Credits
    let reason: String
    let idempotencyKey: String

    init(_ json: JSONObject) throws {
        guard let user = UserID(try json.string("user_id")) else { throw Problem.invalidRequest("Expected a UUID.", param: "user_id") }
        guard let amount = Credits(decimal: try json.decimalText("amount")) else {
            throw Problem.invalidRequest("Expected a number of credits with at most 9 fraction digits, within range.", param: "amount")
        }
        let type = try json.string("type")
        switch type {
        case "topup": grant = .topup
        case "refund": grant = .refund
        case "bonus": grant = .bonus
        case "adjustment": grant = .adjustment
        default: throw Problem.invalidRequest("Expected topup, refund, bonus or adjustment.", param: "type")
        }
        guard grant == .adjustment ? amount != .zero : amount > .zero else {
            throw Problem.invalidRequest(
                grant == .adjustment ? "An adjustment of nothing is none." : "A \(type) is more than nothing; an adjustment may take.",
                param: "amount")
        }
        self.user = user
        self.amount = amount
        reason = try Self.text(json, "reason", 500)
        idempotencyKey = try Self.text(json, "idempotency_key", 200)
    }

    private static func text(_ json: JSONObject, _ name: String, _ lengthMax: Int) throws -> String {
        let text = try json.string(name)
        guard !text.isEmpty, text.count <= lengthMax, !text.unicodeScalars.contains(where: { $0.value < 32 }) else {
            throw Problem.invalidRequest("Expected 1 to \(lengthMax) characters, no control characters.", param: name)
        }
        return text
    }

    func command(_ charge: ChargeID, by administrator: UserID, trace: TraceContext) -> Command {
        var json = JSONWriter()
        json.object { json in
            json.field("admin_id", administrator)
            json.field("idempotency_key", idempotencyKey)
        }
        return Command(
            id: charge, account: AccountID(user), action: .grant(grant, amount: amount),
            context: Context(
                description: reason, metadata: String(decoding: json.bytes, as: UTF8.self),
                trace: UUIDv7(high: trace.traceHigh, low: trace.traceLow)))
    }
}
