import Glibc
import Values

/// A point on the machine's monotonic clock, in nanoseconds: comparable within one boot, meaningless elsewhere.
package struct MonotonicInstant: Comparable, Hashable, Sendable {
    package var nanoseconds: UInt64

    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    package static let never = MonotonicInstant(nanoseconds: .max)

    package static func current() -> MonotonicInstant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicInstant(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
    }

    package static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

    package static func + (instant: Self, duration: Duration) -> Self {
        MonotonicInstant(nanoseconds: instant.nanoseconds &+ UInt64(max(0, duration.nanoseconds)))
    }

    package static func - (later: Self, earlier: Self) -> Duration {
        .nanoseconds(Int64(later.nanoseconds) - Int64(earlier.nanoseconds))
    }
}

extension Duration {
    package var nanoseconds: Int64 { wholeNanoseconds }

    package var milliseconds: Double { Double(nanoseconds) / 1_000_000 }
}
