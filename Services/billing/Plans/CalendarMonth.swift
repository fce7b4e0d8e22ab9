import Values

/// A month of the UTC calendar, `2026-11`.
struct CalendarMonth: Hashable, Sendable, CustomStringConvertible {
    /// Whole months since January 1970.
    private let number: Int64

    init(containing moment: Instant) { number = moment.month }

    /// The first moment after the month.
    var end: Instant { Instant.startOf(month: number + 1) }

    var description: String { String(Instant.startOf(month: number).description.prefix(7)) }
}
