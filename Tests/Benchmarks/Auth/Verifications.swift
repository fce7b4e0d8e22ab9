import Contracts
import Crypto
import EventLoop
import Foundation
import HTTP
import HTTPWire
import Identity
import Telemetry
import Values

/// The check of credentials in a service, on one thread of this process. Auth's answers come at once
/// from a source in its place, so that the figures are the work of the checking service alone.
struct Verifications {
    let repetitions: Int

    private static let credentials = 20_000
    /// The checks of each credential that the cache knows.
    private static let again = 10
    private static let publicURL = "https://bench.example"

    private struct Kind {
        var name: String
        var cookie = CookieUse.ignored
        var headers: [HeaderBlock]
        var keys: [APIKeyCreated] = []
    }

    func run() async throws {
        print(
            """

            ### Checks of credentials in a service

            One thread, \(Self.credentials) credentials of each kind. "First" is the first check of a credential: a token is verified, an \
            API key or a cookie is asked about, with an answer that comes at once. "Again" finds it in the cache. Medians of \
            \(repetitions) alternating runs.

            """)
        let source = PromptSource()
        let kinds = [tokens(source), apiKeys(), cookies()]
        var first: [[Double]] = Array(repeating: [], count: kinds.count)
        var again = first
        for _ in 0..<repetitions {
            for (index, kind) in kinds.enumerated() {
                let run = try await measure(kind, source)
                first[index].append(run.first)
                again[index].append(run.again)
            }
        }
        var table = Table(header: ["credential", "again: a second", "µs", "first: a second", "µs", "again / first"])
        for (index, kind) in kinds.enumerated() {
            let (known, new) = (again[index].median, first[index].median)
            table.rows.append([
                kind.name, rounded(known, 0), rounded(1e6 / known), rounded(new, 0), rounded(1e6 / new, 1), rounded(known / new, 0),
            ])
        }
        table.print()
    }

    /// Returns checks a second of new credentials and of known ones.
    private func measure(_ kind: Kind, _ source: PromptSource) async throws -> (first: Double, again: Double) {
        let authenticator = Authenticator(
            service: "bench", publicURL: Self.publicURL, amqp: nil, source: source, log: Logger(service: "bench", level: .error))
        for key in kind.keys { authenticator.learn(key) }
        // Brings the signing keys.
        _ = try await authenticator.principal(["authorization": "Bearer " + source.token(Self.publicURL)])
        var begun = MonotonicInstant.current()
        for headers in kind.headers { _ = try await authenticator.principal(headers, cookie: kind.cookie) }
        let first = Double(kind.headers.count) / ((MonotonicInstant.current() - begun) / .seconds(1))
        begun = .current()
        for _ in 0..<Self.again {
            for headers in kind.headers {
                guard authenticator.cached(headers, cookie: kind.cookie) != nil else {
                    throw BenchError(description: "\(kind.name): the cache has forgotten a credential")
                }
            }
        }
        let again = Double(Self.again * kind.headers.count) / ((MonotonicInstant.current() - begun) / .seconds(1))
        return (first, again)
    }

    // MARK: Credentials

    private func tokens(_ source: PromptSource) -> Kind {
        Kind(
            name: "access token (ES256)",
            headers: (0..<Self.credentials).map { _ in ["authorization": "Bearer " + source.token(Self.publicURL)] })
    }

    private func apiKeys() -> Kind {
        let made = (0..<Self.credentials).map { _ in APIKey.make() }
        return Kind(
            name: "API key in the table", headers: made.map { ["authorization": "Bearer " + $0.text] },
            keys: made.map { APIKeyCreated(apiKeyID: $0.key.id, fingerprint: $0.key.fingerprint) })
    }

    private func cookies() -> Kind {
        let name = SessionCookie.name(publicURL: Self.publicURL)
        return Kind(
            name: "cookie", cookie: .accepted,
            headers: (0..<Self.credentials).map { _ in ["cookie": "\(name)=\(SessionCookie.make(for: .make()).text)"] })
    }
}

/// Answers in auth's place: every key and every cookie is valid.
private struct PromptSource: IdentitySource {
    private let pair = ES256KeyPair.generate()

    func signingKeys(_ question: QuerySigningKeys) async throws -> SigningKeysReply {
        let key = pair.publicKey
        return SigningKeysReply(
            keys: [SigningKeysReply.Key(keyID: key.thumbprint, x: Base64.url.encode(key.x), y: Base64.url.encode(key.y))], readAt: .now())
    }

    func owner(of key: IntrospectAPIKey) async throws -> APIKeyReply.Owner? {
        APIKeyReply.Owner(
            userID: .make(), roles: ["user"], scopes: ["credits", "llm", "models", "profile", "storage"], plan: "free", expiresAt: nil)
    }

    func owner(of cookie: IntrospectSession) async throws -> SessionReply.Owner? {
        SessionReply.Owner(
            userID: .make(), sessionID: cookie.sessionID, roles: ["user"], plan: "free", locale: "en", timeZone: "UTC",
            authenticatedAt: .now(), expiresAt: .now() + .seconds(3_600))
    }

    func token(_ publicURL: String) -> String {
        let now = Instant.now().seconds
        let claims = AccessTokenClaims(
            issuer: publicURL, audience: AccessToken.audience, userID: .make(), clientID: "web", sessionID: .make(), generation: 0,
            version: 0, tokenID: .make(), issuedAt: now, expiresAt: now + 900, authenticatedAt: now, roles: ["user"], scope: "",
            plan: "free")
        return AccessToken.sign(claims, with: pair, keyID: pair.publicKey.thumbprint)
    }
}
