import Configuration
import RateLimit
import Values

/// The limits of device codes, in memory of each replica.
///
/// | variable | default | |
/// |---|---|---|
/// | `DEVICE_CODE_BURST` | `30` | 1…1,000,000: codes that a network asks for at one time |
/// | `DEVICE_CODES_PER_HOUR` | `30` | 1…1,000,000: codes of a network that are regained an hour |
struct DeviceLimits: Sendable {
    /// Requests for a code, by network.
    let requests: RateLimiter<String>
    /// User codes that were wrong, by user: five, regained in ten minutes.
    let wrongByUser = RateLimiter<UserID>(burst: 5, perSecond: 5.0 / 600)
    /// User codes that were wrong, by network: ten, regained in ten minutes.
    let wrongByNetwork = RateLimiter<String>(burst: 10, perSecond: 10.0 / 600)
    /// Polls with an unknown device code, by network: ten, regained in a minute.
    let unknownPolls = RateLimiter<String>(burst: 10, perSecond: 10.0 / 60)

    init(_ environment: Environment) throws(ConfigurationError) {
        let burst = try environment.integer("DEVICE_CODE_BURST", default: 30, in: 1...1_000_000)
        let perHour = try environment.integer("DEVICE_CODES_PER_HOUR", default: 30, in: 1...1_000_000)
        requests = RateLimiter(burst: burst, perSecond: Double(perHour) / 3_600)
    }
}
