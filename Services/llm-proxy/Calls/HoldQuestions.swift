import Contracts
import EventLoop
import Identity
import Telemetry
import Values

/// The questions of one call to the ledger, asked in the line of its account.
struct HoldQuestions: Sendable {
    let services: CallServices
    let principal: Principal
    let asker: FundsLines.Asker
    let context: MessageContext

    init(services: CallServices, principal: Principal, charge: ChargeID, context: MessageContext) {
        let key = FundsLines.Key(account: principal.accountID, limitedKey: principal.keyLimits == nil ? nil : principal.apiKeyID)
        (self.services, self.principal, self.context) = (services, principal, context)
        asker = FundsLines.Asker(key: key, charge: charge)
    }

    /// Asks for the hold of a new call.
    /// - Returns: nil if the client left before the ledger decided.
    func place(_ amounts: HoldAmounts, takesShare: Bool, hasLeft: () -> Bool) async throws -> HoldReply? {
        try await ask(amounts, isNewCall: true, hasLeft: hasLeft) { amounts in
            try await services.ledger.place(
                asker.charge, for: principal, amounts, takesShare: takesShare, on: services.loop, in: context)
        }
    }

    /// Asks for more credits while the stream runs. An outage does not end the stream: the proxy
    /// repeats the question as long as the hold can live.
    /// - Returns: nil if the ledger did not decide, or the stream needs no answer any more.
    func extend(by more: StreamHold.Extension, usedSoFar: Credits, while isNeeded: () -> Bool) async -> HoldReply? {
        let timing = services.ledger.timing
        let outageEnds = MonotonicInstant.current() + timing.outagePatience
        let amounts = HoldAmounts(most: more.most, usual: more.usual, least: more.least)
        var hasFailed = false
        while isNeeded() {
            do {
                let reply = try await ask(amounts, isNewCall: false, hasLeft: { !isNeeded() }) { amounts in
                    try await services.ledger.extend(
                        ExtendHold(
                            chargeID: asker.charge, accountID: principal.accountID, step: more.step, amounts: amounts, usedSoFar: usedSoFar,
                            timeToLiveMilliseconds: Int64(timing.holdTimeToLive.milliseconds)),
                        on: services.loop, in: context)
                }
                guard let reply, isNeeded() else { return nil }
                if reply.status != .busy { return reply }
            } catch {
                // Logs once for a stream: an outage may last for a minute, and every stream repeats
                // its question until the end of it.
                if !hasFailed {
                    services.log.warning("extend request failed", ["step": .integer(more.step)], error: error, trace: context.trace)
                }
                hasFailed = true
            }
            guard MonotonicInstant.current() + LedgerClient.outagePause < outageEnds else { return nil }
            try? await services.loop.sleep(for: LedgerClient.outagePause)
        }
        return nil
    }

    private func ask(
        _ amounts: HoldAmounts, isNewCall: Bool, hasLeft: () -> Bool, _ question: (HoldAmounts) async throws -> HoldReply
    ) async throws -> HoldReply? {
        try await services.shared.funds.reply(
            asker, amounts: amounts, isNewCall: isNewCall, patience: services.ledger.timing.fundsWithin, on: services.loop,
            hasLeft: hasLeft
        ) { isLast in
            var amounts = amounts
            amounts.isLastQuestion = isLast
            return try await question(amounts)
        }
    }
}
