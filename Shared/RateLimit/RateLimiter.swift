import Synchronization
package import Values

/// Token buckets by key, in memory: each replica counts for itself.
///
/// A key starts with a full bucket. At most ``keysMax`` keys are kept. The keys that were used
/// longest ago are forgotten, which fills their buckets.
package final class RateLimiter<Key: Hashable & Sendable>: Sendable {
    private struct Bucket: Sendable {
        var level: Double
        var at: Instant
    }

    private struct Buckets: Sendable {
        var young: [Key: Bucket] = [:]
        /// The keys that were not used since the last change of generation.
        var old: [Key: Bucket] = [:]
    }

    private let burst: Double
    private let perSecond: Double
    private let keysMax: Int
    private let buckets = Mutex(Buckets())

    /// - Parameters:
    ///   - burst: the tokens of a full bucket, at least 1.
    ///   - perSecond: the tokens that a bucket regains in a second, more than 0.
    package init(burst: Int, perSecond: Double, keysMax: Int = 50_000) {
        precondition(burst >= 1 && perSecond > 0 && keysMax >= 2)
        self.burst = Double(burst)
        self.perSecond = perSecond
        self.keysMax = keysMax
    }

    /// Takes a token of a key.
    /// - Returns: nil if there was one, else the time until there is one.
    package func take(_ key: Key, now: Instant) -> Duration? {
        change(key, now: now) { level in
            guard level >= 1 else { return .milliseconds(Int64((1 - level) / perSecond * 1_000) + 1) }
            level -= 1
            return nil
        }
    }

    /// Gives a token back, because what it was taken for does not count.
    package func giveBack(_ key: Key, now: Instant) { change(key, now: now) { level in level = min(burst, level + 1) } }

    /// The keys that have a bucket now.
    package var keyCount: Int { buckets.withLock { $0.young.count + $0.old.count } }

    private func change<Value: Sendable>(_ key: Key, now: Instant, _ body: (inout Double) -> Value) -> Value {
        buckets.withLock { buckets in
            let bucket = buckets.young[key] ?? buckets.old.removeValue(forKey: key) ?? Bucket(level: burst, at: now)
            var level = min(burst, bucket.level + max(0, (now - bucket.at).fractionalSeconds) * perSecond)
            let value = body(&level)
            if buckets.young[key] == nil, buckets.young.count >= keysMax / 2 {
                (buckets.old, buckets.young) = (buckets.young, [:])
            }
            buckets.young[key] = Bucket(level: level, at: now)
            return value
        }
    }
}
