import Values

/// A month of UTC, and so a partition of the journal: that of all ids made in it.
struct JournalMonth: Comparable, Sendable, LosslessStringConvertible {
    /// Since January 1970.
    let index: Int64

    init(of instant: Instant) { index = instant.month }
    init(index: Int64) { self.index = index }

    /// Reads `2026-05`.
    init?(_ text: String) {
        guard text.utf8.count == 7, let start = Instant(text + "-01T00:00:00Z") else { return nil }
        index = start.month
    }

    var description: String { String(start.description.prefix(7)) }

    var start: Instant { .startOf(month: index) }
    var end: Instant { .startOf(month: index + 1) }

    static func < (left: Self, right: Self) -> Bool { left.index < right.index }
}
