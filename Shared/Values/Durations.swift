extension Duration {
    // A duration counts attoseconds, of which 10^18 are a second. Nothing else divides them.

    /// Whole nanoseconds, rounded towards zero; the longest is 292 years.
    package var wholeNanoseconds: Int64 { count(of: 1_000_000_000) }

    /// Whole microseconds, rounded towards zero: the resolution of Postgres.
    package var wholeMicroseconds: Int64 { count(of: 1_000_000) }

    /// Whole milliseconds, rounded towards zero.
    package var wholeMilliseconds: Int64 { count(of: 1_000) }

    /// Seconds with their fraction.
    package var fractionalSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }

    private func count(of unitsPerSecond: Int64) -> Int64 {
        Int64(attoseconds / Int128(1_000_000_000_000_000_000 / unitsPerSecond))
    }
}
