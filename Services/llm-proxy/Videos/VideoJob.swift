import Contracts
import Crypto
import JSON
import Values

/// A video that a provider makes. The row is written before the provider is asked, and says what the
/// charge will be, so that each replica can follow the job and settle it.
struct VideoJob: Sendable {
    enum State: String, Sendable {
        /// The provider has not answered yet, or the replica died before it stored the answer.
        case submitting
        case running
        case completed
        case failed
        /// No outcome came within ``lostAfter``.
        case lost

        var isOpen: Bool { self == .submitting || self == .running }
    }

    var charge: ChargeID
    var account: AccountID
    var conversation: ConversationID
    /// The provider's id of the job; nil until the provider has answered.
    var providerJob: String?
    var state: State
    /// The price of the video.
    var amount: Credits
    /// True if no account pays for the call of one of our servers.
    var isSkipped: Bool
    /// The facts of the charge.
    var call: CallFacts
    /// The client's `Idempotency-Key`.
    var idempotencyKey: String?
    /// The digest of a request that its client may repeat.
    var request: SHA256Digest?
    /// The video as the provider described it last; nil before its first answer.
    var answer: JSONObject?
    var createdAt: Instant

    /// A job without an outcome after this time is voided.
    static let lostAfter = Duration.seconds(24 * 3_600)
    /// A job that its provider has not begun after this time is voided: the replica that asked has died.
    static let begunWithin = Duration.seconds(300)
    /// The time between two reports, which prolong the hold.
    static let reportEvery = Duration.seconds(60)
    /// The time that a report gives the hold. It is the longest that the ledger grants, and outlives the
    /// death of a replica and a restart.
    static let holdTimeToLive = Duration.seconds(600)
    static let idPrefix = "video_"

    /// The id for clients: `video_` and the id of the charge.
    var id: String { Self.idPrefix + charge.description }

    static func charge(of id: some StringProtocol) -> ChargeID? {
        id.hasPrefix(idPrefix) ? ChargeID(String(id.dropFirst(idPrefix.count))) : nil
    }
}
