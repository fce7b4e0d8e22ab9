import Crypto
import Postgres
import RateLimit
import Telemetry
import Values

/// Devices that sign in by a code (RFC 8628). Each use case is a file of this folder.
struct Devices: Sendable {
    let pool: PostgresPool
    let issuer: Issuer
    let sessions: Sessions
    let clients: OAuthClients
    let limits: DeviceLimits
    let codeKeys: UserCodeKeys
    let metrics: AuthMetrics
    let log: Logger
    let clock: @Sendable () -> Instant

    /// Deletes grants a day after their end. Until then, a client learns that its code has expired.
    func sweep() async throws {
        let now = clock()
        _ = try await pool.withConnection { try await $0.execute(SweepDeviceGrants(expiredBefore: now + .seconds(-86_400))) }
    }

    /// Returns the form of a device code at rest; nil for a text that is no device code.
    static func digest(ofDeviceCode text: String) -> [UInt8]? {
        guard text.utf8.count == deviceCodePrefix.utf8.count + deviceCodeDigits, text.hasPrefix(deviceCodePrefix),
            text.utf8.dropFirst(deviceCodePrefix.utf8.count).allSatisfy(Base62.isDigit)
        else { return nil }
        return sha256(text).bytes
    }

    static let deviceCodePrefix = "ssd_"
    /// 256 bits.
    static let deviceCodeDigits = 43
}

/// The keys of user codes at rest, one from each master key.
struct UserCodeKeys: Sendable {
    private let current: [UInt8]
    private let all: [[UInt8]]

    init(_ ring: MasterKeyRing) {
        let keys = ring.derived(for: "device user code v1")
        current = keys[ring.current.number] ?? []
        all = Array(keys.values)
    }

    func digest(_ code: UserCode) -> [UInt8] { code.digest(current) }
    /// The forms that a code may have at rest.
    func digests(_ code: UserCode) -> [[UInt8]] { all.map(code.digest) }
}
