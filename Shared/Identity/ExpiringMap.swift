/// Values that are forgotten some time after their end. When full, it forgets the values that end first.
struct ExpiringMap<Key: Hashable & Sendable, Value: Sendable, Time: Comparable & Sendable>: Sendable {
    private var entries: [Key: (value: Value, end: Time)] = [:]
    private let countMax: Int
    private var sweepAt = 1_024

    init(countMax: Int) { self.countMax = countMax }

    var count: Int { entries.count }

    subscript(key: Key) -> Value? { entries.isEmpty ? nil : entries[key]?.value }

    func contains(_ key: Key) -> Bool { self[key] != nil }

    mutating func insert(_ value: Value, for key: Key, until end: Time, now: Time) {
        entries[key] = (value, end)
        guard entries.count > sweepAt else { return }
        entries = entries.filter { $0.value.end > now }
        if entries.count > countMax {
            let kept = entries.sorted { $0.value.end > $1.value.end }.prefix(countMax / 2)
            entries = Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
        }
        sweepAt = max(1_024, min(countMax, entries.count * 2))
    }
}

extension ExpiringMap where Value == Void {
    mutating func insert(_ key: Key, until end: Time, now: Time) { insert((), for: key, until: end, now: now) }
}
