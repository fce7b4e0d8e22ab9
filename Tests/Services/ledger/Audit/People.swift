import Contracts
import Postgres
import Values

@testable import Ledger
@testable import LedgerCore

/// Accounts to which, together, everything happened that the ledger knows.
struct People: Sendable {
    /// Seq 1 a purchase of 100, 2 and 3 a call, 4 a plan's 20, 5 a bonus of 5, 6 and 7 a running call that was extended, 8 a charge.
    let caller = AccountID.make()
    let purchase = ChargeID.make()
    let call = ChargeID.make()
    let plan = ChargeID.make()
    let bonus = ChargeID.make()
    let running = ChargeID.make()
    let charge = ChargeID.make()
    /// Bought 10 (seq 1), spent 8 (2), and had all 10 taken back (3).
    let debtor = AccountID.make()
    let disputed = ChargeID.make()
    let debt = ChargeID.make()
    /// Bought 10, held 6, expired at 2, settled at 5.
    let late = AccountID.make()
    let lateCall = ChargeID.make()
    /// Bought 10, held 6, expired at 4, settled at 1: 3 came back.
    let receiver = AccountID.make()
    let receivedCall = ChargeID.make()
    /// Was given 5 that were over already.
    let tardy = AccountID.make()
    let over = ChargeID.make()
    /// 4 of one grant and all of another were taken back before they came; a third never came.
    let awaiting = AccountID.make()
    let partly = ChargeID.make()
    let wholly = ChargeID.make()
    let never = ChargeID.make()
    /// Calls by an API key that may spend 20 a month; one runs.
    let keyOwner = AccountID.make()
    let keyCall = ChargeID.make()
    let stranger = AccountID.make()

    init(in ledger: StoreUnderTest) async throws {
        try await callerCalls(ledger)
        try await ledger.do(.grant(.purchase, amount: credits(10)), on: disputed, account: debtor)
        try await ledger.do(.charge(amount: credits(8)), account: debtor)
        try await ledger.do(.reverse(grant: disputed, target: credits(10), version: 1), on: debt, account: debtor)
        try await expire(lateCall, of: late, at: 2, ledger)
        try await ledger.do(settle(5), on: lateCall, account: late)
        try await expire(receivedCall, of: receiver, at: 4, ledger)
        try await ledger.do(settle(1), on: receivedCall, account: receiver)
        try await ledger.do(
            .grant(.bonus, amount: credits(5), expiresAt: Instant.now() + .seconds(-60)), on: over, account: tardy)
        for (grant, target) in [(partly, Int64(4)), (wholly, 10), (never, 7)] {
            try await ledger.do(.reverse(grant: grant, target: credits(target), version: 1), account: awaiting)
        }
        try await ledger.do(.reverse(grant: never, target: credits(6), version: 2), account: awaiting)
        try await ledger.do(.grant(.purchase, amount: credits(10)), on: wholly, account: awaiting)
        try await ledger.do(.grant(.purchase, amount: credits(10)), on: partly, account: awaiting)
        try await keyCalls(ledger)
    }

    private func callerCalls(_ ledger: StoreUnderTest) async throws {
        try await ledger.do(.grant(.purchase, amount: credits(100)), on: purchase, account: caller)
        try await ledger.do(hold(10), on: call, account: caller)
        _ = try await ledger.do([used(4, on: call, caller)])
        try await ledger.do(
            .grant(.planGrant, amount: credits(20), expiresAt: Instant.now() + .seconds(86_400)), on: plan, account: caller)
        try await ledger.do(.grant(.bonus, amount: credits(5)), on: bonus, account: caller)
        try await ledger.do(hold(6), on: running, account: caller)
        try await ledger.do(
            extend(1, by: 2, used: 1), on: running, account: caller)
        try await ledger.do(.charge(amount: credits(3)), on: charge, account: caller)
        _ = try await ledger.do([used(0, on: .make(), caller)])
        try await ledger.do(hold(1_000), account: caller)
    }

    /// Leaves nothing to luck: the hold is over when the report is in, not before.
    private func expire(_ call: ChargeID, of account: AccountID, at used: Int64, _ ledger: StoreUnderTest) async throws {
        try await ledger.do(.grant(.purchase, amount: credits(10)), account: account)
        try await ledger.do(hold(6), on: call, account: account)
        try await ledger.do(report(used), on: call, account: account)
        try await ledger.pool.withConnection { _ = try await $0.execute(LetExpire(charge: call)) }
        try await ledger.expireOverdue(of: account)
    }

    private func keyCalls(_ ledger: StoreUnderTest) async throws {
        try await ledger.do(.grant(.purchase, amount: credits(50)), account: keyOwner)
        // Not counted: the key had no limit yet.
        let (before, named) = (ChargeID.make(), ChargeID.make())
        for id in [before, named] { _ = try await ledger.do([keyHold(id, limit: nil)]) }
        _ = try await ledger.do([keyHold(keyCall, limit: 20)])
        try await ledger.do(settle(2), on: before, account: keyOwner)
        // Counted: its settlement names the key.
        _ = try await ledger.do([keySettlement(named, 1)])
        try await ledger.do(settle(3), on: keyCall, account: keyOwner)
        _ = try await ledger.do([keyHold(.make(), limit: 20)])
    }

    private func keyHold(_ id: ChargeID, limit: Int64?) -> Command {
        Command(
            id: id, account: keyOwner,
            action: hold(5, for: .seconds(600), keyLimits: limit.map { SpendingLimits(monthly: credits($0)) }),
            key: APIKeyID(rawValue: "key0000001"), context: Context(metadata: #"{"api_key_id":"key0000001"}"#))
    }

    private func keySettlement(_ id: ChargeID, _ amount: Int64) -> Command {
        Command(
            id: id, account: keyOwner, action: settle(amount), key: APIKeyID(rawValue: "key0000001"),
            context: Context(metadata: #"{"api_key_id":"key0000001"}"#))
    }

    private func used(_ amount: Int64, on id: ChargeID, _ account: AccountID) -> Command {
        let model = String(repeating: "é", count: 250)
        return Command(
            id: id, account: account, action: settle(amount),
            context: Context(
                metadata: #"{"model":"\#(model)","operation":"chat","usage":{"cached_input":56,"input":12,"output":34}}"#,
                usage: Usage(model: model, operation: "chat", units: [.init(.cachedInput): 56, .input: 12, .output: 34])))
    }
}
