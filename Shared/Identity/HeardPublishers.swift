import AMQP
import EventLoop

/// The publishers of revocations that this process hears, with the last number of each.
struct HeardPublishers: Sendable {
    enum Finding: Equatable {
        /// No message of the publisher is missing.
        case complete
        /// The publisher was not heard before. Earlier messages of it may be missing.
        case firstHeard
        /// A message of the publisher is missing.
        case gap
    }

    private struct Publisher: Sendable {
        var last: UInt64
        var heardAt: MonotonicInstant
    }

    /// The longest silence of a publisher, which sends a heartbeat every 2 s.
    static let silenceMax: Duration = .seconds(10)
    /// More publishers than auth has replicas. When full, it forgets the publisher that was heard
    /// longest ago.
    static let countMax = 64

    private var publishers: [String: Publisher] = [:]
    /// The start of the present silence while no publisher is known.
    private var silentSince: MonotonicInstant?

    var count: Int { publishers.count }

    mutating func hear(_ number: PublishNumber, now: MonotonicInstant) -> Finding {
        let known = publishers[number.publisher]
        let last = known?.last ?? 0
        publishers[number.publisher] = Publisher(last: max(last, number.number), heardAt: now)
        if publishers.count > Self.countMax, let oldest = publishers.min(by: { $0.value.heardAt < $1.value.heardAt }) {
            publishers[oldest.key] = nil
        }
        silentSince = nil
        guard number.number > last, number.number - last > 1 else { return .complete }
        return known == nil ? .firstHeard : .gap
    }

    /// Returns true if a publisher has been silent for ``silenceMax``, or all have. Its last messages
    /// may be missing. Returns true once for each silence of a publisher, and repeatedly while there
    /// is no publisher.
    mutating func endsSilence(now: MonotonicInstant) -> Bool {
        let silent = publishers.filter { now >= $0.value.heardAt + Self.silenceMax }.keys
        for publisher in silent { publishers[publisher] = nil }
        guard publishers.isEmpty else { return !silent.isEmpty }
        guard let since = silentSince else {
            silentSince = now
            return !silent.isEmpty
        }
        guard now >= since + Self.silenceMax else { return false }
        silentSince = now
        return true
    }
}
