import Contracts
import Crypto
import HTTP
import Telemetry
import Values

/// A credential that only auth can tell a user from. Its form and its checksum are right.
enum OpaqueCredential: Sendable {
    case apiKey(APIKey)
    case cookie(SessionCookie)
}

/// The questions to auth about API keys and cookies. Requests with the same credential share one.
final class Introspections: Sendable {
    private typealias Flights = SingleFlight<SHA256Digest, IdentityState.Finding>

    private let source: any IdentitySource
    private let state: SharedIdentityState
    private let clock: @Sendable () -> Moment
    private let log: Logger
    private let keyFlights = Flights(flightsMax: 4_096)
    /// A flood of made-up cookies must not delay API keys, so cookies have a bound of their own.
    private let cookieFlights = Flights(flightsMax: 1_024)
    /// The questions about credentials that are used meanwhile.
    private let refreshes = Flights(flightsMax: 64)

    init(source: any IdentitySource, state: SharedIdentityState, clock: @escaping @Sendable () -> Moment, log: Logger) {
        (self.source, self.state, self.clock, self.log) = (source, state, clock, log)
    }

    /// Asks about a credential, and waits for the answer.
    /// - Throws: 503 if too many questions are open.
    func finding(for credential: OpaqueCredential, _ digest: SHA256Digest) async throws(Problem) -> IdentityState.Finding {
        let flights = if case .cookie = credential { cookieFlights } else { keyFlights }
        do {
            return try await flights.value(for: digest) { [self] in try await ask(about: credential, digest) }
        } catch is Flights.Saturated {
            throw .overloaded()
        } catch {
            return .unknown(missesSnapshot: false)
        }
    }

    /// Asks about a credential that is used meanwhile. If auth does not answer, the next use asks again.
    func refresh(_ credential: OpaqueCredential, _ digest: SHA256Digest) {
        refreshes.ask(for: digest) { [self] in try await ask(about: credential, digest) }
    }

    /// The most questions about a credential whose owner changes while auth answers.
    private static let questionsMax = 3

    private func ask(about credential: OpaqueCredential, _ digest: SHA256Digest) async throws -> IdentityState.Finding {
        do {
            for _ in 0..<Self.questionsMax {
                let asked = state.withLock { $0.asking(now: clock()) }
                let answer = try await answer(about: credential)
                let finding = state.withLock { $0.learn(answer, digest: digest, asked: asked, now: clock()) }
                guard case .unknown = finding else { return finding }
            }
            return .unknown(missesSnapshot: false)
        } catch {
            switch credential {
            case .apiKey(let key): log.warning("API key introspection failed", ["api_key.id": .describing(key.id)], error: error)
            case .cookie(let cookie):
                log.warning("session introspection failed", ["session.id": .describing(cookie.sessionID)], error: error)
            }
            throw error
        }
    }

    /// Returns nil for a credential that is not valid.
    private func answer(about credential: OpaqueCredential) async throws -> IdentityState.Answer? {
        switch credential {
        case .apiKey(let key):
            let question = IntrospectAPIKey(apiKeyID: key.id, secretSHA256: key.secretDigest.hexadecimal)
            return try await source.owner(of: question).map { IdentityState.Answer($0, of: key) }
        case .cookie(let cookie):
            let question = IntrospectSession(sessionID: cookie.sessionID, secretSHA256: cookie.secretDigest.hexadecimal)
            let owner = try await source.owner(of: question)
            return owner.flatMap { $0.sessionID == cookie.sessionID ? IdentityState.Answer($0, of: cookie) : nil }
        }
    }
}

extension IdentityState.Answer {
    fileprivate init(_ owner: APIKeyReply.Owner, of key: APIKey) {
        self.init(
            principal: Principal(
                userID: owner.userID, kind: .apiKey(key.id), roles: owner.roles, scopes: owner.scopes, plan: owner.plan,
                keyLimits: owner.limits),
            expiresAt: owner.expiresAt)
    }

    fileprivate init(_ owner: SessionReply.Owner, of cookie: SessionCookie) {
        self.init(
            principal: Principal(
                userID: owner.userID, kind: .session(cookie.sessionID), roles: owner.roles, scopes: [], plan: owner.plan,
                authenticatedAt: owner.authenticatedAt.seconds, locale: owner.locale, timeZone: owner.timeZone, csrf: cookie.csrf),
            expiresAt: owner.expiresAt)
    }
}
