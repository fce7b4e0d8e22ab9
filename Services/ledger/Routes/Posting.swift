import EventLoop
import HTTP
import JSON
import LedgerCore
import Postgres
import Telemetry
import Values

/// The entry of a command that came over HTTP.
struct Posting: Sendable {
    let line: HistoryLine
    /// False if the same command was applied before, under the same key.
    let isNew: Bool

    /// The answer: 201 if the command was applied now, 200 if it was applied before.
    var response: Response {
        .object(isNew ? 201 : 200) { json in
            json.object("transaction") { line.encode(into: &$0, isForOwner: false) }
            json.field("balance", credits: line.entry.postedAfter)
            json.field("available", credits: max(.zero, line.entry.postedAfter - line.entry.heldAfter))
        }
    }
}

extension Routes {
    /// Has `command` decided once, under the charge id that belongs to `source`'s `ref`. Its entry names the trace and the
    /// conversation of `request`. Repetitions get the same answer. A refusal is final for its key.
    func post(source: String, ref: String, for request: Request, _ command: (ChargeID) -> Command) async throws -> Posting {
        let charge = try await store.chargeID(source: source, ref: ref)
        var command = command(charge)
        command.context.trace = UUIDv7(high: request.trace.traceHigh, low: request.trace.traceLow)
        command.context.conversation = ConversationID(request.requestID) ?? ConversationID(rawValue: charge.rawValue)
        let decision: Decision
        switch try await runner.result(of: command) {
        case .decided(let made): decision = made
        case .undecided, .unknown, .givenBack, .kept: throw Problem.ledgerUnavailable
        case .failed(let error): throw error
        }
        switch decision {
        case .decided(let entry, _): return try await posting(of: entry, isNew: true)
        case .duplicate(let entry, _): return try await posting(of: entry, isNew: false)
        case .conflict: throw Problem.idempotencyConflict
        // The key was used in a month that the journal has dropped since, and its request with it.
        case .invalid(.idOutOfRange) where charge.rawValue.milliseconds * 1_000 < store.limits.journalStart.microseconds:
            throw Problem.idempotencyConflict
        // The database's clock was ahead when the key was first seen; what its id says is still to come.
        case .invalid(.idOutOfRange): throw Problem.ledgerUnavailable
        case .invalid(let flaw): throw refused(flaw.rawValue)
        case .awaitingFunds: throw Problem.creditsHeld
        case .refused, .undecided, .noted: preconditionFailure("a grant or a charge is decided, duplicate or awaits funds")
        }
    }

    private func posting(of entry: Entry, isNew: Bool) async throws -> Posting {
        guard entry.status == .applied else { throw problem(of: entry) }
        return Posting(line: try await store.pool.withConnection { try await $0.one(ReadLine(key: entry.key)) }, isNew: isNew)
    }

    private func problem(of entry: Entry) -> Problem {
        switch entry.status {
        case .accountDailyLimit:
            .spendingLimitReached(.daily, of: .account, resetsAt: Instant.startOf(day: entry.at.day + 1).description)
        case .accountMonthlyLimit:
            .spendingLimitReached(.monthly, of: .account, resetsAt: Instant.startOf(month: entry.at.month + 1).description)
        case .insufficientFunds, .accountNotFound:
            .insufficientCredits(
                balance: (entry.postedAfter - entry.heldAfter).description, required: max(entry.requested, -entry.requested).description,
                topUpURL: topUpURL)
        default: refused(entry.status.name)
        }
    }

    private func refused(_ reason: String) -> Problem { .invalidRequest("Refused: \(reason).", param: "amount") }
}
