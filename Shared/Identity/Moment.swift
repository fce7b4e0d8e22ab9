package import EventLoop
package import Values

/// A point in time on both clocks of the machine.
///
/// Times from elsewhere, such as the end of a token, are compared with the wall clock. The ages of
/// what this process knows are measured with the monotonic clock, because an operator or NTP may
/// set the wall clock.
package struct Moment: Sendable {
    package var wall: Instant
    package var monotonic: MonotonicInstant

    package init(wall: Instant, monotonic: MonotonicInstant) {
        self.wall = wall
        self.monotonic = monotonic
    }

    package static func now() -> Moment { Moment(wall: .now(), monotonic: .current()) }

    package static func + (moment: Self, duration: Duration) -> Self {
        Moment(wall: moment.wall + duration, monotonic: moment.monotonic + duration)
    }
}
