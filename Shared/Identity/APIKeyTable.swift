import Contracts
import Crypto
import EventLoop
import Values

/// The API keys that exist, with 8 bytes for the id and 8 bytes for the digest of the secret. Auth is
/// asked about a key of the table only, and about few others. So made-up keys, whose checksum every client
/// can compute, do not delay real ones.
struct APIKeyTable: Sendable {
    enum Match {
        /// The key exists.
        case found
        /// The id exists with another secret, so the key is wrong: a key never gets another secret.
        case wrongSecret
        /// The key does not exist, or is so new that its event has not come.
        case unknown
    }

    /// The most keys. Further ones are unknown.
    static let countMax = 10_000_000

    private var fingerprints: [UInt64: APIKeyFingerprint] = [:]

    var count: Int { fingerprints.count }

    func match(_ key: APIKey) -> Match {
        guard let id = key.id.number, let fingerprint = fingerprints[id] else { return .unknown }
        return fingerprint == key.fingerprint ? .found : .wrongSecret
    }

    mutating func insert(_ key: APIKeyCreated) {
        guard let id = key.apiKeyID.number, fingerprints.count < Self.countMax else { return }
        fingerprints[id] = key.fingerprint
    }

    mutating func remove(_ id: APIKeyID) {
        if let id = id.number { fingerprints[id] = nil }
    }
}

extension APIKeyID {
    /// The id as a number below 62¹⁰. Nil for a text that is no id.
    fileprivate var number: UInt64? { rawValue.utf8.count == 10 ? Base62.number(rawValue.utf8) : nil }
}

/// A rate of questions, with a burst of one second.
struct QuestionBudget: Sendable {
    private let interval: Duration
    /// The time at which all questions so far are paid for.
    private var paidAt = MonotonicInstant(nanoseconds: 0)

    init(perSecond: Int) { interval = .seconds(1) / perSecond }

    /// Returns whether one more question may be asked now.
    mutating func take(now: MonotonicInstant) -> Bool {
        let paid = max(paidAt, now) + interval
        guard paid <= now + .seconds(1) else { return false }
        paidAt = paid
        return true
    }
}
