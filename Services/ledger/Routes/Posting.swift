import Contracts
import EventLoop
import HTTP
import JSON
import Postgres

/// The outcome of a command that came over HTTP.
enum Posting: Sendable {
    case posted(HistoryLine)
    /// The same command was applied before, under the same key.
    case alreadyPosted(HistoryLine)
    /// Refused now or before: a refusal stands for its key.
    case refused(Entry)
    /// The key stands for something else.
    case conflict
    case invalid(Decision.Flaw)
}

extension Routes {
    /// Has `command` decided under the charge id that stands for `source`'s `ref`: once, however often it is asked for.
    func post(source: String, ref: String, _ command: (ChargeID) -> Command) async throws -> Posting {
        let charge = try await store.chargeID(source: source, ref: ref)
        let decision: Decision
        switch try await runner.decide(command(charge)) {
        case .decided(let made): decision = made
        case .undecided, .unknown, .givenBack, .kept: throw Problem.ledgerUnavailable
        case .failed(let error): throw error
        }
        switch decision {
        case .decided(let entry, _), .duplicate(let entry):
            guard entry.status == .applied else { return .refused(entry) }
            let line = try await store.pool.withConnection { try await $0.one(ReadLine(key: entry.key)) }
            if case .decided = decision { return .posted(line) }
            return .alreadyPosted(line)
        case .conflict: return .conflict
        // The key was used in a month that the journal has dropped since: nobody knows any more what for.
        case .invalid(.idOutOfRange) where charge.rawValue.milliseconds * 1_000 < store.limits.journalStart.microseconds: return .conflict
        // The database's clock was ahead when the key was first seen; what its id says is still to come.
        case .invalid(.idOutOfRange): throw Problem.ledgerUnavailable
        case .invalid(let flaw): return .invalid(flaw)
        case .awaitingFunds: throw Problem.creditsHeld
        case .superseded, .refused, .undecided, .noted: preconditionFailure("a grant or a charge is decided, duplicate or awaits funds")
        }
    }

    /// 201 when it is done now, 200 when it was done before, and otherwise why not.
    func answer(_ posting: Posting) throws -> Response {
        switch posting {
        case .posted(let line): return answer(201, line)
        case .alreadyPosted(let line): return answer(200, line)
        case .refused(let entry): throw problem(of: entry)
        case .conflict: throw Problem.idempotencyConflict
        case .invalid(let flaw): throw Problem.invalidRequest("Refused: \(flaw.rawValue).", param: "amount")
        }
    }

    private func answer(_ status: Int, _ line: HistoryLine) -> Response {
        .object(status) { json in
            json.object("transaction") { line.encode(into: &$0, isForOwner: false) }
            json.field("balance", credits: line.entry.postedAfter)
            json.field("available", credits: max(.zero, line.entry.postedAfter - line.entry.heldAfter))
        }
    }

    private func problem(of entry: Entry) -> Problem {
        switch entry.status {
        case .accountDailyLimit:
            return .spendingLimitReached(.daily, of: .account, resetsAt: Instant.startOf(day: entry.at.day + 1).description)
        case .accountMonthlyLimit:
            return .spendingLimitReached(.monthly, of: .account, resetsAt: Instant.startOf(month: entry.at.month + 1).description)
        case .insufficientFunds, .accountNotFound:
            return .insufficientCredits(
                balance: (entry.postedAfter - entry.heldAfter).description, required: max(entry.requested, -entry.requested).description,
                topUpURL: topUpURL)
        default: return .invalidRequest("Refused: \(entry.status.name).", param: "amount")
        }
    }
}
