import Contracts
import EventLoop
import Synchronization
import Values

/// The waiting lines of a replica, shared by its loops, and the refusals of the last 250 ms.
///
/// A line belongs to an account, or to an account and an API key with limits. A line has at most
/// ``FundsLine/placesMax`` calls. At most ``refusalsMax`` refusals are remembered; further ones are
/// not.
final class FundsLines: Sendable {
    struct Key: Hashable, Sendable {
        var account: AccountID
        /// Nil for a key without limits of its own.
        var limitedKey: APIKeyID?
    }

    /// One call that asks for credits, for a hold or for an extension.
    struct Asker: Hashable, Sendable {
        var key: Key
        var charge: ChargeID
    }

    private enum Turn {
        case asks
        case left
        case isLast
    }

    private struct State {
        var lines: [Key: FundsLine] = [:]
        var waits: [ChargeID: Promise<Turn>] = [:]
        var refusals: [Key: (least: Credits, reply: HoldReply, until: MonotonicInstant)] = [:]
    }

    private let state = Mutex(State())

    /// The time for which a 402 is remembered. A client that repeats a refused call then costs the
    /// ledger no further question.
    static let remembers = Duration.milliseconds(250)
    static let refusalsMax = 4_096

    /// Asks the ledger. While other calls of the account hold the credits, asks again in turn for
    /// at most `patience`. Then asks the last question.
    /// - Parameters:
    ///   - isNewCall: false for an extension. The refusal of an extension does not apply to other
    ///     calls, because the call's own hold is part of the held credits.
    ///   - hasLeft: true when the call needs no answer any more. Such a call asks nothing.
    ///     ``leave(_:)`` wakes it.
    ///   - ask: asks one question. Its argument is true for the last question.
    /// - Returns: nil if the call left before the ledger decided.
    func reply(
        _ asker: Asker, amounts: HoldAmounts, isNewCall: Bool, patience: Duration, on loop: EventLoop, hasLeft: () -> Bool,
        ask: (_ isLastQuestion: Bool) async throws -> HoldReply
    ) async throws -> HoldReply? {
        let patienceEnds = MonotonicInstant.current() + patience
        if isNewCall, let known = refusal(asker.key, least: amounts.least) { return known }
        func asked(isLast: Bool) async throws -> HoldReply? {
            guard !hasLeft() else { return nil }
            let reply = try await ask(isLast)
            note(reply, asker.key, least: isNewCall ? amounts.least : nil)
            return reply
        }
        guard patience > .zero else { return try await asked(isLast: true) }
        var first: HoldReply?
        if state.withLock({ $0.lines[asker.key]?.letsAsk(need: amounts.usual) ?? true }) {
            first = try await asked(isLast: false)
            guard first?.status == .awaitingFunds else { return first }
        }
        guard !hasLeft() else { return nil }
        var wait = Promise<Turn>(on: loop)
        guard join(asker, need: amounts.usual, spendable: first?.spendable, wait, on: loop) else {
            return HoldReply(chargeID: asker.charge, status: .awaitingFunds)
        }
        defer { end(asker, on: loop) }
        while true {
            let left = patienceEnds - MonotonicInstant.current()
            switch left > .zero ? try await wait.value(within: left, elseReturn: .isLast) : .isLast {
            case .left: return nil
            case .isLast:
                end(asker, on: loop)
                return try await asked(isLast: true)
            case .asks:
                guard let reply = try await asked(isLast: false) else { return nil }
                wait = Promise(on: loop)
                answered(asker, stays: reply.status == .awaitingFunds, wait, on: loop)
                guard reply.status == .awaitingFunds else { return reply }
                guard !hasLeft() else { return nil }
            }
        }
    }

    /// Wakes a call that needs no answer any more.
    func leave(_ asker: Asker) { state.withLock { $0.waits[asker.charge] }?.succeed(.left) }

    /// Makes the lines ask for which the end of a call may have freed credits: its own line, and
    /// the line of the account's keys without limits.
    func freed(by asker: Asker, on loop: EventLoop) {
        for key in Set([asker.key, Key(account: asker.key.account, limitedKey: nil)]) {
            perform(state.withLock { $0.lines[key]?.freed() ?? .none }, key, on: loop)
        }
    }

    // MARK: Lines

    private func note(_ reply: HoldReply, _ key: Key, least: Credits?) {
        state.withLock { state in
            state.lines[key]?.heard(spendable: reply.spendable)
            guard let least, reply.status == .insufficientFunds else { return }
            let now = MonotonicInstant.current()
            if state.refusals.count >= Self.refusalsMax { state.refusals = state.refusals.filter { $0.value.until > now } }
            guard state.refusals.count < Self.refusalsMax else { return }
            state.refusals[key] = (least, reply, now + Self.remembers)
        }
    }

    private func refusal(_ key: Key, least: Credits) -> HoldReply? {
        state.withLock { state in
            guard let known = state.refusals[key] else { return nil }
            guard MonotonicInstant.current() < known.until else {
                state.refusals[key] = nil
                return nil
            }
            return least >= known.least ? known.reply : nil
        }
    }

    /// - Parameter spendable: the credits that the account could spend, by the answer to this call.
    ///   A new line knows them by it, because the answer came before the line.
    private func join(_ asker: Asker, need: Credits, spendable: Credits?, _ wait: Promise<Turn>, on loop: EventLoop) -> Bool {
        let step: FundsLine.Step? = state.withLock { state in
            if state.lines[asker.key] == nil {
                state.lines[asker.key] = FundsLine()
                if let spendable { state.lines[asker.key]?.heard(spendable: spendable) }
            }
            guard let step = state.lines[asker.key]?.join(asker.charge, need: need) else { return nil }
            state.waits[asker.charge] = wait
            return step
        }
        guard let step else { return false }
        perform(step, asker.key, on: loop)
        return true
    }

    private func answered(_ asker: Asker, stays: Bool, _ wait: Promise<Turn>, on loop: EventLoop) {
        let step = state.withLock { state in
            state.waits[asker.charge] = wait
            return state.lines[asker.key]?.answered(asker.charge, stays: stays) ?? .none
        }
        perform(step, asker.key, on: loop)
    }

    private func end(_ asker: Asker, on loop: EventLoop) {
        let step = state.withLock { state in
            state.waits[asker.charge] = nil
            let step = state.lines[asker.key]?.leave(asker.charge) ?? .none
            if state.lines[asker.key]?.isEmpty ?? false { state.lines[asker.key] = nil }
            return step
        }
        perform(step, asker.key, on: loop)
    }

    private func perform(_ step: FundsLine.Step, _ key: Key, on loop: EventLoop) {
        switch step {
        case .none: break
        case .wake(let charge): state.withLock { $0.waits[charge] }?.succeed(.asks)
        case .pause(let number):
            loop.schedule(after: FundsLine.pause) { [self] in
                perform(state.withLock { $0.lines[key]?.pauseEnded(number) ?? .none }, key, on: loop)
            }
        }
    }
}
