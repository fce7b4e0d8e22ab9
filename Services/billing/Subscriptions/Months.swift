import Text
import Values

extension Instant {
    private static let dayLength: Int64 = 86_400_000_000

    /// The same day of the month and time `count` months later (or earlier). A day that the month does not have becomes its last
    /// day, as in Stripe's billing cycles.
    func adding(months count: Int64) -> Instant {
        let (year, month, dayOfMonth) = Timestamp.civil(fromDays: day)
        let target = (year * 12 + month - 1) + count
        let targetYear = target.quotient(flooredBy: 12)
        let targetMonth = target - targetYear * 12 + 1
        let first = Timestamp.days(fromCivil: targetYear, targetMonth, 1)
        let nextFirst =
            targetMonth == 12 ? Timestamp.days(fromCivil: targetYear + 1, 1, 1) : Timestamp.days(fromCivil: targetYear, targetMonth + 1, 1)
        let clamped = min(first + dayOfMonth - 1, nextFirst - 1)
        return Instant(microseconds: clamped * Self.dayLength + microseconds - day * Self.dayLength)
    }

    /// The beginning of the billing cycle of `months` months that ends here.
    /// - Parameter anchor: the moment that fixes the day of the month. One that does not lead here is left aside.
    func cycleStart(months: Int64, anchor: Instant) -> Instant {
        let count = month - anchor.month
        return anchor.adding(months: count) == self ? anchor.adding(months: count - months) : adding(months: -months)
    }
}
