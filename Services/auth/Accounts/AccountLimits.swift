import Configuration
import RateLimit
import Values

/// The limits of registrations and sign-ins by client network, in memory of each replica.
///
/// | variable | default | |
/// |---|---|---|
/// | `REGISTER_BURST` | `50` | 1…1,000,000: registrations of a network at one time |
/// | `REGISTER_PER_MINUTE` | `10` | 1…1,000,000: registrations of a network that are regained a minute |
/// | `REGISTER_PER_SECOND_TOTAL` | `20` | 1…1,000,000: registrations of all networks a second, and at one time |
struct AccountLimits: Sendable {
    private let registrations: RateLimiter<String>
    private let allRegistrations: RateLimiter<Bool>
    /// Mails that a network asks for to all addresses: thirty, regained in an hour.
    private let mailsOfNetwork = RateLimiter<String>(burst: 30, perSecond: 30.0 / 3_600)
    /// Mails that a network asks for to an address: three, regained in an hour.
    private let mailsOfAsker = RateLimiter<String>(burst: 3, perSecond: 3.0 / 3_600)
    /// Mails to an address, for all networks together: twenty, regained in an hour.
    private let mails = RateLimiter<String>(burst: 20, perSecond: 20.0 / 3_600)
    /// A hundred failures of a network at any accounts, regained at ten a minute. Sign-ins at one time
    /// count until they succeed.
    private let signIns = RateLimiter<String>(burst: 100, perSecond: 10.0 / 60)
    /// A hundred sign-ins that a network has begun at providers, regained at ten a minute. They count until
    /// the browser comes back.
    private let openIDAttempts = RateLimiter<String>(burst: 100, perSecond: 10.0 / 60)

    init(_ environment: Environment) throws(ConfigurationError) {
        let burst = try environment.integer("REGISTER_BURST", default: 50, in: 1...1_000_000)
        let perMinute = try environment.integer("REGISTER_PER_MINUTE", default: 10, in: 1...1_000_000)
        let total = try environment.integer("REGISTER_PER_SECOND_TOTAL", default: 20, in: 1...1_000_000)
        registrations = RateLimiter(burst: burst, perSecond: Double(perMinute) / 60)
        allRegistrations = RateLimiter(burst: total, perSecond: Double(total), keysMax: 2)
    }

    /// Counts a mail that a client asks for.
    /// - Returns: nil if it is admitted, else the time until the next one is.
    func mail(_ email: EmailAddress, _ client: ClientInfo, now: Instant) -> Duration? {
        let network = client.network ?? ""
        let asker = email.text + " " + network
        if let wait = mailsOfNetwork.take(network, now: now) { return wait }
        if let wait = mailsOfAsker.take(asker, now: now) {
            mailsOfNetwork.giveBack(network, now: now)
            return wait
        }
        guard let wait = mails.take(email.text, now: now) else { return nil }
        mailsOfNetwork.giveBack(network, now: now)
        mailsOfAsker.giveBack(asker, now: now)
        return wait
    }

    /// Counts a registration.
    /// - Returns: nil if it is admitted, else the time until the next one is.
    func register(_ client: ClientInfo, now: Instant) -> Duration? {
        let network = client.network ?? ""
        if let wait = registrations.take(network, now: now) { return wait }
        guard let wait = allRegistrations.take(true, now: now) else { return nil }
        registrations.giveBack(network, now: now)
        return wait
    }

    /// Counts a sign-in, before its password is checked.
    /// - Returns: nil if it is admitted, else the time until the next one is.
    func signIn(_ client: ClientInfo, now: Instant) -> Duration? {
        signIns.take(client.network ?? "", now: now)
    }

    /// Takes a count back: the sign-in succeeded, or its password was not checked.
    func signInDidNotCount(_ client: ClientInfo, now: Instant) {
        signIns.giveBack(client.network ?? "", now: now)
    }

    /// Counts a sign-in that begins at a provider.
    /// - Returns: nil if it is admitted, else the time until the next one is.
    func beginOpenID(_ client: ClientInfo, now: Instant) -> Duration? {
        openIDAttempts.take(client.network ?? "", now: now)
    }

    /// Takes the count of a sign-in at a provider back.
    func openIDHasEnded(_ client: ClientInfo, now: Instant) {
        openIDAttempts.giveBack(client.network ?? "", now: now)
    }
}
