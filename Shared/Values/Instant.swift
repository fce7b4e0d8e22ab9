import Text

/// A point in wall-clock time: microseconds since 1970-01-01 UTC, the resolution of Postgres' `timestamptz`.
package struct Instant: Hashable, Comparable, Sendable {
    package var microseconds: Int64

    package init(microseconds: Int64) { self.microseconds = microseconds }

    package static func now() -> Instant { Instant(microseconds: Timestamp.now()) }

    package var seconds: Int64 { microseconds.quotient(flooredBy: 1_000_000) }

    package static func < (left: Self, right: Self) -> Bool { left.microseconds < right.microseconds }

    package static func + (instant: Self, duration: Duration) -> Self {
        Instant(microseconds: instant.microseconds + duration.wholeMicroseconds)
    }

    package static func - (instant: Self, duration: Duration) -> Self {
        Instant(microseconds: instant.microseconds - duration.wholeMicroseconds)
    }

    package static func - (later: Self, earlier: Self) -> Duration { .microseconds(later.microseconds - earlier.microseconds) }
}

extension Instant: CustomStringConvertible {
    /// RFC 3339 in UTC with six fraction digits: `2026-11-20T09:30:00.000001Z`.
    package var description: String { Timestamp.text(microseconds) }

    /// Reads RFC 3339 in UTC (`Z`) with no or up to six fraction digits.
    package init?(_ text: String) {
        guard let microseconds = Timestamp.read(text) else { return nil }
        self.init(microseconds: microseconds)
    }

    // MARK: The calendar of UTC

    /// Whole days since 1970.
    package var day: Int64 { microseconds.quotient(flooredBy: 86_400_000_000) }

    /// Whole months since January 1970.
    package var month: Int64 {
        let (year, month, _) = Timestamp.civil(fromDays: day)
        return (year - 1_970) * 12 + month - 1
    }

    package static func startOf(day: Int64) -> Instant { Instant(microseconds: day * 86_400_000_000) }

    package static func startOf(month: Int64) -> Instant {
        let years = month.quotient(flooredBy: 12)
        return startOf(day: Timestamp.days(fromCivil: 1_970 + years, month - years * 12 + 1, 1))
    }
}
