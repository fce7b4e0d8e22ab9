import Values

/// Slows down guessing of one account's password, equally for accounts that exist and accounts that
/// do not.
///
/// Attempts count by account and place. A place is a known browser, or the client's network. Failures
/// at one place never delay another place by more than ``newPlaceDelay``, so that guessing does not
/// keep the owner out.
///
/// | failures at the place | wait after the last attempt |
/// |---|---|
/// | 0 to 4 | none |
/// | 5, 6, 7 … | 1, 2, 4 … 300 s |
///
/// A day without an attempt starts the count again. An account with ``attackThreshold`` failures is
/// under attack: a place without an attempt waits ``newPlaceDelay`` once. A known place never does.
enum SignInThrottle {
    /// The attempts at a place. A success deletes them.
    struct Place: Sendable, Equatable {
        var failures: Int64 = 0
        /// Nil before the first attempt.
        var lastAttemptAt: Instant?
    }

    enum Decision: Equatable {
        /// The attempt counts as a failure of the place until it succeeds, so that guesses at one
        /// time are not more than guesses in turn.
        case admit(Place)
        /// The next attempt is admitted after this time. The place is unchanged if it is nil.
        case wait(Duration, remember: Place?)
    }

    static let backoffThreshold: Int64 = 5
    static let delayMax: Duration = .seconds(300)
    static let attackThreshold: Int64 = 20
    static let newPlaceDelay: Duration = .seconds(5)
    static let forgottenAfter: Duration = .seconds(86_400)

    static func decide(_ place: Place, accountFailures: Int64, isKnown: Bool, now: Instant) -> Decision {
        var place = place
        if let last = place.lastAttemptAt, last + forgottenAfter < now { place = Place() }
        let isUnderAttack = accountFailures >= attackThreshold && !isKnown
        guard let last = place.lastAttemptAt else {
            if isUnderAttack { return .wait(newPlaceDelay, remember: Place(failures: 0, lastAttemptAt: now)) }
            return .admit(Place(failures: 1, lastAttemptAt: now))
        }
        let delay = place.failures == 0 && isUnderAttack ? newPlaceDelay : delay(after: place.failures)
        let wait = last + delay - now
        return wait > .zero ? .wait(wait, remember: nil) : .admit(Place(failures: place.failures + 1, lastAttemptAt: now))
    }

    private static func delay(after failures: Int64) -> Duration {
        guard failures >= backoffThreshold else { return .zero }
        return min(.seconds(1 << min(failures - backoffThreshold, 9)), delayMax)
    }
}
