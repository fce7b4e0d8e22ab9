import Contracts
import Values

/// The decisions of one metered call: events go in, actions come out. ``MeteredCall`` performs them.
///
/// hold → send → deliver → settle or void. A granted hold has one end.
struct CallState: Sendable {
    enum Event: Sendable {
        case held(HoldReply)
        /// The provider failed before its answer began, and the call goes to another one.
        case rerouted(CallBound)
        case extended(HoldReply, StreamHold.Extension)
        /// The client left while the provider's call runs.
        case clientLeft(hasDelivered: Bool, isUnsent: Bool)
        case ended(CallEnd)
    }

    enum Action: Hashable, Sendable {
        case send(OutputLimit)
        case refuse(HoldRefusal)
        case lengthen(by: Credits)
        case cancel
        /// Waits for the provider, whose reaction decides the charge.
        case listen
        case void(because: String)
        case settle(Settlement)
    }

    struct Settlement: Hashable, Sendable {
        var amount: Credits
        var usage: Usage
        var isEstimated: Bool
        var end: CallFacts.End
        /// True if the provider reported more than the call can have used. An operator should see it.
        var isImpossible: Bool
        /// True if the provider served a unit or a tier that has no price. The charge is the hold.
        var isUnpriced = false
    }

    /// The bound of the call on the route of the last attempt.
    private(set) var bound: CallBound
    private let amounts: HoldAmounts
    /// The limit of the answer, once the hold is granted.
    private(set) var limit: OutputLimit?
    private(set) var granted = Credits.zero
    /// The credits that the account can still spend, by the ledger's last answer.
    private var availableAfterHold = Credits.zero
    /// The same, as far as the limits of the account and the key leave it.
    private var spendableAfterHold = Credits.zero
    /// True while the gateway waits for a provider whose client left before the answer began, and none returned.
    private(set) var isListening = false

    init(_ bound: CallBound, _ amounts: HoldAmounts) { (self.bound, self.amounts) = (bound, amounts) }

    mutating func on(_ event: Event) -> Action {
        switch event {
        case .held(let reply): held(reply)
        case .rerouted(let bound): rerouted(bound)
        case .extended(let reply, let asked): extended(reply, asked)
        case .clientLeft(let hasDelivered, let isUnsent): clientLeft(hasDelivered: hasDelivered, isUnsent: isUnsent)
        case .ended(let end): ended(end)
        }
    }

    private mutating func held(_ reply: HoldReply) -> Action {
        if let refusal = HoldRefusal(reply, least: amounts.least) {
            // A new charge has no hold that could have expired. The ledger knows this id for another
            // reason.
            return .refuse(refusal == .holdGone ? .rejected : refusal)
        }
        (granted, availableAfterHold) = (reply.granted, reply.available)
        spendableAfterHold = max(.zero, reply.spendable)
        return send()
    }

    private mutating func rerouted(_ bound: CallBound) -> Action {
        self.bound = bound
        return send()
    }

    private mutating func send() -> Action {
        let limit = bound.limit(paidBy: bound.isHeldWhole ? granted : granted.adding(spendableAfterHold))
        self.limit = limit
        return .send(limit)
    }

    private mutating func extended(_ reply: HoldReply, _ asked: StreamHold.Extension) -> Action {
        if let refusal = HoldRefusal(reply, least: asked.least) { return .refuse(refusal) }
        availableAfterHold = reply.available
        granted = granted.adding(reply.granted)
        return .lengthen(by: reply.granted)
    }

    /// Cancels an answer that has begun, and a request that has not been sent. In between, the
    /// reaction of the provider decides the charge.
    private mutating func clientLeft(hasDelivered: Bool, isUnsent: Bool) -> Action {
        guard !hasDelivered, !isUnsent else { return .cancel }
        isListening = true
        return .listen
    }

    /// A client came that repeats the call: it gets the answer, as the first one would have.
    mutating func clientReturned() { isListening = false }

    private func ended(_ end: CallEnd) -> Action {
        switch end.charge {
        case .nothing(let reason): return .void(because: reason)
        case .usage(let usage, let isEstimated, let how):
            let (amount, isExact) = amount(for: usage)
            let isUnpriced = !bound.model.price.hasPrice(of: usage)
            return .settle(
                Settlement(
                    amount: amount, usage: usage, isEstimated: isEstimated || !isExact, end: how,
                    isImpossible: !isExact && !isUnpriced && !isEstimated && !isListening, isUnpriced: isUnpriced))
        }
    }

    // MARK: Amounts

    /// Returns the amount of a report. It is zero before the provider has the request, and then pays
    /// for the prompt and the delivered output.
    func usedSoFar(delivered: Usage, isAcknowledged: Bool) -> Credits {
        if bound.units != nil { return delivered.isEmpty ? .zero : amount(for: delivered).credits }
        var usage = delivered
        if isListening || usage.completionTokens == 0 {
            guard isAcknowledged else { return .zero }
            usage = Usage(promptTokens: estimatedPromptTokens, completionTokens: 0)
        }
        return amount(for: usage).credits
    }

    /// Returns the balance as this call's hold left it, corrected by what the call cost.
    func remaining(after used: Credits) -> Credits {
        max(.zero, availableAfterHold.adding(granted).adding(.zero - used))
    }

    var estimatedPromptTokens: Int64 { bound.prompt.estimatedTokens(bound.model.limits) }

    /// Returns the charge for `usage`: its price, or at most the hold if the call cannot have used
    /// this much, if the provider chose another tier, or if the ledger granted no more while the
    /// gateway listened.
    private func amount(for usage: Usage) -> (credits: Credits, isExact: Bool) {
        let price = bound.price(of: usage)
        let isPossible = limit.map { bound.allows(usage, limit: $0) } ?? false
        let mayExceedHold = !isListening && usage.tier == .standard
        if let price, isPossible, mayExceedHold || price <= granted { return (price, true) }
        return (min(price ?? granted, granted), false)
    }
}
