/// A dictionary that forgets what was not used lately. Two generations: when the young one is full it becomes the old one, and
/// what was in the old one is gone. Holds at most `countMax` entries; every operation is O(1).
struct BoundedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private var young: [Key: Value] = [:]
    private var old: [Key: Value] = [:]
    private let generationMax: Int

    init(countMax: Int) { generationMax = max(1, countMax / 2) }

    var count: Int { young.count + old.count }

    /// Using an entry keeps it for another generation.
    mutating func value(for key: Key) -> Value? {
        if let value = young[key] { return value }
        guard let value = old.removeValue(forKey: key) else { return nil }
        insert(value, for: key)
        return value
    }

    mutating func insert(_ value: Value, for key: Key) {
        if young.count >= generationMax, young[key] == nil {
            old = young
            young = [:]
        }
        young[key] = value
        old.removeValue(forKey: key)
    }

    mutating func removeAll() { (young, old) = ([:], [:]) }

    mutating func remove(_ key: Key) {
        young.removeValue(forKey: key)
        old.removeValue(forKey: key)
    }
}
