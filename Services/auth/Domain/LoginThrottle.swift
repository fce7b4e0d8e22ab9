import Values

/// Slows down guessing of one account's password, equally for accounts that exist and accounts that do not: no wait for four
/// failures, then 1, 2, 4 … 300 seconds after each. A success resets the count.
enum LoginThrottle {
    static let backoffThreshold: Int64 = 5
    static let delayMax: Duration = .seconds(300)

    /// How long after the last of `failures` the next attempt is looked at.
    static func delay(after failures: Int64) -> Duration {
        guard failures >= backoffThreshold else { return .zero }
        let exponent = min(failures - backoffThreshold, 9)
        return min(.seconds(1 << exponent), delayMax)
    }

    /// Returns the time until the next attempt is allowed; zero if it is allowed now.
    static func wait(failures: Int64, lastFailedAt: Instant?, now: Instant) -> Duration {
        guard let lastFailedAt else { return .zero }
        return max(.zero, lastFailedAt + delay(after: failures) - now)
    }
}

/// Failures per client address: a bucket of 50 that fills again by 10 a minute. In memory, per replica; the addresses heard of
/// longest ago are forgotten first.
struct AddressThrottle {
    static let burst = 50.0
    static let perSecond = 10.0 / 60
    static let addressesMax = 50_000

    private struct Bucket {
        var level: Double
        var at: Instant
    }

    private var buckets: [String: Bucket] = [:]

    /// Nil when an attempt is welcome, else how long to wait.
    func wait(_ address: String, now: Instant) -> Duration? {
        guard let bucket = buckets[address] else { return nil }
        let level = Self.level(of: bucket, now: now)
        return level >= 1 ? nil : .milliseconds(Int64((1 - level) / Self.perSecond * 1_000) + 1)
    }

    mutating func failed(_ address: String, now: Instant) {
        let level = buckets[address].map { Self.level(of: $0, now: now) } ?? Self.burst
        buckets[address] = Bucket(level: max(0, level - 1), at: now)
        if buckets.count > Self.addressesMax {
            buckets = buckets.filter { Self.level(of: $0.value, now: now) < Self.burst }
            if buckets.count > Self.addressesMax { buckets = [address: buckets[address] ?? Bucket(level: Self.burst, at: now)] }
        }
    }

    private static func level(of bucket: Bucket, now: Instant) -> Double {
        min(burst, bucket.level + max(0, (now - bucket.at).fractionalSeconds) * perSecond)
    }
}
