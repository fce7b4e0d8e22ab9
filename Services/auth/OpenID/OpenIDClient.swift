import Configuration
import Crypto
import HTTPClient
import Identity
import JSON
import Synchronization
import Text
import Values

/// The requests of auth to OpenID providers. A provider is asked when a sign-in needs it, so its outage
/// stops nothing else.
///
/// Documents and keys are kept for an hour, and many sign-ins at one time ask for them once.
final class OpenIDClient: Sendable {
    static let answerBytesMax = 262_144
    static let timeout: Duration = .seconds(5)
    static let documentLife: Duration = .seconds(3_600)
    /// The shortest time between two requests for keys because of a key that is not known.
    static let keysCooldown: Duration = .seconds(30)

    private struct Document<Value: Sendable>: Sendable {
        var value: Value
        var readAt: Instant
    }

    /// The documents of the providers, found by their ids.
    private struct Documents: Sendable {
        var metadata: [String: Document<OpenIDMetadata>] = [:]
        var keys: [String: Document<OpenIDKeys>] = [:]
    }

    private let http: HTTPClient
    private let clock: @Sendable () -> Instant
    private let documents = Mutex(Documents())
    private let metadataFlights = SingleFlight<String, OpenIDMetadata>(flightsMax: OpenIDProviders.countMax)
    private let keysFlights = SingleFlight<String, OpenIDKeys>(flightsMax: OpenIDProviders.countMax)

    init(http: HTTPClient, clock: @escaping @Sendable () -> Instant) { (self.http, self.clock) = (http, clock) }

    /// - Throws: ``OpenIDFlaw``.
    func metadata(of provider: OpenIDProvider) async throws -> OpenIDMetadata {
        if let known = documents.withLock({ $0.metadata[provider.id] }), clock() < known.readAt + Self.documentLife { return known.value }
        return try await metadataFlights.value(for: provider.id) { [self] in
            let metadata = try OpenIDMetadata(try await get(OpenIDMetadata.url(of: provider.issuer)), of: provider)
            documents.withLock { $0.metadata[provider.id] = Document(value: metadata, readAt: clock()) }
            return metadata
        }
    }

    /// Returns the keys of a provider as they were read within `age`.
    private func keys(of provider: OpenIDProvider, at url: String, within age: Duration) async throws -> OpenIDKeys {
        if let known = documents.withLock({ $0.keys[provider.id] }), clock() < known.readAt + age { return known.value }
        return try await keysFlights.value(for: provider.id) { [self] in
            let keys = try OpenIDKeys(try await get(url))
            documents.withLock { $0.keys[provider.id] = Document(value: keys, readAt: clock()) }
            return keys
        }
    }

    /// Redeems the code of an attempt, and returns the claims of the person.
    /// - Throws: ``OpenIDFlaw``.
    func redeem(
        _ code: String, of attempt: OpenIDAttempt, at provider: OpenIDProvider, redirectURI: String
    ) async throws -> OpenIDClaims {
        let metadata = try await metadata(of: provider)
        let answer = try await send(Self.tokenRequest(code, attempt, provider, metadata, redirectURI: redirectURI))
        guard let json = try? JSONObject(answer), let token = try? json.string("id_token") else { throw OpenIDFlaw.tokenAnswer }
        let accessToken = try? json.string("access_token")
        let verifier = IDTokenVerifier(issuer: provider.issuer, clientID: provider.clientID)
        func verify(keysWithin age: Duration) async throws -> OpenIDClaims {
            let keys = try await keys(of: provider, at: metadata.keysURL, within: age)
            return try verifier.verify(token, accessToken: accessToken, nonce: attempt.nonce, keys: keys, now: clock())
        }
        var claims: OpenIDClaims
        do {
            claims = try await verify(keysWithin: Self.documentLife)
        } catch OpenIDFlaw.unknownKey {
            claims = try await verify(keysWithin: Self.keysCooldown)
        }
        // Many providers have the address in the answer of this endpoint only (OpenID Connect Core §5.4).
        if claims.email == nil, let endpoint = metadata.userInfoEndpoint, let accessToken {
            let told = try await userInfo(endpoint, accessToken)
            // An answer about another person may be the work of an attacker (§5.3.2).
            guard told.subject == claims.subject else { throw OpenIDFlaw.userInfo }
            claims = told
        }
        return claims
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
