import Contracts
import Values

/// The end of a metered call, for its endpoint. The charge is safe in all cases but ``unconfirmed``.
enum CallOutcome: Sendable {
    /// The client left before anything was held.
    case clientLeft
    case refused(HoldRefusal)
    /// The client got nothing of an answer.
    case failed(ProviderFailure)
    case whole(WholeAnswer, CallReceipt)
    /// All of a stream but its end went to the client.
    /// - usageChunk: the provider's last chunk of usage, if it sent one.
    case streamed(usageChunk: [UInt8]?, CallReceipt)
    /// A part of a stream went to the client, and no more comes. It must not end like a whole one.
    case brokeOff(ProviderFailure)
    /// The hold ended a stream.
    case cut(HoldRefusal)
    /// The gateway ended a stream at its limit, because the provider went on.
    case beyondLimit
    /// Neither the broker nor the outbox certainly has the charge.
    case unconfirmed(ChargeID, isStreaming: Bool)
}

/// The cost and the usage of a call, which its answer reports to the client.
struct CallReceipt: Sendable {
    var used: Credits
    /// Nil for a skipped call, because the ledger was not asked.
    var remaining: Credits?
    var usage: Usage
    /// The limit of the answer, if it is below the limit that the client asked for.
    var maxTokensClamped: Int64?
}
