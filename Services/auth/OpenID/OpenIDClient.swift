import Configuration
import Crypto
import HTTPClient
import Identity
import JSON
import Synchronization
import Telemetry
import Text
import Values

/// The requests of auth to OpenID providers. A provider is asked when a sign-in needs it, so its outage
/// stops nothing else.
///
/// Documents and keys are read once an hour, and many sign-ins at one time ask for them once. Old ones
/// that cannot be read again are used until they are a day old.
final class OpenIDClient: Sendable {
    static let answerBytesMax = 262_144
    static let timeout: Duration = .seconds(5)
    static let documentLife: Duration = .seconds(3_600)
    static let staleLife: Duration = .seconds(86_400)
    /// The shortest time between two requests for keys because of a key that is not known, and for a
    /// document after a request that failed.
    static let cooldown: Duration = .seconds(30)

    private struct Document<Value: Sendable>: Sendable {
        var value: Value
        var readAt: Instant
        /// The last request that failed since.
        var failedAt: Instant?

        func isGood(at now: Instant, within age: Duration) -> Bool {
            if now < readAt + age { return true }
            guard let failedAt else { return false }
            return now < min(failedAt + cooldown, readAt + staleLife)
        }
    }

    /// The documents of the providers, found by their ids.
    private struct Documents: Sendable {
        var metadata: [String: Document<OpenIDMetadata>] = [:]
        var keys: [String: Document<OpenIDKeys>] = [:]
    }

    /// The claims of a person whom a provider has signed in.
    struct Redeemed: Sendable {
        var claims: OpenIDClaims
        /// Nil if the provider gave none.
        fileprivate var accessToken: String?
    }

    private let http: HTTPClient
    private let log: Logger
    private let clock: @Sendable () -> Instant
    private let documents = Mutex(Documents())
    private let metadataFlights = SingleFlight<String, OpenIDMetadata>(flightsMax: OpenIDProviders.countMax)
    private let keysFlights = SingleFlight<String, OpenIDKeys>(flightsMax: OpenIDProviders.countMax)

    init(http: HTTPClient, log: Logger, clock: @escaping @Sendable () -> Instant) {
        (self.http, self.log, self.clock) = (http, log, clock)
    }

    /// - Throws: ``OpenIDFlaw``.
    func metadata(of provider: OpenIDProvider) async throws -> OpenIDMetadata {
        try await document(\.metadata, of: provider, within: Self.documentLife, metadataFlights) { [self] in
            try OpenIDMetadata(try await get(OpenIDMetadata.url(of: provider.issuer)), of: provider)
        }
    }

    /// Returns the keys of a provider as they were read within `age`.
    private func keys(of provider: OpenIDProvider, at url: String, within age: Duration) async throws -> OpenIDKeys {
        try await document(\.keys, of: provider, within: age, keysFlights) { [self] in try OpenIDKeys(try await get(url)) }
    }

    /// Returns a document as it was read within `age`, or an older one if it cannot be read again.
    private func document<Value: Sendable>(
        _ path: any WritableKeyPath<Documents, [String: Document<Value>]> & Sendable, of provider: OpenIDProvider, within age: Duration,
        _ flights: SingleFlight<String, Value>, read: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let known = documents.withLock { $0[keyPath: path][provider.id] }
        if let known, known.isGood(at: clock(), within: age) { return known.value }
        return try await flights.value(for: provider.id) { [self] in
            do {
                let value = try await read()
                documents.withLock { $0[keyPath: path][provider.id] = Document(value: value, readAt: clock()) }
                return value
            } catch let flaw as OpenIDFlaw {
                let now = clock()
                guard let known, now < known.readAt + Self.staleLife else { throw flaw }
                log.warning(
                    "openid document unavailable: the old one is used",
                    ["provider": .string(provider.id), "reason": .string(flaw.rawValue)])
                documents.withLock { $0[keyPath: path][provider.id]?.failedAt = now }
                return known.value
            }
        }
    }

    /// Redeems the code of an attempt, and returns the claims of the ID token.
    /// - Throws: ``OpenIDFlaw``.
    func redeem(
        _ code: String, of attempt: OpenIDAttempt, at provider: OpenIDProvider, redirectURI: String
    ) async throws -> Redeemed {
        let metadata = try await metadata(of: provider)
        let answer = try await send(Self.tokenRequest(code, attempt, provider, metadata, redirectURI: redirectURI))
        guard let json = try? JSONObject(answer), let token = try? json.string("id_token") else { throw OpenIDFlaw.tokenAnswer }
        let accessToken = try? json.string("access_token")
        let verifier = IDTokenVerifier(issuer: provider.issuer, clientID: provider.clientID)
        func verify(keysWithin age: Duration) async throws -> OpenIDClaims {
            let keys = try await keys(of: provider, at: metadata.keysURL, within: age)
            return try verifier.verify(token, accessToken: accessToken, nonce: attempt.nonce, keys: keys, now: clock())
        }
        do {
            return Redeemed(claims: try await verify(keysWithin: Self.documentLife), accessToken: accessToken)
        } catch OpenIDFlaw.unknownKey {
            return Redeemed(claims: try await verify(keysWithin: Self.cooldown), accessToken: accessToken)
        }
    }

    /// Adds the address of the person. Many providers have it in the answer of the UserInfo endpoint only
    /// (OpenID Connect Core §5.4).
    /// - Throws: ``OpenIDFlaw``.
    func withAddress(_ redeemed: Redeemed, at provider: OpenIDProvider) async throws -> OpenIDClaims {
        guard let accessToken = redeemed.accessToken, let endpoint = try await metadata(of: provider).userInfoEndpoint else {
            return redeemed.claims
        }
        return try redeemed.claims.completed(by: try await userInfo(endpoint, accessToken))
    }

    private static func tokenRequest(
        _ code: String, _ attempt: OpenIDAttempt, _ provider: OpenIDProvider, _ metadata: OpenIDMetadata, redirectURI: String
    ) -> ClientRequest {
        var fields = [
            ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirectURI), ("code_verifier", attempt.verifier),
        ]
        var headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")]
        let (id, secret) = (provider.clientID, provider.clientSecret.reveal())
        switch metadata.clientAuthentication {
        case .basic:
            let pair = [id, secret].map(PercentEncoding.encode).joined(separator: ":")
            headers.append(("authorization", "Basic \(Base64.standard.encode(Array(pair.utf8)))"))
        case .post: fields += [("client_id", id), ("client_secret", secret)]
        }
        return ClientRequest("POST", metadata.tokenEndpoint, headers: headers, body: Array(OpenIDMetadata.form(fields).utf8))
    }

    private func userInfo(_ endpoint: String, _ accessToken: String) async throws -> OpenIDClaims {
        let answer = try await get(endpoint, headers: [("authorization", "Bearer \(accessToken)")])
        guard let json = try? JSONObject(answer) else { throw OpenIDFlaw.userInfo }
        return try OpenIDClaims(json)
    }

    private func get(_ url: String, headers: [(name: String, value: String)] = []) async throws -> [UInt8] {
        try await send(ClientRequest("GET", url, headers: headers + [("accept", "application/json")]))
    }

    /// Returns the body of an answer 200. No redirect is followed.
    private func send(_ request: ClientRequest) async throws -> [UInt8] {
        var request = request
        (request.timeout, request.connectTimeout, request.responseBytesMax) = (Self.timeout, Self.timeout, Self.answerBytesMax)
        let answer: ClientResponse
        do {
            answer = try await http.request(request)
        } catch let error as ClientError {
            throw OpenIDFlaw(error.code)
        }
        guard answer.status == 200 else { throw OpenIDFlaw.status }
        return answer.body
    }
}

extension OpenIDFlaw {
    fileprivate init(_ code: ClientError.Code) {
        self =
            switch code {
            case .connectFailed: .unreachable
            case .tlsFailed: .tlsFailed
            case .timedOut: .timedOut
            case .tooLarge: .tooLarge
            case .badRequest, .closedEarly, .malformed: .notHTTP
            }
    }
}
