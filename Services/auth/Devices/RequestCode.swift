import Crypto
import Postgres
import RateLimit
import Telemetry
import Values

extension Devices {
    /// A request of a device, as RFC 8628 §3.1 has it.
    struct CodeRequest: Sendable {
        var client: OAuthClient
        /// Empty for all.
        var scopes: [String]
        var deviceName: String?
    }

    /// The codes of a new grant. Neither can be read again.
    struct Codes: Sendable {
        var deviceCode: String
        var userCode: UserCode
        var expiresIn: Duration
        var interval: Duration
    }

    enum RequestOutcome: Sendable {
        case requested(Codes)
        /// The network asked for too many codes. The next one is admitted after this time.
        case throttled(Duration)
    }

    /// Makes the codes of a device that wants to be signed in.
    func requestCode(_ request: CodeRequest, client: ClientInfo) async throws -> RequestOutcome {
        let now = clock()
        if let wait = limits.requests.take(client.network ?? "", now: now) { return .throttled(wait) }
        // A user code that a pending grant has already is one of 4 × 10¹¹.
        for _ in 0..<3 {
            let (deviceCode, userCode) = (Self.deviceCodePrefix + Base62.random(Self.deviceCodeDigits), UserCode.make())
            let grant = DeviceGrant(
                id: .make(), clientID: request.client.id, scope: request.scopes.joined(separator: " "), deviceName: request.deviceName,
                requestedBy: client, state: .pending, pollInterval: DeviceGrant.firstPollInterval, createdAt: now,
                expiresAt: now + DeviceGrant.life)
            let insert = InsertDeviceGrant(
                grant: grant, deviceCodeSHA256: sha256(deviceCode).bytes, userCodeHMAC: codeKeys.digest(userCode))
            guard try await pool.withConnection({ try await $0.first(insert) }) != nil else { continue }
            metrics.deviceCodesRequested.add()
            return .requested(
                Codes(deviceCode: deviceCode, userCode: userCode, expiresIn: DeviceGrant.life, interval: grant.pollInterval))
        }
        throw NoFreeUserCode()
    }

    /// Three random user codes were all in use.
    struct NoFreeUserCode: Error {}
}
