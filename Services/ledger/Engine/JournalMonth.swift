import Contracts
package import Values

/// A month of UTC, and so a partition of the journal: that of all ids made in it.
package struct JournalMonth: Comparable, Sendable, LosslessStringConvertible {
    /// Since January 1970.
    package let index: Int64

    package init(of instant: Instant) { index = instant.month }
    package init(index: Int64) { self.index = index }

    /// Reads `2026-05`.
    package init?(_ text: String) {
        guard text.utf8.count == 7, let start = Instant(text + "-01T00:00:00Z") else { return nil }
        index = start.month
    }

    package var description: String { String(start.description.prefix(7)) }

    package var start: Instant { .startOf(month: index) }
    package var end: Instant { .startOf(month: index + 1) }

    package static func < (left: Self, right: Self) -> Bool { left.index < right.index }
}
